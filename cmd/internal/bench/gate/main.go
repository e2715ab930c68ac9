// Bench-gate measures a gate as the people before it feel it: from the first frame in which a code stands still until the
// verdict is drawn and the lamp lit, with the entry on the disk; and what the gate's camera costs while nobody is there,
// beside zxing-cpp reading the same frames. Everything is real but the camera, the panel and the lamp's pins.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/peer"
	"gatepost/cmd/internal/bench/report"
	"gatepost/device"
	"gatepost/scanner"
	"gatepost/scanner/qr"
	"gatepost/scanner/qr/scene"
)

func main() {
	page := flag.String("update", "", "put the result into this Markdown `file`")
	people := flag.Int("people", 120, "who come to the gate, one every second and a half")
	zxing := flag.String("zxing", "bin/bench-zxing", "the `program` that reads by zxing-cpp")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	text, err := bench(ctx, *people, *zxing)
	stop()
	if err == nil && *page != "" {
		err = report.Update(*page, "gate", text)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench-gate:", err)
		os.Exit(1)
	}
	fmt.Print(text)
}

func bench(ctx context.Context, people int, zxing string) (string, error) {
	text := fmt.Sprintf("## A person at the gate\n\n`make bench-gate`, %s: from the first frame in which a code stands still until its verdict is drawn at 800x480 and its\n"+
		"lamp is lit, the entry on the disk. %d people a row, forty a minute, each with a signed declaration (a version-10 code), at 15 frames/s.\n\n"+
		"| camera | p50 | p95 | slowest | not seen |\n|---|---|---|---|---|\n", time.Now().Format(time.DateOnly), people)
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		took, err := gate(ctx, size[0], size[1], people)
		if err != nil {
			return "", err
		}
		slices.Sort(took)
		ms := func(d time.Duration) string { return fmt.Sprintf("%.0f ms", float64(d)/float64(time.Millisecond)) }
		if len(took) == 0 {
			return "", errors.New("nobody was seen")
		}
		text += fmt.Sprintf("| %dx%d | %s | %s | %s | %d |\n", size[0], size[1], ms(took[len(took)/2]), ms(took[len(took)*95/100]), ms(took[len(took)-1]), people-len(took))
	}
	text += "\nThe goal is 300 ms at p50 and 700 ms at p95 on a Pi 4 class board; here it is this machine.\n\n" +
		"With nobody there, CPU of a lane beside zxing-cpp reading the same frames, medians of 20 rounds of 20 frames by turns:\n\n" +
		"| camera | a lane, per frame | of one core at 10 frames/s | over zxing-cpp |\n|---|---|---|---|\n"
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		ours, ratio, err := idle(ctx, zxing, size[0], size[1])
		if err != nil {
			return "", err
		}
		text += fmt.Sprintf("| %dx%d | %.2f ms | %.1f %% | %.2f |\n", size[0], size[1], ours/1000, ours*10/10_000, ratio)
	}
	return text + crowds(), nil
}

// crowds tells what the hardest pictures cost: every frame of scanner/qr/scene, each another one, as no lane ever sees them.
func crowds() string {
	codes, empty := scene.Degradations(0)
	took := map[[2]int][]float64{}
	t := qr.NewTracker()
	for _, set := range slices.Concat(codes, empty, scene.Gate(0)) {
		for i := range set.Count {
			f := set.Frame(i)
			began := peer.CPU()
			t.Read(&f.Plane)
			took[[2]int{set.Width, set.Height}] = append(took[[2]int{set.Width, set.Height}], (peer.CPU()-began)/1000)
		}
	}
	text := "\nA lane's reading of every frame of `scanner/qr/scene`, one after the other and never the same (tilted, blurred, scratched, without\n" +
		"a code), in ms of CPU, and what four cameras of 15 frames/s take if all four see nothing else. A frame that comes while one is read\n" +
		"is left out for the newest: no lane falls behind by more than the slowest frame.\n\n" +
		"| frames | mean | p95 | slowest | four cameras, of one core |\n|---|---|---|---|---|\n"
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		all := took[size]
		slices.Sort(all)
		sum := 0.0
		for _, ms := range all {
			sum += ms
		}
		mean := sum / float64(len(all))
		text += fmt.Sprintf("| %d of %dx%d | %.1f | %.1f | %.1f | %.0f %% |\n", len(all), size[0], size[1], mean, all[len(all)*95/100], all[len(all)-1], mean*4*15/10)
	}
	return text
}

// idle returns the microseconds of CPU that a frame with nobody on it costs a lane, and that over zxing-cpp's.
func idle(ctx context.Context, zxing string, w, h int) (us, ratio float64, err error) {
	const rounds, frames = 20, 20
	z, err := peer.Start(ctx, "zxing-cpp", zxing)
	if err != nil {
		return 0, 0, err
	}
	defer z.Close()
	dir, err := os.MkdirTemp("", "bench-gate-")
	if err != nil {
		return 0, 0, err
	}
	defer os.RemoveAll(dir)
	room := newRoom(w, h)
	s := scanner.New(room, nil)
	var own, ratios []float64
	for range rounds {
		began := peer.CPU()
		room.left = frames
		if _, err := s.Next(ctx); !errors.Is(err, device.ErrEnd) {
			return 0, 0, fmt.Errorf("an empty room shows a code: %w", err)
		}
		a, b := (peer.CPU()-began)/frames, 0.0
		for i := range frames {
			file := filepath.Join(dir, "frame.pgm")
			pix := room.draw(i, nil)
			if err := os.WriteFile(file, append(fmt.Appendf(nil, "P5\n%d %d\n255\n", w, h), pix...), 0o600); err != nil {
				return 0, 0, err
			}
			took, _, err := z.Read(file)
			if err != nil {
				return 0, 0, err
			}
			b += took / frames
		}
		own, ratios = append(own, a), append(ratios, a/b)
	}
	slices.Sort(own)
	slices.Sort(ratios)
	return own[rounds/2], ratios[rounds/2], nil
}
