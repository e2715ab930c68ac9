// Bench-flash measures how long "gatectl flash" takes for an image beside bmaptool, which the card's makers use today: on
// loop devices, by turns, packed by zstd and by xz. Gatectl reads every card back within its time, and bmaptool does not.
//
// It needs root, and bmap-tools, xz-utils and zstd of Debian. A loop device is as quick as the disk below it: what packs and
// hashes cost shows here more than on a real card, which is slower than either program.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/report"
)

const (
	imageSize = 1 << 30
	rounds    = 7
)

func main() {
	page := flag.String("update", "", "put the result into this Markdown `file`")
	tool := flag.String("gatectl", "bin/gatectl", "the `program`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	text, err := bench(ctx, *tool)
	stop()
	if err == nil && *page != "" {
		err = report.Update(*page, "flash", text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-flash:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func bench(ctx context.Context, tool string) (text string, err error) {
	tool, err = filepath.Abs(tool)
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("", "bench-flash-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	b := bencher{ctx: ctx, dir: dir, tool: tool}
	used, err := writeImage(filepath.Join(dir, "image"))
	if err != nil {
		return "", err
	}
	for _, words := range [][]string{
		{tool, "keygen", "-kind", "maker", "-out", "."},
		{tool, "flash", "map", "-key", "maker.key", "image"},
		{"zstd", "-q", "-T0", "-9", "image"},
		{"xz", "-k", "-T0", "-3", "image"},
		{"truncate", "-s", fmt.Sprint(imageSize), "card"},
	} {
		if _, err := b.run(words...); err != nil {
			return "", err
		}
	}
	disk, err := b.run("losetup", "--find", "--show", "card")
	if err != nil {
		return "", err
	}
	b.disk = strings.TrimSpace(disk)
	defer func() { err = errors.Join(err, exec.Command("losetup", "--detach", b.disk).Run()) }()
	text = fmt.Sprintf("## A card\n\n`make bench-flash`, %s: an image of %d MB of which %d MB are used, on a loop device, medians of %d rounds by turns.\n"+
		"gatectl reads the card back within its time; bmaptool 3.6 of Debian 12 does not.\n\n"+
		"| packed by | gatectl flash | bmaptool | ratio |\n|---|---|---|---|\n", time.Now().UTC().Format(time.DateOnly), imageSize/1_000_000, used/1_000_000, rounds)
	for _, kind := range []string{"zst", "xz"} {
		ours, theirs, ratio, err := b.compare("image." + kind)
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("| %s | %.2f s | %.2f s | %.2f |\n", kind, ours, theirs, ratio)
	}
	return text, nil
}

// writeImage makes an image of which a third is used, in pieces, half of it random and half of it text.
func writeImage(path string) (used int64, err error) {
	f, err := os.Create(path)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := f.Truncate(imageSize); err != nil {
		return 0, err
	}
	random, noise := rand.New(rand.NewPCG(1, 2)), rand.NewChaCha8([32]byte{})
	words := []byte(strings.Repeat("what a program's text is like, more or less; ", 1000))
	for at := int64(0); at < imageSize-(8<<20); at += int64(random.IntN(8<<20)+1<<20) &^ 4095 {
		for n := 1 + random.IntN(128); n > 0; n-- {
			block := words[random.IntN(1000):][:32<<10]
			if random.IntN(2) == 0 {
				noise.Read(block[:16<<10])
			}
			if _, err := f.WriteAt(block, at); err != nil {
				return 0, err
			}
			at += int64(len(block))
			used += int64(len(block))
		}
	}
	return used, f.Sync()
}

type bencher struct {
	ctx             context.Context
	dir, tool, disk string
}

func (b bencher) run(words ...string) (string, error) {
	cmd := exec.CommandContext(b.ctx, words[0], words[1:]...)
	cmd.Dir = b.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", strings.Join(words, " "), err, out)
	}
	return string(out), nil
}

// compare returns the medians in seconds, and of the rounds' ratios.
func (b bencher) compare(image string) (ours, theirs, ratio float64, err error) {
	var all [3][]float64
	for i := range rounds {
		var took [2]float64
		for turn := range 2 {
			who := (i + turn) % 2
			words := []string{b.tool, "flash", "-key", "maker.pub.pem", "-yes", image, b.disk}
			if who == 1 {
				words = []string{"bmaptool", "-q", "copy", "--bmap", "image.bmap", image, b.disk}
			}
			began := time.Now()
			if _, err := b.run(words...); err != nil {
				return 0, 0, 0, err
			}
			took[who] = time.Since(began).Seconds()
		}
		all[0], all[1], all[2] = append(all[0], took[0]), append(all[1], took[1]), append(all[2], took[0]/took[1])
		fmt.Fprintf(os.Stderr, "%s, round %d of %d: %.2f s, bmaptool %.2f s\n", image, i+1, rounds, took[0], took[1])
	}
	for _, list := range all {
		slices.Sort(list)
	}
	return all[0][rounds/2], all[1][rounds/2], all[2][rounds/2], nil
}
