// Bench-journal measures what one durable entry costs: as a bare write to the disk, in a plain file, in
// SQLite, in bbolt and in this project's journal, with nothing before it and behind a long history.
//
// All candidates take turns in one process, so the ratios hold on a machine whose absolute times drift.
// A second pass counts what reaches the disk, on an ext4 of its own in a loop device; that takes root.
// It speaks of the machine that it ran on: a gate's memory card has other times and other ratios.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/report"
)

// A plan says how much is measured.
type plan struct {
	histories []int // entries that are there before, ascending
	warm      int   // entries that are kept first and not measured: SQLite's log goes round after about 900
	rounds    int
	turn      int // entries that a candidate keeps in a round
	say       func(format string, a ...any)
}

func main() {
	dir := flag.String("dir", os.TempDir(), "`folder` on the disk to measure; all happens in a new folder in it")
	page := flag.String("update", "", "put the result into this Markdown `file`")
	date := flag.String("date", time.Now().UTC().Format(time.DateOnly), "the day that the report names")
	quick := flag.Bool("quick", false, "no history and few entries: under 20 seconds")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := plan{[]int{0, 271_227, 1_000_000}, 1000, 8, 300, say} // 271,227: as many as in the hub's stress load
	if *quick {
		p = plan{[]int{0}, 1000, 3, 100, say}
	}
	err := p.report(ctx, *dir, *page, *date)
	stop()
	if err != nil {
		say("bench-journal: %v", err)
		os.Exit(1)
	}
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// report measures and writes what came out.
func (p plan) report(ctx context.Context, dir, page, date string) error {
	where, err := machine(ctx, dir)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "bench-journal-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	s, err := newSample()
	if err != nil {
		return err
	}
	results, err := p.measure(ctx, candidates(s), filepath.Join(work, "time"), nil)
	if err == nil {
		err = os.RemoveAll(filepath.Join(work, "time")) // the second pass needs the room
	}
	if err != nil {
		return err
	}
	uncounted := p.count(ctx, candidates(s), filepath.Join(work, "bytes"), results)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	text := paper{where, date, s.size(), p, results, uncounted}.section()
	fmt.Print(text)
	if page == "" {
		return nil
	}
	return report.Update(page, "bench-journal", text)
}

// count does it all once more, on a disk of its own, and adds to the results what was written there.
func (p plan) count(ctx context.Context, all []candidate, dir string, results []result) (err error) {
	longest := int64(p.histories[len(p.histories)-1])
	d, err := newDisk(ctx, dir, 1<<30+longest*8<<10)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	counted, err := p.measure(ctx, all, filepath.Join(d.root, "bytes"), d.written)
	if err != nil {
		return err
	}
	for i, c := range counted {
		results[i].wrote = c.wrote
	}
	return nil
}
