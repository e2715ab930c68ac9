package uplink

import (
	"context"
	"errors"
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
		u.waited = 0
		return u.Interval/2 + time.Duration(u.Jitter()*float64(u.Interval))
	case errors.As(err, &d):
		return u.MaxWait // a person must act
	}
	wait := u.backoff(u.fails, err)
	u.waited += wait
	return wait
}

// backoff is what the Rule says after so many failures in a row, of which err is the last.
func (u *Uplink) backoff(failures int, err error) time.Duration {
	r := Rule{u.MinWait, u.MaxWait, u.Spread, u.Jitter}
	return r.Wait(failures, u.waited, err, asked(err))
}

// asked is how long the hub asked to be left alone.
func asked(err error) time.Duration {
	if r := (*refusal)(nil); errors.As(err, &r) {
		return r.after
	}
	return 0
}
