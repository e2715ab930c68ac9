package enrol

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/supervise"
	"gatepost/device"
	"gatepost/storage/entry"
)

// A Gate is a unit that waits for its enrolment. It is a guard.Gate that shows how far that has come, and nothing else.
type Gate struct {
	File string     // also has the enrolment, see Reader.File; "": none does
	Port kiosk.Port // takes sticks with such a file; nil: there is none

	lanes []kiosk.Lane
	log   *slog.Logger

	mu       sync.Mutex // guards what follows
	enrolled bool
	said     guard.Said
	states   []guard.Lane
	changed  chan struct{}
}

// NewGate returns a unit with those lanes.
func NewGate(lanes []kiosk.Lane, log *slog.Logger) *Gate {
	g := &Gate{lanes: lanes, log: log, changed: make(chan struct{}), said: guard.Said{Face: guard.Ready, Words: guard.Text{
		VI: "Hãy cho máy quét mã ghi danh", EN: "Not enrolled: show the enrolment's codes",
	}}}
	for _, l := range lanes {
		g.states = append(g.states, guard.Lane{Name: l.Name, Direction: l.Direction.String(), Source: l.Source, Text: "starting"})
	}
	return g
}

// Run reads until store has an enrolment, or ctx ends. Its lanes are closed when it returns.
func (g *Gate) Run(ctx context.Context, store *Store, clock func() entry.Stamp) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r := NewReader(store, clock, func() {
		g.change(func() { g.enrolled = true })
		stop()
	})
	if said, ok := r.File(g.File); ok {
		g.change(func() { g.said = said })
	}
	var lanes sync.WaitGroup
	if g.Port != nil {
		lanes.Go(func() {
			for ctx.Err() == nil {
				g.stick(ctx, r)
			}
		})
	}
	for i, l := range g.lanes {
		lanes.Go(func() {
			supervise.Run(ctx, g.log, "lane "+l.Name, func(ctx context.Context) error { return g.work(ctx, i, r) }, func(err error) {
				g.change(func() { g.states[i].OK, g.states[i].Text = false, err.Error() })
			})
		})
	}
	lanes.Wait()
	<-ctx.Done() // lanes that have come to an end do not end the waiting
}

// stick reads one stick, from its insertion until it is pulled out.
func (g *Gate) stick(ctx context.Context, r *Reader) {
	dir, err := g.Port.Insert(ctx)
	said := guard.Said{Face: guard.Stop, Words: guard.Text{VI: "USB: không có " + FileName, EN: "no " + FileName + " on the stick"}}
	if err == nil {
		if of, ok := r.File(filepath.Join(dir, FileName)); ok {
			said = of
		}
		err = g.Port.Release()
	}
	if err != nil {
		said = guard.Said{Face: guard.Broken, Words: guard.Text{VI: "Không đọc được USB", EN: "the stick is not read: " + err.Error()}}
	}
	if ctx.Err() != nil {
		return
	}
	g.change(func() { g.said = said })
	g.Port.Removed(ctx)
}

// work reads one lane.
func (g *Gate) work(ctx context.Context, i int, r *Reader) error {
	source, err := g.lanes[i].Open(ctx)
	if err != nil {
		return err
	}
	defer source.Close()
	g.change(func() { g.states[i].OK, g.states[i].Text = true, "" })
	for {
		s, err := source.Next(ctx)
		if errors.Is(err, device.ErrEnd) {
			g.change(func() { g.states[i].Text = "no more pictures" })
			return nil
		}
		if err != nil {
			return err
		}
		for _, text := range s.Texts {
			if said, ok := r.Read(text); ok {
				g.change(func() { g.said = said })
			}
			if ctx.Err() != nil {
				return ctx.Err() // enrolled: the next code is for the gate
			}
		}
	}
}

func (g *Gate) change(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
	close(g.changed)
	g.changed = make(chan struct{})
}

// State implements guard.Gate.
func (g *Gate) State() guard.State {
	g.mu.Lock()
	defer g.mu.Unlock()
	said := g.step()
	return guard.State{
		Venue: "Gatepost", Zone: "UTC", Clock: entry.TrustNone.String(), Enrol: &said,
		Lanes: append([]guard.Lane{}, g.states...), Shown: []guard.Shown{}, Recent: []guard.Recent{},
	}
}

// step numbers what is said by the three steps to a gate: a camera works, the codes are read, and the gate starts. g.mu is held.
func (g *Gate) step() guard.Said {
	n, said := 1, g.said
	if slices.ContainsFunc(g.states, func(l guard.Lane) bool { return l.OK }) || g.said.Face != guard.Ready {
		n = 2
	}
	switch {
	case g.enrolled:
		n = 3
		said.Words = guard.Text{VI: "đã ghi danh, cổng khởi động trong vài giây", EN: "enrolled, the gate starts within seconds"}
	case n == 1:
		said.Words = guard.Text{VI: "đợi máy quét, khoảng 5 giây", EN: "waiting for the camera, about 5 s"}
	}
	said.Words.VI, said.Words.EN = fmt.Sprintf("Bước %d/3: %s", n, said.Words.VI), fmt.Sprintf("step %d of 3: %s", n, said.Words.EN)
	return said
}

// Changed implements guard.Gate.
func (g *Gate) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

// Do implements guard.Gate: there is nothing to do but to enrol.
func (g *Gate) Do(context.Context, guard.Action) error {
	return errors.New("this gate is not enrolled yet")
}
