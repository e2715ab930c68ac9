package pull

import (
	"math"
	"sync"
	"time"
)

const (
	perSecond = 100 // requests of one token; a page may have 10,000 lines
	burst     = 200
)

// A bucket bounds how often one token comes. It begins full.
type bucket struct {
	mu   sync.Mutex
	used float64 // drains by perSecond
	at   time.Time
}

// take returns 0 when the request may go on, else after how many seconds the next one may.
func (b *bucket) take(now time.Time) (wait int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if passed := now.Sub(b.at).Seconds(); passed > 0 { // a clock that was put back drains nothing
		b.used = max(0, b.used-passed*perSecond)
	}
	b.at = now
	if b.used+1 > burst {
		return int(math.Ceil((b.used + 1 - burst) / perSecond))
	}
	b.used++
	return 0
}
