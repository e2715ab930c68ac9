package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/http"
	"os"
	"sync/atomic"

	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

const lossGates = 4

// loss lets a hub lose its disk again and again. Gates that have deleted what it had signed for send again what they still
// hold; a puller that follows is told where the log begins anew, and ends with every entry that was ever signed for or is
// still held.
func loss(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	s, err := newSite(ctx, p, "loss", "", 1, lossGates)
	if err != nil {
		return t, err
	}
	defer s.close()
	if err := s.start(); err != nil {
		return t, err
	}
	l := &loser{site: s, random: p.Random(50)}
	for _, g := range s.gates {
		g.up.Transport = &holding{g.up.Transport, &l.hold}
		if err := g.add(ctx, fileful+1); err != nil { // so that a file can be deleted
			return t, err
		}
	}
	defer l.close()
	for range p.Scaled(1, 12) {
		found, err := l.round(ctx)
		t.Add(found)
		if err != nil {
			return t, fmt.Errorf("%w\n%s", err, s.logs())
		}
	}
	p.Say("loss: %d disks lost, %d entries deleted at the gates before that, %d signed entries forgotten and sent again, lost %d, doubled %d",
		len(l.epochs)-1, l.pruned, s.book.forgotten(), t.Lost, t.Doubled)
	if l.pruned == 0 {
		return t, errors.New("no gate deleted anything: this proves nothing")
	}
	chains, err := s.chains()
	if err != nil {
		return t, err
	}
	return t, s.book.objections(chains)
}

// A loser is a site whose hub loses its disk, with a puller.
type loser struct {
	*site
	hold   atomic.Bool // gates may contact the hub but send nothing
	random *rand.Rand
	puller *puller
	start  string            // of the log, empty before the first loss
	epochs []string          // files of lines, one a log
	first  map[string]uint64 // entry of each device that was still held when the disk was lost
	pruned int
}

// holding is a gate's wire on which batches fail while hold is set.
type holding struct {
	http.RoundTripper
	hold *atomic.Bool
}

func (h *holding) RoundTrip(q *http.Request) (*http.Response, error) {
	if h.hold.Load() && q.Method == http.MethodPost {
		return nil, errors.New("batches are held up")
	}
	return h.RoundTripper.RoundTrip(q)
}

// close ends the puller.
func (l *loser) close() {
	if l.puller != nil {
		l.puller.process.Kill()
	}
}

// round fills the hub, lets gates delete, and loses the disk under load.
func (l *loser) round(ctx context.Context) (t proof.Tally, err error) {
	err = l.under(ctx, func(ctx context.Context) error { return l.progress(ctx, 2*len(l.gates)) })
	if err != nil {
		return t, err
	}
	if err := l.follow(ctx); err != nil {
		return t, err
	}
	if err := l.prune(ctx); err != nil {
		return t, err
	}
	l.first = map[string]uint64{}
	for _, g := range l.gates {
		l.first[g.device] = g.j.First()
	}
	if err := l.under(ctx, l.lose); err != nil {
		return t, err
	}
	if err := until(ctx, drainTime, "the puller's end", func() bool { return !l.puller.process.Running() }); err != nil {
		return t, err
	}
	if l.start, err = l.puller.restart(); err != nil {
		return t, err
	}
	l.puller = nil
	return l.settle(ctx)
}

// prune lets every gate delete what it may.
func (l *loser) prune(ctx context.Context) error {
	for _, g := range l.gates {
		n, err := g.prune(ctx)
		if err != nil {
			return err
		}
		l.pruned += n
	}
	return nil
}

// lose takes the hub's disk away when it has signed for a whole file of each gate. Before the gates send again, they try to
// delete that file: what the hub has forgotten must stay.
func (l *loser) lose(ctx context.Context) error {
	for _, g := range l.gates {
		if err := g.add(ctx, fileful+1); err != nil {
			return err
		}
		last := g.j.Head().Seq
		if err := until(ctx, drainTime, "a receipt for a whole file", func() bool { return g.j.Receipted() >= last }); err != nil {
			return err
		}
	}
	l.hold.Store(true)
	if err := l.empty(); err != nil {
		return err
	}
	before := l.book.answered()
	err := until(ctx, drainTime, "two answers of the empty hub to every gate", func() bool {
		now := l.book.answered()
		for _, g := range l.gates {
			if now[g.device] < before[g.device]+2 { // with the second one, the first has done its work
				return false
			}
		}
		return true
	})
	if err != nil {
		return err
	}
	if err := l.prune(ctx); err != nil {
		return err
	}
	l.hold.Store(false)
	return l.outgrow(ctx)
}

// outgrow waits until the new log is longer than the old one was: a cursor of the old one must be refused all the same.
func (l *loser) outgrow(ctx context.Context) error {
	old, err := l.puller.lines()
	if err != nil {
		return err
	}
	after := old[len(old)-1].Cursor
	place, err := pull.ParseCursor(after)
	if err != nil {
		return err
	}
	err = until(ctx, drainTime, "a longer log", func() bool {
		lines, err := l.pull(ctx, 0)
		if err != nil || len(lines) == 0 {
			return false
		}
		now, err := pull.ParseCursor(lines[len(lines)-1].Cursor)
		return err == nil && now.Seq > place.Seq
	})
	if err != nil {
		return err
	}
	if _, err := l.pull(ctx, 0, "-after", after); err == nil || !beginsAnew.MatchString(err.Error()) {
		return fmt.Errorf("a cursor of the log that is gone was answered: %w", err)
	}
	return nil
}

// empty takes everything from the hub but its keys.
func (l *loser) empty() error {
	l.tending.Lock()
	defer l.tending.Unlock()
	l.hubs[0].Kill()
	return errors.Join(os.RemoveAll(l.data[0]), l.site.start())
}

// follow lets a puller take everything that the hub should have, crashing now and then, and leaves it waiting for more.
func (l *loser) follow(ctx context.Context) error {
	if l.puller == nil {
		file := l.path(fmt.Sprintf("pulled-%d", len(l.epochs)))
		l.epochs = append(l.epochs, file)
		l.puller = &puller{program: l.gatectl, flags: l.pullFlags(0), file: file}
		if err := l.puller.start(l.start); err != nil {
			return err
		}
	}
	want, err := l.held()
	if err != nil {
		return err
	}
	for range 3 { // most batches have many entries here, so that it goes on inside one
		if err := l.puller.await(ctx, want); err != nil {
			return err
		}
		if err := l.puller.crash(l.random); err != nil {
			return err
		}
	}
	return l.puller.await(ctx, want)
}

// held returns what was held at the gates when the disk was lost, and what came since.
func (l *loser) held() (map[string]chain, error) {
	all, err := l.chains()
	if err != nil {
		return nil, err
	}
	some := map[string]chain{}
	for device, c := range all {
		some[device] = maps.Clone(c)
		maps.DeleteFunc(some[device], func(seq uint64, _ entry.Hash) bool { return seq < l.first[device] })
	}
	return some, nil
}

// settle lets the next puller take all of the new log. What is not in it, an earlier one must have taken.
func (l *loser) settle(ctx context.Context) (t proof.Tally, err error) {
	late := l.follow(ctx)
	want, err := l.held()
	if err != nil {
		return t, err
	}
	lines, err := l.puller.lines()
	if err != nil {
		return t, err
	}
	if t.Lost, t.Doubled = compare(want, lines); late != nil {
		return t, late
	}
	taken := map[string]map[uint64]bool{}
	for _, file := range l.epochs {
		lines, err := (&puller{file: file}).lines()
		if err != nil {
			return t, err
		}
		for _, line := range lines {
			if taken[line.Device] == nil {
				taken[line.Device] = map[uint64]bool{}
			}
			taken[line.Device][line.Seq] = true
		}
	}
	all, err := l.chains()
	for device, c := range all {
		for seq := range c {
			if !taken[device][seq] {
				t.Lost++
			}
		}
	}
	return t, err
}
