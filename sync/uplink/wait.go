package uplink

import (
	"context"
	"errors"
	"syscall"
	"time"
)

// maxAsked bounds the time for which a hub can silence a kiosk.
const maxAsked = time.Hour

// errAway means that the connection ended before the other side had said a byte: a hub sheds load that way, for it costs
// it nothing.
var errAway = errors.New("turned away")

// wait returns when it is time for the next step, and false when ctx has ended.
func (u *Uplink) wait(ctx context.Context) bool {
	timer := time.NewTimer(u.due.Sub(u.Now()))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-u.news:
			timer.Reset(u.Rewired().Sub(u.Now()))
		case <-u.j.Changed():
			if u.Well() {
				return true
			}
			s := u.told
			s.Unsent = u.j.Stats().Unsent
			u.tell(s)
		}
	}
}

// sleep waits, and returns false when ctx has ended.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// soon is how long to wait after what every kiosk of a venue sees at the same moment: the power or the network is back.
func (u *Uplink) soon() time.Duration {
	return time.Duration(u.Jitter() * float64(min(10*u.MinWait, u.Interval)))
}

// pause is how long to wait after a round that ended with err.
func (u *Uplink) pause(err error) time.Duration {
	d := (*disagreement)(nil)
	switch {
	case err == nil:
		return u.Interval/2 + time.Duration(u.Jitter()*float64(u.Interval))
	case errors.As(err, &d):
		return u.MaxWait // a person must act
	}
	return u.backoff(u.fails, err)
}

// backoff is a random time below a bound that doubles with each failure in a row, from MinWait to MaxWait; or longer,
// where the hub asked for it. A hub that turned the connection away has too many kiosks at the door: the bound is
// Spread at once. One that does not listen may just be starting, with all its kiosks waiting: the bound is ten times the
// usual one.
func (u *Uplink) backoff(failures int, err error) time.Duration {
	bound := u.MinWait
	for ; failures > 1 && bound < u.MaxWait; failures-- {
		bound *= 2
	}
	bound = min(bound, u.MaxWait)
	switch {
	case errors.Is(err, errAway):
		bound = min(u.Spread, maxAsked)
	case errors.Is(err, syscall.ECONNREFUSED):
		bound = min(10*bound, u.Spread, maxAsked)
	}
	wait := time.Duration((1 - u.Jitter()) * float64(bound))
	return max(wait, min(asked(err), maxAsked), 1)
}

// asked is how long the hub asked to be left alone.
func asked(err error) time.Duration {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.after
	}
	return 0
}
