// Bench-scan reads the same frames with this project's reader and with its peers, by turns: zxing-cpp and ZBar as Debian packages
// them, and gozxing's own reader. It says how many codes each has read, what was read wrongly, and the time over zxing-cpp's.
//
// The frames are scanner/qr/scene's, and those of folders of PGM files that are named. A picture's time is the least CPU of its
// rounds, a kind's ratio the median over its pictures.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/report"
	"gatepost/scanner/luma"
	"gatepost/scanner/qr/scene"
)

func main() {
	seed := flag.Int64("seed", 0, "of the frames")
	share := flag.Int("every", 1, "take every n-th frame of each kind only")
	rounds := flag.Int("rounds", 6, "how often each picture is read by each")
	page := flag.String("update", "", "put the result into this Markdown `file`")
	peers := flag.String("peers", "bin", "`folder` of the programs bench-zxing and bench-zbar")
	far := flag.Bool("reach", false, "say how far away codes may be held instead")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	name, text, err := "scan", "", error(nil)
	if *far {
		name, text = "reach", reach(*seed, func(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) })
	} else {
		text, err = bench(ctx, *peers, sets(*seed, *share, flag.Args()), *rounds)
	}
	stop()
	if err == nil && *page != "" {
		err = report.Update(*page, name, text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-scan:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

// Kinds of sets. Of a folder nobody knows the texts.
const (
	withCode = "all frames with a code"
	without  = "all frames without one"
	unknown  = ""
)

// A set is pictures of one kind.
type set struct {
	name  string
	count int
	frame func(i int) (scene.Frame, error)
	kind  string // under which it is added up
}

// sets returns the scenes, and each folder as a set whose texts nobody knows.
func sets(seed int64, every int, folders []string) (all []set) {
	codes, empty := scene.Degradations(seed)
	for _, l := range []struct {
		kind string
		sets []scene.Set
	}{{withCode, codes}, {withCode, scene.Gate(seed)}, {without, empty}} {
		for _, s := range l.sets {
			draw := func(i int) (scene.Frame, error) { return s.Frame(i * every), nil }
			all = append(all, set{s.Name, (s.Count + every - 1) / every, draw, l.kind})
		}
	}
	for _, dir := range folders {
		files, _ := filepath.Glob(filepath.Join(dir, "*.pgm")) // the pattern is sound
		load := func(i int) (f scene.Frame, err error) {
			f.Plane, err = loadPGM(files[i])
			return f, err
		}
		all = append(all, set{filepath.Base(dir), len(files), load, unknown})
	}
	return all
}

// A tally is what the readers made of one set, in the readers' order.
type tally struct {
	set
	read, wrong []int
	times       [][]float64 // by reader and picture, microseconds
}

func bench(ctx context.Context, peers string, all []set, rounds int) (string, error) {
	readers, err := start(ctx, peers)
	if err != nil {
		return "", err
	}
	defer func() {
		for _, r := range readers {
			r.close()
		}
	}()
	dir, err := os.MkdirTemp("", "bench-scan-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	var tallies []tally
	for i, s := range all {
		t, err := s.measure(ctx, filepath.Join(dir, "frame.pgm"), readers, rounds)
		if err != nil {
			return "", fmt.Errorf("%s: %w", s.name, err)
		}
		fmt.Fprintf(os.Stderr, "%d of %d: %s\n", i+1, len(all), t.row(readers))
		tallies = append(tallies, t)
	}
	return section(tallies, readers, rounds), nil
}

func (s set) measure(ctx context.Context, file string, readers []reader, rounds int) (tally, error) {
	t := tally{s, make([]int, len(readers)), make([]int, len(readers)), make([][]float64, len(readers))}
	for i := range s.count {
		f, err := s.frame(i)
		if err != nil {
			return t, err
		}
		if err := writePGM(file, &f.Plane); err != nil {
			return t, err
		}
		least, texts := make([]float64, len(readers)), make([][]string, len(readers))
		for round := range rounds {
			for k := range readers {
				k = (k + round) % len(readers)
				if ctx.Err() != nil {
					return t, ctx.Err()
				}
				took, found, err := readers[k].read(file, &f.Plane)
				if err != nil {
					return t, fmt.Errorf("%s: %w", readers[k].name(), err)
				}
				if texts[k] = found; round == 0 || took < least[k] {
					least[k] = took
				}
			}
		}
		for k := range readers {
			t.times[k] = append(t.times[k], least[k])
			for _, text := range texts[k] {
				if text == f.Text || s.kind == unknown {
					t.read[k]++
					break
				}
			}
			for _, text := range texts[k] {
				if text != f.Text && s.kind != unknown {
					t.wrong[k]++
				}
			}
		}
	}
	return t, nil
}

// loadPGM reads a picture that has no comments in its header.
func loadPGM(path string) (p luma.Plane, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return p, err
	}
	var w, h int
	if _, err := fmt.Sscanf(string(data[:min(len(data), 40)]), "P5\n%d %d\n255\n", &w, &h); err != nil || w < 1 || h < 1 || w*h > len(data) {
		return p, fmt.Errorf("%s is not a grey PGM of 8 bits", path)
	}
	return luma.Plane{Width: w, Height: h, Stride: w, Pix: data[len(data)-w*h:]}, nil
}

func writePGM(path string, p *luma.Plane) error {
	return os.WriteFile(path, append(fmt.Appendf(nil, "P5\n%d %d\n255\n", p.Width, p.Height), p.Pix...), 0o600)
}

// section is the result's part of the page on performance.
func section(all []tally, readers []reader, rounds int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## Reading a code\n\n`make bench-scan`, %s: frames read by turns, %d rounds. A cell is codes read (texts that are wrong, where there are any) "+
		"and the CPU over zxing-cpp's.\n\n| frames (n) |", time.Now().UTC().Format(time.DateOnly), rounds)
	for _, r := range readers {
		fmt.Fprintf(&b, " %s |", r.name())
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(readers)) + "\n")
	for _, t := range all {
		b.WriteString(t.row(readers) + "\n")
	}
	for _, kind := range []string{withCode, without} {
		sum := tally{set{name: "**" + kind + "**"}, make([]int, len(readers)), make([]int, len(readers)), make([][]float64, len(readers))}
		for _, t := range all {
			if t.kind == kind {
				sum.add(t)
			}
		}
		b.WriteString(sum.row(readers) + "\n")
	}
	return b.String()
}

func (t *tally) add(o tally) {
	t.count += o.count
	for k := range t.read {
		t.read[k] += o.read[k]
		t.wrong[k] += o.wrong[k]
		t.times[k] = append(t.times[k], o.times[k]...)
	}
}

// row is a line of the table.
func (t tally) row(readers []reader) string {
	row := fmt.Sprintf("| %s (%d) |", t.name, t.count)
	for k := range readers {
		row += fmt.Sprintf(" %d", t.read[k])
		if t.wrong[k] > 0 {
			row += fmt.Sprintf(" (%d wrong)", t.wrong[k])
		}
		row += fmt.Sprintf(", %.2f |", ratio(t.times[k], t.times[1]))
	}
	return row
}
