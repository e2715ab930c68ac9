// Package wall tells the time together with how far it can be trusted.
//
// A board without a battery wakes up with a wrong clock, and a clock can be set back at any moment.
// Nothing waits here for a better time, and nothing is rewritten later: an entry keeps the time and the
// trust that were known when it was made, and order comes from the sequence.
package wall

import (
	"fmt"
	"sync"
	"time"

	"gatepost/storage/entry"

	"golang.org/x/sys/unix"
)

// slack is how far a clock may be corrected backwards without losing its trust.
const slack = 2 * time.Minute

// A Clock gives stamps. It is safe for concurrent use.
type Clock struct {
	now     func() time.Time
	synced  func() bool
	started time.Time

	mu   sync.Mutex
	seen time.Time // the latest time that was trusted
}

// Options of a Clock. The zero value reads the operating system.
type Options struct {
	Now    func() time.Time // nil: time.Now
	Synced func() bool      // whether Now can be trusted; nil: Kernel
	Seen   time.Time        // no trusted time may lie before this one: the program's build, the journal's last entry
}

// New returns a clock that starts now.
func New(o Options) *Clock {
	c := &Clock{now: o.Now, synced: o.Synced, seen: o.Seen}
	if c.now == nil {
		c.now = time.Now
	}
	if c.synced == nil {
		c.synced = Kernel
	}
	c.started = c.now()
	return c
}

// Kernel reports whether the operating system says that its clock is synchronised (adjtimex(2)).
func Kernel() bool {
	state, err := unix.Adjtimex(&unix.Timex{})
	return err == nil && state != unix.TIME_ERROR
}

// Stamp returns the time now. Mono never goes back, whatever happens to Wall.
func (c *Clock) Stamp() entry.Stamp {
	now := c.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	s := entry.Stamp{Wall: now.UTC().Truncate(time.Millisecond), Mono: now.Sub(c.started).Truncate(time.Millisecond)}
	switch {
	case now.Before(c.seen.Add(-slack)):
		s.Trust = entry.TrustNone
	case c.synced():
		s.Trust = entry.TrustClock
		if now.After(c.seen) {
			c.seen = now
		}
	default:
		s.Trust = entry.TrustSeen
	}
	return s
}

// Seen returns the latest time that was trusted.
func (c *Clock) Seen() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.seen
}

// ParseSource reads a configuration's word for the clock: "kernel" trusts the operating system's clock while
// it says that it is synchronised, "system" trusts it always.
func ParseSource(s string) (synced func() bool, err error) {
	switch s {
	case "kernel", "":
		return Kernel, nil
	case "system":
		return func() bool { return true }, nil
	}
	return nil, fmt.Errorf("clock %q is neither \"kernel\" nor \"system\"", s)
}
