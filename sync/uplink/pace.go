package uplink

import (
	"math"
	"time"
)

// maxLeft is the longest time that is foretold; longer ones are not known.
const maxLeft = 30 * 24 * time.Hour

// A pace is how fast entries go: an average over the last batches, in which a batch counts half as much with each that
// follows. The zero pace is not known.
type pace struct{ entries, seconds float64 }

// add counts a batch of n entries.
func (p *pace) add(n int, took time.Duration) {
	p.entries, p.seconds = p.entries/2+float64(n), p.seconds/2+took.Seconds()
}

// left returns how long n entries take, in whole seconds and at least one; 0 when there are none or it is not known.
func (p pace) left(n uint64) time.Duration {
	if n == 0 || p.entries == 0 {
		return 0
	}
	s := max(1, math.Round(float64(n)*p.seconds/p.entries))
	if s > maxLeft.Seconds() {
		return 0
	}
	return time.Duration(s) * time.Second
}
