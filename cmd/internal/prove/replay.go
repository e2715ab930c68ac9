package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/prove/proof"

	"golang.org/x/sync/errgroup"
)

const (
	chunkSize    = 64 << 10 // of an image's file that is left out when it is all zero
	shownLosses  = 3        // that are told, and whose images stay in the run's folder
	replaySystem = "ext4"   // that this host can mount
)

// recordAndReplay records one machine's disk and cuts that record at many places.
func recordAndReplay(ctx context.Context, p *proof.Run, k kit) (sum proof.Tally, err error) {
	if os.Geteuid() != 0 {
		return sum, errors.New("replay: loop mounts need root")
	}
	began := time.Now()
	t, doubled, err := recordRun(ctx, p, k)
	if err != nil {
		return sum, fmt.Errorf("record a run: %w", err)
	}
	p.Say("recorded %d events, %d MB, in %v", len(t.events), t.size>>20, time.Since(began).Round(time.Second))
	began = time.Now()
	lost, _, err := replay(ctx, p, k, t, points(t, p.N*replayCuts, p.Random(10)), false)
	if err != nil {
		return sum, fmt.Errorf("replay: %w", err)
	}
	sum = proof.Tally{Cuts: p.N * replayCuts, Lost: lost, Doubled: doubled}
	p.Say("%s: %d replayed cuts, %.0f a minute, lost %d", replaySystem, sum.Cuts, float64(sum.Cuts)/time.Since(began).Minutes(), lost)

	tries := 4 * controlCuts
	lost, ruined, err := replay(ctx, p, k, t, points(t, tries, p.Random(11)), true)
	caught := lost - ruined
	if err == nil && caught == 0 {
		err = errors.New("nothing was lost, so the proof proves nothing")
	}
	if err != nil {
		return sum, fmt.Errorf("control of the replay, flushes ignored: %w", err)
	}
	p.Say("control of the replay, flushes ignored: of %d cuts %d lost entries, %d the file system", tries, caught, ruined)
	return sum, nil
}

// recordRun lets a machine run on a new disk for a while and returns what happened to it.
func recordRun(ctx context.Context, p *proof.Run, k kit) (t *tape, doubled int, err error) {
	d, err := k.disk(replaySystem, false)
	if err != nil {
		return nil, 0, err
	}
	t = &tape{base: bytes.Clone(d.kept)}
	d.record = t
	m, err := newMachine(p, k, replaySystem, "rw", d)
	if err != nil {
		return nil, 0, err
	}
	defer m.close()
	l, err := m.live(ctx, mark{}, recordAcks, 1)
	if err == nil && l.lost != "" {
		err = errors.New(l.lost)
	}
	var book account
	return t, book.take(l.acks), err
}

// points picks n places in a record to cut, in order.
func points(t *tape, n int, random *rand.Rand) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = random.IntN(len(t.events) + 1)
	}
	slices.Sort(list)
	return list
}

// replay cuts the record at the points and returns how many cuts lost something, and how many of those even the file
// system. Every processor takes a stretch.
func replay(ctx context.Context, p *proof.Run, k kit, t *tape, points []int, lying bool) (lost, ruined int, err error) {
	dir, err := os.MkdirTemp("/dev/shm", "gatepost-prove-")
	if err != nil {
		dir = p.Work
	} else {
		defer os.RemoveAll(dir)
	}
	var mu sync.Mutex // guards lost and ruined
	group, ctx := errgroup.WithContext(ctx)
	for stretch := range slices.Chunk(points, (len(points)+runtime.NumCPU()-1)/runtime.NumCPU()) {
		group.Go(func() error {
			b, err := newBench(dir, k)
			if err != nil {
				return err
			}
			return b.replay(ctx, t, stretch, lying, p.Random(1000+uint64(stretch[0])), func(at int, why string) {
				mu.Lock()
				defer mu.Unlock()
				lost++
				if strings.HasPrefix(why, unmountable) {
					ruined++
				}
				if lost <= shownLosses && !lying {
					image := filepath.Join(p.Work, fmt.Sprintf("lost-%d.img", lost))
					p.Say("✗ replay: cut at event %d of %d: %s (with -keep: %s, %v)", at, len(t.events), why, image, b.save(image))
				}
			})
		})
	}
	err = group.Wait()
	return lost, ruined, err
}

// A bench is where images are mounted and looked at.
type bench struct{ image, mount, check string }

func newBench(dir string, k kit) (*bench, error) {
	mount, err := os.MkdirTemp(dir, "mount-")
	return &bench{mount + ".img", mount, k.file("check")}, err
}

// replay goes once along the record and cuts it at the points, which are in order.
func (b *bench) replay(ctx context.Context, t *tape, points []int, lying bool, random *rand.Rand, lost func(at int, why string)) error {
	m := medium{kept: bytes.Clone(t.base), lying: lying}
	var last mark
	done := 0
	for _, at := range points {
		for ; done < at; done++ {
			e := t.events[done]
			m.apply(e)
			if e.action == acknowledged && e.mark.seq > last.seq {
				last = e.mark
			}
		}
		survivors := m.cut(random, chance(random))
		if err := b.write(m.kept, survivors); err != nil {
			return err
		}
		why, err := b.look(ctx, last)
		if err == nil && why != "" {
			err = b.write(m.kept, survivors) // as it was before it was mounted and looked at
			lost(at, why)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// write makes the image anew: kept, and over it what survived of the cache.
func (b *bench) write(kept []byte, survivors []sector) error {
	f, err := os.Create(b.image)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Truncate(int64(len(kept))); err != nil {
		return err
	}
	zero, off := make([]byte, chunkSize), int64(0)
	for chunk := range slices.Chunk(kept, chunkSize) {
		if !bytes.Equal(chunk, zero[:len(chunk)]) {
			if _, err := f.WriteAt(chunk, off); err != nil {
				return err
			}
		}
		off += int64(len(chunk))
	}
	for _, s := range survivors {
		if _, err := f.WriteAt(s.data, s.off); err != nil {
			return err
		}
	}
	return f.Close()
}

// look mounts the image, which repairs the file system, and lets the checker read the journal. It returns what is
// lost; an error says that nothing could be found out.
func (b *bench) look(ctx context.Context, last mark) (lost string, err error) {
	out, err := exec.CommandContext(ctx, "mount", "-o", "loop", "-t", replaySystem, b.image, b.mount).CombinedOutput()
	switch {
	case err != nil && (ctx.Err() != nil || strings.Contains(string(out), "loop device")):
		return "", fmt.Errorf("mount: %w: %s", err, out)
	case err != nil:
		return fmt.Sprintf("%s: %v: %s", unmountable, err, bytes.TrimSpace(out)), nil
	}
	lost, err = b.examine(ctx, last)
	if out, e := exec.Command("umount", b.mount).CombinedOutput(); e != nil {
		err = errors.Join(err, fmt.Errorf("umount: %w: %s", e, out))
	}
	return lost, err
}

// examine runs the checker on what is mounted.
func (b *bench) examine(ctx context.Context, last mark) (lost string, err error) {
	out, err := exec.CommandContext(ctx, b.check, "check", filepath.Join(b.mount, "journal"), fmt.Sprint(last.seq), last.name()).CombinedOutput()
	var l life
	failed := ""
	for line := range strings.Lines(string(out)) {
		failed += l.hear(strings.TrimSpace(line))
	}
	var ended *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return "", ctx.Err()
	case failed != "" || err != nil && !errors.As(err, &ended):
		return "", fmt.Errorf("check: %s, %w", failed, err)
	case l.lost != "":
		return l.lost, nil
	case err != nil || !l.whole:
		return fmt.Sprintf("the checker ended with %v: %s", err, out), nil // a panic, say
	}
	return "", nil
}

// save keeps the image for who wants to look at it.
func (b *bench) save(path string) error {
	data, err := os.ReadFile(b.image)
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}
