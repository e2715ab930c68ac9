package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

const (
	keepFor   = time.Hour              // longer than any run: nothing is deleted at the gate
	showFor   = 200 * time.Millisecond // how long a visitor holds up a code
	verdictIn = 30 * time.Second       // for a kiosk to start and to judge, on a busy machine
)

// crash kills the real gatekiosk and a real gatectl pull at random moments. Whatever the gate's page has shown must in the end
// stand once in the puller's file, and so must every entry of the chain, in its order.
func crash(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	c, err := newCrasher(ctx, p)
	if c != nil {
		defer c.close()
	}
	if err != nil {
		return t, err
	}
	for round := range p.Scaled(3, 50) {
		if err := c.round(ctx); err != nil {
			return t, fmt.Errorf("round %d: %w\n%s", round, err, c.logs())
		}
		t.Kills += 2
	}
	if err := c.finish(ctx); err != nil {
		return t, fmt.Errorf("%w\n%s", err, c.logs())
	}
	t.Lost, t.Doubled, err = c.audit()
	p.Say("crash: %d kills, %d verdicts shown, lost %d, doubled %d", t.Kills, len(c.shown), t.Lost, t.Doubled)
	return t, err
}

// A crasher is a real kiosk with its hub and a puller.
type crasher struct {
	*demo.Stage
	puller   *puller
	random   *rand.Rand
	visitors int

	mu    sync.Mutex // guards shown
	shown map[uint64]entry.Verdict
}

func newCrasher(ctx context.Context, p *proof.Run) (*crasher, error) {
	for _, name := range []string{"gatekiosk", "gatehub", "gatectl"} {
		if _, err := p.Program(ctx, name); err != nil {
			return nil, err
		}
	}
	bin, dir := filepath.Join(p.Work, "bin"), filepath.Join(p.Work, "crash")
	stage, err := demo.NewStage(dir, bin, keepFor)
	if err != nil {
		return nil, err
	}
	c := &crasher{Stage: stage, random: p.Random(40), shown: map[uint64]entry.Verdict{}}
	c.puller = &puller{program: filepath.Join(bin, "gatectl"), flags: stage.PullFlags(), file: filepath.Join(dir, "pulled")}
	return c, errors.Join(stage.StartHub(), c.puller.start(""))
}

func (c *crasher) close() {
	if c.puller.process != nil {
		c.puller.process.Kill()
	}
	c.Close()
}

func (c *crasher) logs() (tails string) {
	for _, path := range c.Logs() {
		tails += tail(path)
	}
	return tails
}

// round lets people come until some verdicts are shown, and kills the kiosk and the puller, which goes on.
func (c *crasher) round(ctx context.Context) error {
	if err := c.StartKiosk(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, verdictIn)
	var crowd sync.WaitGroup
	crowd.Go(func() { c.watch(ctx) })
	for _, lane := range c.Lanes {
		crowd.Go(func() { c.come(ctx, lane) })
	}
	want := c.count() + 1 + c.random.IntN(3)
	err := until(ctx, verdictIn, "a verdict", func() bool { return c.count() >= want })
	select {
	case <-ctx.Done():
	case <-time.After(time.Duration(c.random.Int64N(int64(100 * time.Millisecond)))):
	}
	c.KillKiosk()
	stop()
	crowd.Wait()
	return errors.Join(err, c.puller.crash(c.random))
}

func (c *crasher) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.shown)
}

// watch notes what the page shows until ctx ends.
func (c *crasher) watch(ctx context.Context) {
	for ctx.Err() == nil {
		c.Watch(ctx, func(s guard.State) { // an error means that the page is not there yet, or gone
			c.mu.Lock()
			defer c.mu.Unlock()
			for _, r := range s.Recent {
				if r.Seq > 0 {
					c.shown[r.Seq] = r.Verdict
				}
			}
		})
		select {
		case <-ctx.Done():
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// come lets one visitor after the other hold up a declaration before a lane, until ctx ends.
func (c *crasher) come(ctx context.Context, lane string) {
	for ctx.Err() == nil {
		c.mu.Lock()
		c.visitors++
		n := c.visitors
		c.mu.Unlock()
		if _, text, err := c.Visitor(n); err == nil {
			c.Show(lane, text, showFor) // an error means that there is no kiosk now
		}
		select {
		case <-ctx.Done():
		case <-time.After(showFor):
		}
	}
}

// finish lets the kiosk send what it still has, and the puller take it.
func (c *crasher) finish(ctx context.Context) error {
	if err := c.StartKiosk(); err != nil {
		return err
	}
	defer c.StopKiosk()
	watching, sent := context.WithTimeout(ctx, drainTime)
	defer sent()
	from := uint64(0) // this run's own first entry must be among them
	for seq := range c.shown {
		from = max(from, seq)
	}
	var last uint64
	for last == 0 && watching.Err() == nil {
		c.Watch(watching, func(s guard.State) {
			if s.Seq > from && s.Unsent == 0 {
				last = s.Seq
				sent()
			}
		})
	}
	if last == 0 {
		return errors.New("the last entries did not reach the hub")
	}
	return until(ctx, seeTime, fmt.Sprintf("entry %d at the puller", last), func() bool {
		lines, err := c.puller.lines()
		return err == nil && len(lines) > 0 && lines[len(lines)-1].Seq >= last
	})
}

// audit looks for what was shown in the puller's file, and for each entry once.
func (c *crasher) audit() (lost, doubled int, err error) {
	lines, err := c.puller.lines()
	if err != nil {
		return 0, 0, err
	}
	lost, doubled = count(lines, c.shown)
	without := slices.Delete(slices.Clone(lines), len(lines)/2, len(lines)/2+1)
	if n, _ := count(without, c.shown); n <= lost {
		return lost, doubled, errors.New("control: a file without one of its lines was not noticed")
	}
	return lost, doubled, nil
}

// count counts the entries of one device that its lines leave out, or have twice or out of their order; and which verdicts
// were shown and are not among them.
func count(lines []pull.Line, shown map[uint64]entry.Verdict) (lost, doubled int) {
	missing := maps.Clone(shown)
	last := uint64(0)
	for _, l := range lines {
		if l.Seq <= last {
			doubled++
			continue
		}
		for seq := last + 1; seq < l.Seq; seq++ {
			if _, told := missing[seq]; !told { // those that were shown are counted at the end
				lost++
			}
		}
		last = l.Seq
		if v, told := missing[l.Seq]; told && v.String() == l.Verdict {
			delete(missing, l.Seq)
		}
	}
	return lost + len(missing), doubled
}
