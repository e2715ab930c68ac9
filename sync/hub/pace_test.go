package hub

import (
	"testing"
	"time"
)

// clock is a time that only the test moves, and a die that falls as the test says.
type clock struct {
	at  time.Time
	die float64
}

func (c *clock) pace() *Pace {
	return NewPace(func() time.Time { return c.at }, func() float64 { return c.die })
}

func TestNoPace(t *testing.T) {
	var p *Pace
	p.shaken(1)
	p.stored(1)
	if got := p.retryAfter(); got != minRetry {
		t.Error(got)
	}
}

func TestRetrySpreadsOverTheWork(t *testing.T) {
	c := &clock{at: now}
	p := c.pace()
	for range 1000 { // 10 ms a handshake, 20 ms a store, and 3,000 kiosks that wait
		c.at = c.at.Add(10 * time.Millisecond)
		p.shaken(1000)
		c.at = c.at.Add(10 * time.Millisecond)
		p.stored(2000)
	}
	for _, s := range []struct {
		die      float64
		from, to time.Duration
	}{{0, minRetry, minRetry}, {0.25, 14900 * time.Millisecond, 15100 * time.Millisecond}, {0.9999, 59 * time.Second, 61 * time.Second}} {
		c.die = s.die
		if got := p.retryAfter(); got < s.from || got > s.to {
			t.Errorf("die %v: %v, want %v to %v", s.die, got, s.from, s.to)
		}
	}
	p.shaken(0)
	p.stored(0)
	c.at, c.die = c.at.Add(time.Hour), 0.9999
	if got := p.retryAfter(); got != minRetry {
		t.Errorf("nobody waits any longer: %v", got)
	}
}

// Whoever was sent away waits as much as those in the queue.
func TestRetryCountsWhomItSentAway(t *testing.T) {
	c := &clock{at: now, die: 0.5}
	p := c.pace()
	var last time.Duration
	for range 10_000 {
		last = p.retryAfter()
	}
	if want := 10_000 * guess / 2; last != want {
		t.Errorf("the 10,000th: %v, want %v", last, want)
	}
	c.at = c.at.Add(10_000 * guess / 2)
	if got, want := p.retryAfter(), (5_000+1)*guess/2; got != want {
		t.Errorf("when half of them have been served: %v, want %v", got, want)
	}
	c.die = 0.9999
	for range 1_000_000 {
		last = p.retryAfter()
	}
	if last > maxRetry || last < maxRetry*99/100 {
		t.Errorf("after a million: %v", last)
	}
}

// A quiet hour says nothing of how fast the hub is.
func TestMeterCountsWhileOthersWait(t *testing.T) {
	m := meter{each: guess}
	at := now
	for range 100 {
		at = at.Add(time.Hour)
		m.note(at, 0)
	}
	if m.each != guess {
		t.Errorf("%v after quiet hours", m.each)
	}
	m.note(at, 9)
	for range 1000 {
		at = at.Add(5 * time.Millisecond)
		m.note(at, 9)
	}
	if m.each < 4990*time.Microsecond || m.each > 5*time.Millisecond {
		t.Errorf("%v, and each took 5 ms", m.each)
	}
}
