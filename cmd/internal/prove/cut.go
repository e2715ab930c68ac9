package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"gatepost/cmd/internal/prove/proof"

	"golang.org/x/sync/errgroup"
)

const (
	liveCuts    = 20 // on each file system
	replayCuts  = 1000
	recordAcks  = 700 // acknowledgements of the run that is recorded: files are begun, sealed and deleted meanwhile
	controlCuts = 5   // one of so many has to lose something where flushes do not work
)

// fileSystems are those that the gate's data may lie on.
var fileSystems = []string{"ext4", "f2fs"}

// An account is what the guests of one disk have acknowledged.
type account struct {
	last mark // the highest
	seen map[uint64]bool
}

// take adds marks and returns how many of them were acknowledged before.
func (a *account) take(marks []mark) (doubled int) {
	if a.seen == nil {
		a.seen = map[uint64]bool{}
	}
	for _, m := range marks {
		if a.seen[m.seq] {
			doubled++
		}
		a.seen[m.seq] = true
		if m.seq > a.last.seq {
			a.last = m
		}
	}
	return doubled
}

// cut proves that what the journal acknowledged is there after the power went. It runs nothing at scale 0: a machine
// takes seconds to boot.
func cut(ctx context.Context, p *proof.Run) (proof.Tally, error) {
	if p.N == 0 {
		return proof.Tally{}, nil
	}
	kit, err := newKit(ctx, p)
	if err != nil {
		return proof.Tally{}, err
	}
	sum, err := recordAndReplay(ctx, p, kit)
	if err != nil {
		return sum, err
	}
	tallies := make([]proof.Tally, len(fileSystems))
	group, ctx := errgroup.WithContext(ctx)
	for i, fs := range fileSystems {
		group.Go(func() (err error) {
			if tallies[i], err = cutLive(ctx, p, kit, fs, p.Random(uint64(100+i))); err != nil {
				return fmt.Errorf("live cuts on %s: %w", fs, err)
			}
			return nil
		})
	}
	err = group.Wait()
	for _, t := range tallies {
		sum.Add(t)
	}
	return sum, err
}

// A kit is the folder that buildroot/test/cut.sh fills: what a machine boots, and the checker for this host.
type kit string

func newKit(ctx context.Context, p *proof.Run) (kit, error) {
	dir := filepath.Join(p.Work, "cut")
	cmd := exec.CommandContext(ctx, filepath.Join(p.Root, "buildroot/test/cut.sh"), dir)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("make what the machine boots: %w: %s", err, out)
	}
	return kit(dir), nil
}

// file returns the path of a part of the kit.
func (k kit) file(name string) string { return filepath.Join(string(k), name) }

// disk returns a new disk with an empty file system.
func (k kit) disk(fs string, lying bool) (*disk, error) {
	content, err := os.ReadFile(k.file(fs + ".img"))
	if err != nil {
		return nil, err
	}
	return newDisk(content, lying)
}

// cutLive cuts the power of a machine again and again, and does the same with disks and mounts that must lose.
func cutLive(ctx context.Context, p *proof.Run, k kit, fs string, random *rand.Rand) (proof.Tally, error) {
	began := time.Now()
	sum, err := honest(ctx, p, k, fs, random)
	if err != nil {
		return sum, err
	}
	p.Say("%s: %d live cuts, %.1f a minute, lost %d, doubled %d", fs, sum.Cuts, float64(sum.Cuts)/time.Since(began).Minutes(), sum.Lost, sum.Doubled)
	return sum, errors.Join(
		control(ctx, p, k, fs, "nobarrier", false, random),
		control(ctx, p, k, fs, "rw", true, random),
	)
}

// honest cuts the power of one machine whose disk and mount are as they should be. Behind the last cut it boots once
// more, for the check.
func honest(ctx context.Context, p *proof.Run, k kit, fs string, random *rand.Rand) (sum proof.Tally, err error) {
	for n := p.N * liveCuts; sum.Cuts < n && err == nil; {
		err = cutUntilLoss(ctx, p, k, fs, n, random, &sum)
	}
	return sum, err
}

// cutUntilLoss begins with a new disk and adds to sum, up to n cuts. It ends early when something is lost, because the
// entries that come then are not those that were acknowledged.
func cutUntilLoss(ctx context.Context, p *proof.Run, k kit, fs string, n int, random *rand.Rand, sum *proof.Tally) error {
	d, err := k.disk(fs, false)
	if err != nil {
		return err
	}
	m, err := newMachine(p, k, fs, "rw", d)
	if err != nil {
		return err
	}
	defer m.close()
	var book account
	for {
		last := sum.Cuts == n
		l, err := m.live(ctx, book.last, moment(random, last), 1+random.IntN(40))
		if err != nil {
			return err
		}
		sum.Doubled += book.take(l.acks)
		if l.lost != "" {
			sum.Lost++
			p.Say("✗ %s: behind cut %d: %s", fs, sum.Cuts, l.lost)
		}
		if l.lost != "" || last {
			return nil
		}
		sum.Cuts++
		volatile, gone := d.off(random, chance(random))
		p.Say("%s: cut %d behind entry %d, %d acknowledged in this run; of %d sectors not flushed, %d lost",
			fs, sum.Cuts, book.last.seq, len(l.acks), volatile, gone)
	}
}

// moment picks how many acknowledgements a run gives before it is cut: often many, sometimes none, so that mounting,
// recovery and opening are cut, too. The very last run is one that must come as far as its check.
func moment(random *rand.Rand, last bool) int {
	if !last && random.IntN(6) == 0 {
		return 0
	}
	return 1 + random.IntN(120)
}

// control makes sure that a loss shows where flushes do not work: the first cut leaves nothing of the cache, the next
// ones a random part. A file system that cannot be mounted does not count: the journal's check is what must notice.
func control(ctx context.Context, p *proof.Run, k kit, fs, how string, lying bool, random *rand.Rand) error {
	name := fmt.Sprintf("control on %s: mounted %s, lying disk %v", fs, how, lying)
	for n, share := 1, 0.0; n <= controlCuts; n, share = n+1, random.Float64() {
		lost, err := controlCut(ctx, p, k, fs, how, lying, share, random)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		p.Say("%s: cut %d: %q is lost", name, n, lost)
		if lost != "" && !strings.HasPrefix(lost, unmountable) {
			return nil
		}
	}
	return fmt.Errorf("%s: no entry was lost in %d cuts, so the proof proves nothing", name, controlCuts)
}

// controlCut fills a new disk, cuts it once where flushes do not work, and returns what the guest says is lost.
func controlCut(ctx context.Context, p *proof.Run, k kit, fs, how string, lying bool, share float64, random *rand.Rand) (string, error) {
	d, err := k.disk(fs, lying)
	if err != nil {
		return "", err
	}
	m, err := newMachine(p, k, fs, "rw", d)
	if err != nil {
		return "", err
	}
	defer m.close()
	var book account
	for _, life := range []struct {
		how   string
		acks  int
		share float64
	}{{"rw", 10, 1}, {how, 20 + random.IntN(60), share}} {
		m.how = life.how
		l, err := m.live(ctx, book.last, life.acks, 1+random.IntN(40))
		if err == nil && l.lost != "" {
			err = errors.New(l.lost)
		}
		if err != nil {
			return "", fmt.Errorf("before the cut: %w", err)
		}
		book.take(l.acks)
		d.off(random, life.share)
	}
	l, err := m.live(ctx, book.last, 1, 1)
	return l.lost, err
}
