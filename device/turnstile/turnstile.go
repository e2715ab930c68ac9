// Package turnstile lets one person through a turnstile, a barrier or a door: a relay that is moved for a moment, and,
// where there is one, a contact that tells whether somebody went through.
//
// It never stays open on its own: the relay falls back after its pulse, at an error, and with Halt. What holds when the
// power fails is the lock's own nature, and Options.Safe must say it truly: a lock that is fail-safe opens, one that is
// fail-secure stays shut. Where people must get out of a fire, use one that is fail-safe.
package turnstile

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"periph.io/x/conn/v3/gpio"
)

// Options of a Turnstile.
type Options struct {
	Safe  bool          // the lock is fail-safe: power holds it shut
	Pulse time.Duration // how long it is unlocked; it is locked again as soon as somebody went through
	Wait  time.Duration // how long somebody may take to go through, the pulse included
}

// Passed tells what came of an opening.
type Passed uint8

const (
	Unknown Passed = iota // nothing can tell
	Turned
	NotTurned
)

// look is how late the end of a context may be noticed.
const look = 100 * time.Millisecond

// A Turnstile is one of them. It is safe for concurrent use, one opening at a time.
type Turnstile struct {
	o      Options
	relay  gpio.PinOut
	turned gpio.PinIn // nil: nothing tells
	mu     sync.Mutex
}

// Locked returns the level of the relay's line while the turnstile is shut, with which its caller requests the line.
func (o Options) Locked() gpio.Level { return gpio.Level(o.Safe) }

// New returns a turnstile and shuts it. High moves the relay. An edge at turned, whose pull its caller chose, is somebody who went
// through; turned may be nil, and its In must forget the edges of before.
func New(relay gpio.PinOut, turned gpio.PinIn, o Options) (*Turnstile, error) {
	t := &Turnstile{o: o, relay: relay, turned: turned}
	if err := t.lock(); err != nil {
		return nil, err
	}
	return t, nil
}

// Open unlocks for one person and tells whether they went through. When ctx ends it locks and returns Unknown.
func (t *Turnstile) Open(ctx context.Context) (passed Passed, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.turned != nil { // an edge of somebody before tells nothing
		if err := t.turned.In(t.turned.Pull(), gpio.BothEdges); err != nil {
			return Unknown, fmt.Errorf("listen to turnstile: %w", err)
		}
	}
	opened := time.Now()
	defer func() { err = errors.Join(err, t.lock()) }()
	if err := t.relay.Out(!t.o.Locked()); err != nil {
		return Unknown, fmt.Errorf("unlock turnstile: %w", err)
	}
	if t.wait(ctx, opened.Add(t.o.Pulse)) {
		return Turned, nil
	}
	if err := t.lock(); err != nil {
		return Unknown, err
	}
	switch {
	case t.turned == nil || ctx.Err() != nil:
		return Unknown, nil
	case t.wait(ctx, opened.Add(t.o.Wait)):
		return Turned, nil
	case ctx.Err() != nil:
		return Unknown, nil
	}
	return NotTurned, nil
}

// wait waits until somebody went through, which it reports, until or ctx's end.
func (t *Turnstile) wait(ctx context.Context, until time.Time) bool {
	for left := time.Until(until); left > 0 && ctx.Err() == nil; left = time.Until(until) {
		if t.turned == nil {
			select {
			case <-ctx.Done():
			case <-time.After(left):
			}
		} else if t.turned.WaitForEdge(min(left, look)) {
			return true
		}
	}
	return false
}

func (t *Turnstile) lock() error {
	if err := t.relay.Out(t.o.Locked()); err != nil {
		return fmt.Errorf("lock turnstile: %w", err)
	}
	return nil
}

// Halt releases the lines. A relay without power falls off: a lock that is fail-safe opens with it.
func (t *Turnstile) Halt() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	failed := []error{t.lock(), t.relay.Halt()}
	if t.turned != nil {
		failed = append(failed, t.turned.Halt())
	}
	return errors.Join(failed...)
}
