package hub

import (
	"sync"
	"time"
)

const (
	minRetry = time.Second
	maxRetry = 10 * time.Minute
	guess    = 2 * time.Millisecond // a kiosk's share of the hub, until it has been measured
)

// A Pace measures how fast kiosks are served while others wait, and spreads those whom the hub sends away over the
// time that the remaining work needs. A nil Pace measures nothing and spreads over the shortest time.
type Pace struct {
	now  func() time.Time
	rand func() float64 // from 0 to below 1

	mu           sync.Mutex // guards what follows
	shake, store meter
	promised     time.Time // by then, all who were told to come again will have been served
}

// NewPace returns a Pace with this clock and this randomness, which is from 0 to below 1.
func NewPace(now func() time.Time, rand func() float64) *Pace {
	return &Pace{now: now, rand: rand, shake: meter{each: guess}, store: meter{each: guess}}
}

// shaken notes the end of a handshake, while left others wait for theirs.
func (p *Pace) shaken(left int) {
	if p != nil {
		p.note(&p.shake, left)
	}
}

// stored notes that a batch has become durable, while left others wait for that.
func (p *Pace) stored(left int) {
	if p != nil {
		p.note(&p.store, left)
	}
}

func (p *Pace) note(m *meter, left int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m.note(p.now(), left)
}

// retryAfter returns when a kiosk that is sent away shall come again: at a time drawn uniformly from that which all
// need who wait or were sent away before, from 1 s to 10 min.
func (p *Pace) retryAfter() time.Duration {
	if p == nil {
		return minRetry
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now, each := p.now(), max(p.shake.each, p.store.each)
	if p.promised.Before(now) {
		p.promised = now
	}
	p.promised = p.promised.Add(each)
	if last := now.Add(maxRetry); p.promised.After(last) {
		p.promised = last
	}
	work := p.promised.Sub(now) + time.Duration(p.shake.left+p.store.left)*each
	return min(max(minRetry, time.Duration(p.rand()*float64(work))), maxRetry)
}

// meter is an exponential average of the time between one kiosk's service and the next. It counts only while others
// wait: the pauses of a quiet hour say nothing of how fast the hub is.
type meter struct {
	last time.Time
	left int // that waited then
	each time.Duration
}

func (m *meter) note(now time.Time, left int) {
	const weight = 64 // services that the average remembers
	if m.left > 0 {
		m.each += (now.Sub(m.last) - m.each) / weight
	}
	m.last, m.left = now, left
}
