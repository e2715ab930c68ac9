package uplink

import (
	"errors"
	"syscall"
	"time"
)

// DefaultSpread is about the time that a small hub needs for a full queue.
const DefaultSpread = 8 * time.Second

const maxSpread = 5 * time.Minute

// A Rule says how long a kiosk waits after a try that failed.
type Rule struct {
	MinWait, MaxWait time.Duration
	Spread           time.Duration
	Jitter           func() float64
}

// Wait returns a random time below a bound that doubles with each failure in a row, from MinWait to MaxWait; or longer,
// where the hub asked for it. waited is the time for which the kiosk has waited since the first of them.
//
// A hub that turned the connection away has too many kiosks at the door: the bound is the Window. One that does not listen
// may just be starting, with all its kiosks waiting: the bound is ten times the usual one.
func (r Rule) Wait(failures int, waited time.Duration, err error, asked time.Duration) time.Duration {
	bound := r.MinWait
	for ; failures > 1 && bound < r.MaxWait; failures-- {
		bound *= 2
	}
	bound = min(bound, r.MaxWait)
	switch {
	case TurnedAway(err):
		bound = r.Window(waited)
	case errors.Is(err, syscall.ECONNREFUSED):
		bound = min(10*bound, maxSpread)
	}
	wait := time.Duration((1 - r.Jitter()) * float64(bound))
	return max(wait, min(asked, maxAsked), 1)
}

// Window is the time over which a kiosk spreads its next try when the hub has turned it away and it has waited for so long:
// Spread, or an eighth of what it has waited if that is longer, 5 minutes at the most. It need not know how many others
// wait: as long as they come back before the hub's queue has run dry, the hub never idles, and to turn one away costs it
// next to nothing.
func (r Rule) Window(waited time.Duration) time.Duration {
	return min(max(r.Spread, waited/8), maxSpread)
}

// TurnedAway reports whether err says that the hub ended the connection before it had said a byte.
func TurnedAway(err error) bool { return errors.Is(err, errAway) }
