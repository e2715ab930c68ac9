// Package wall tells the time together with how far it can be trusted.
//
// A board without a battery wakes up with a wrong clock, and a clock can be set back at any moment.
// Nothing waits here for a better time, and nothing is rewritten later: an entry keeps the time and the
// trust that were known when it was made, and order comes from the sequence.
//
// Three sources are trusted: the operating system while it says that it is synchronised, the hub's signed time (Tell), and
// what a clock with a battery said at the start (Options.Kept), which both go on from there by the monotonic clock. The
// system's is finer and wins while it agrees with the signed one; where they are further apart than two minutes the signed
// one wins, for anybody on the way can forge what a system synchronises by. The battery's counts where there is neither.
// None may lie before what was trusted earlier. The package does not notice a hub, or a battery's clock, that tells the
// future.
package wall

import (
	"fmt"
	"sync"
	"time"

	"gatepost/storage/entry"

	"golang.org/x/sys/unix"
)

const (
	slack   = 2 * time.Minute  // how far a clock may be corrected backwards, or differ from another, without losing its trust
	maxTrip = 30 * time.Second // a hub's answer that took longer tells too little of the time
)

// A Clock gives stamps. It is safe for concurrent use.
type Clock struct {
	now     func() time.Time
	elapsed func() time.Duration
	synced  func() bool

	mu   sync.Mutex
	seen time.Time     // the latest time that was trusted
	mono time.Duration // of the latest stamp
	told time.Time     // the hub's time when the clock started; zero until there is one
	kept time.Time     // the time by a battery when the clock started; zero where there is none
}

// Options of a Clock. The zero value reads the operating system.
type Options struct {
	Now     func() time.Time     // nil: time.Now
	Elapsed func() time.Duration // since some moment, by a clock that nobody can set; nil: Now's monotonic one
	Synced  func() bool          // whether Now can be trusted; nil: Kernel
	Kept    time.Time            // what a clock with a battery says now; zero: nothing that counts
	Seen    time.Time            // no trusted time may lie before this one: the program's build, the journal's last entry
}

// New returns a clock that starts now.
func New(o Options) *Clock {
	c := &Clock{now: o.Now, elapsed: o.Elapsed, synced: o.Synced, seen: o.Seen}
	if !o.Kept.Before(o.Seen.Add(-slack)) { // else its battery was changed, or somebody set it back
		c.kept = o.Kept
	}
	if c.now == nil {
		c.now = time.Now
	}
	if c.synced == nil {
		c.synced = Kernel
	}
	if c.elapsed == nil {
		started := c.now()
		c.elapsed = func() time.Duration { return c.now().Sub(started) }
		return c
	}
	began := c.elapsed()
	c.elapsed = func() time.Duration { return o.Elapsed() - began }
	return c
}

// Kernel reports whether the operating system says that its clock is synchronised (adjtimex(2)).
func Kernel() bool {
	state, err := unix.Adjtimex(&unix.Timex{})
	return err == nil && state != unix.TIME_ERROR
}

// Tell takes the hub's signed time, which came with an answer that took roundTrip and arrived just now. A time that fits
// what the hub told before changes nothing, so that the clock does not tremble with the network. The error says why a
// time is not taken: it lies before one that was trusted, or took too long.
func (c *Clock) Tell(at time.Time, roundTrip time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.advance()
	earliest, latest := at, at.Add(roundTrip) // the hub looked at its clock some time during the round trip
	switch {
	case roundTrip < 0 || roundTrip > maxTrip:
		return fmt.Errorf("hub's time took %v, more than %v", roundTrip, maxTrip)
	case latest.Before(c.seen.Add(-slack)):
		return fmt.Errorf("hub's time %v lies before %v, which was trusted earlier", at.Format(time.RFC3339), c.seen.Format(time.RFC3339))
	}
	if now := c.told.Add(mono); c.told.IsZero() || now.Before(earliest) || now.After(latest) {
		c.told = at.Add(roundTrip/2 - mono)
	}
	return nil
}

// Stamp returns the time now. Mono never goes back and never jumps, whatever happens to Wall.
func (c *Clock) Stamp() entry.Stamp {
	c.mu.Lock()
	defer c.mu.Unlock()
	mono := c.advance()
	wall, trust, kept := c.trusted(mono)
	if trust >= entry.TrustClock && !kept && wall.After(c.seen) { // a battery's clock that is ahead must not keep the hub's out
		c.seen = wall
	}
	return entry.Stamp{Wall: wall.UTC().Truncate(time.Millisecond), Mono: mono.Truncate(time.Millisecond), Trust: trust}
}

// Fresh returns the time now by another source than the battery's clock, by which that clock can be set. It reports false
// while there is none.
func (c *Clock) Fresh() (time.Time, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	wall, trust, kept := c.trusted(c.advance())
	return wall, trust >= entry.TrustClock && !kept
}

// trusted chooses among the times that are known, and tells whether it took the battery's.
func (c *Clock) trusted(mono time.Duration) (wall time.Time, trust entry.Trust, kept bool) {
	now, told := c.now(), c.told.Add(mono)
	past := now.Before(c.seen.Add(-slack))
	fits := c.told.IsZero() || told.Sub(now).Abs() <= slack
	switch {
	case !past && fits && c.synced():
		return now, entry.TrustClock, false
	case !c.told.IsZero():
		return told, entry.TrustNetwork, false
	case !c.kept.IsZero():
		return c.kept.Add(mono), entry.TrustClock, true
	case past:
		return now, entry.TrustNone, false
	}
	return now, entry.TrustSeen, false
}

// advance returns the time since the clock started.
func (c *Clock) advance() time.Duration {
	c.mono = max(c.mono, c.elapsed())
	return c.mono
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
