package sim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/sync/hub"
	"gatepost/sync/hub/hubtest"
)

// memory is the model of a log: what JetStream promises, and no more.
type memory struct {
	epoch  string
	now    func() time.Time
	stored func(hub.Message) // is told of each message, nil: nobody

	mu       sync.Mutex // for the suite; the world has one thread
	messages []hub.Message
	last     map[string]uint64 // place by subject
}

func newMemory(epoch string, now func() time.Time) *memory {
	return &memory{epoch: epoch, now: now, last: map[string]uint64{}}
}

func (l *memory) append(subject string, data []byte, prev uint64) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if at := l.last[subject]; at != prev {
		return 0, fmt.Errorf("wrong last place %d, not %d", at, prev)
	}
	m := hub.Message{Place: uint64(len(l.messages) + 1), Subject: subject, At: l.now(), Data: slices.Clone(data)}
	l.messages = append(l.messages, m)
	l.last[subject] = m.Place
	if l.stored != nil {
		l.stored(m)
	}
	return m.Place, nil
}

// pick returns a copy of the first message that fits, from the front or from the back.
func (l *memory) pick(subject string, from uint64, back bool) (hub.Message, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fits := func(m hub.Message) bool { return m.Place >= from && (subject == "*.*" || m.Subject == subject) }
	i := slices.IndexFunc(l.messages, fits)
	for j := len(l.messages) - 1; back && j > i; j-- {
		if fits(l.messages[j]) {
			i = j
		}
	}
	if i < 0 {
		return hub.Message{}, hub.ErrEmpty
	}
	m := l.messages[i]
	m.Data = slices.Clone(m.Data)
	return m, nil
}

// A writer is a hub's way to the log. Before and after may let time pass, fail, or never return.
type writer struct {
	log           *memory
	before, after func(call string) error
	closed        bool
}

var errClosed = errors.New("log is closed")

func (s *writer) call(name string, do func() error) error {
	if s.closed {
		return errClosed
	}
	if s.before != nil {
		if err := s.before(name); err != nil {
			return err
		}
	}
	err := do()
	if s.after != nil {
		err = errors.Join(err, s.after(name))
	}
	return err
}

func (s *writer) Append(ctx context.Context, subject string, data []byte, prev uint64) (at uint64, err error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	err = s.call("append "+short(subject), func() error { at, err = s.log.append(subject, data, prev); return err })
	return at, err
}

func (s *writer) First(_ context.Context, place uint64, subject string) (m hub.Message, err error) {
	err = s.call("first", func() error { m, err = s.log.pick(subject, place, false); return err })
	return m, err
}

func (s *writer) Last(_ context.Context, subject string) (m hub.Message, err error) {
	err = s.call("last "+short(subject), func() error { m, err = s.log.pick(subject, 0, true); return err })
	return m, err
}

// short shows a subject, a device or a hash in the trace.
func short(s string) string {
	kind, device, ok := strings.Cut(s, ".")
	if !ok {
		kind, device = "", s
	}
	return kind + " " + device[:min(4, len(device))]
}

// before is what may happen to a server's call before the log has done it; after, when it has.
func (s *server) before(life int) func(string) error {
	return func(call string) error {
		if !s.w.calm && s.w.chance(s.w.fate.slow) {
			s.w.pass(s.w.upTo(20 * time.Second))
		}
		s.dieWith(life)
		if s.w.stalled || s.w.unlucky(call) {
			s.w.say("server %d: %s fails", s.n, call)
			return errors.New("the log does not answer")
		}
		return nil
	}
}

func (s *server) after(life int) func(string) error {
	return func(call string) error {
		if !s.w.calm && s.w.chance(s.w.fate.slow) {
			s.w.pass(s.w.upTo(20 * time.Second))
		}
		s.dieWith(life)
		if s.w.unlucky(call) {
			s.w.say("server %d: nobody hears of %s", s.n, call)
			return errors.New("the log's answer is lost")
		}
		return nil
	}
}

// unlucky reports whether a call fails. A page is made of many reads, so that each of them fails less often.
func (w *world) unlucky(call string) bool {
	p := w.fate.storeFails
	if call == "first" {
		p /= 10
	}
	return !w.calm && w.chance(p)
}

// dieWith ends a call of a server that has crashed meanwhile: it never returns to the hub.
func (s *server) dieWith(life int) {
	if s.life != life {
		panic(http.ErrAbortHandler)
	}
}

// opened is a model of the log for the suite.
type opened struct{ *memory }

func (l opened) Open(*testing.T) (hub.Store, func()) {
	s := &writer{log: l.memory}
	return s, func() { s.closed = true }
}

// The model is held to what the engines are held to.
func TestModel(t *testing.T) {
	hubtest.Run(t, true, func(*testing.T) hubtest.Log { return opened{newMemory("epoch", time.Now)} })
}
