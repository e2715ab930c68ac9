// Package uplink hands a journal on to a hub: it sends what the hub does not hold yet, in order, and keeps the
// receipts that come back.
//
// At each contact both ends compare sequence and hash, and sending goes on behind the last entry on which
// they agree. So an answer that got lost doubles nothing, and a hub that lost its disk gets everything
// again that is still here. Where they disagree (the hub is ahead, or holds another entry under the same
// sequence: a cloned or rolled-back card) it raises an alarm and sends nothing until a contact agrees again.
//
// The journal alone remembers what is receipted; what the uplink knows besides dies with it. It does not
// promise that an entry reaches the hub soon, only that none is skipped, and it opens no seal.
package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// maxAsked bounds the time for which a hub can silence a kiosk.
const maxAsked = time.Hour

// Options say where the hub is and who speaks to it.
type Options struct {
	Hub        string             // https://host:port
	CA         *x509.CertPool     // that vouch for the hub, nil = the system's
	Key        ed25519.PrivateKey // the device's
	ReceiptKey ed25519.PublicKey  // the hub's

	Interval         time.Duration // between contacts when there is nothing to send, 0 = 1 min
	MinWait, MaxWait time.Duration // after a failure, growing with jitter, 0 = 1 s and 5 min

	Log       *slog.Logger
	Transport http.RoundTripper // nil = HTTPS with TLS 1.3, X25519, through the environment's proxy
	Jitter    func() float64    // from 0 to below 1, nil = random

	OnState func(State)       // called from Run whenever the state changes
	OnAlarm func(text string) // called from Run, once for each disagreement; text names no person
}

// State is how the uplink stands.
type State struct {
	Online      bool // the last exchange was a success
	Unsent      int  // entries that no receipt covers
	LastContact time.Time
	Problem     string // why it is not going well, empty when it is
}

// An Uplink serves one journal. Run it once.
type Uplink struct {
	Options
	j         *journal.Journal
	device    string
	client    *http.Client
	anyScheme bool // whoever gives a Transport knows what it speaks

	agreed bool   // cursor is the hub's word, and it fits our chain
	cursor uint64 // the last entry that the hub holds
	limit  int    // entries of a batch; less while the hub finds batches too large
	fails  int    // in a row
	alarm  string // the last one raised, until a contact agrees
	told   State  // what OnState knows
	last   time.Time
}

// New returns an uplink for j.
func New(j *journal.Journal, o Options) *Uplink {
	anyScheme := o.Transport != nil
	o.Interval = or(o.Interval, time.Minute)
	o.MinWait = or(o.MinWait, time.Second)
	o.MaxWait = max(o.MinWait, or(o.MaxWait, 5*time.Minute))
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Transport == nil {
		o.Transport = transport(o.CA)
	}
	return &Uplink{
		Options: o, anyScheme: anyScheme, j: j, limit: wire.MaxEntries,
		device: entry.DeviceID(o.Key.Public().(ed25519.PublicKey)),
		client: &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a batch goes to the hub or nowhere
		}},
	}
}

func or(d, other time.Duration) time.Duration {
	if d > 0 {
		return d
	}
	return other
}

// Run hands on until ctx ends; then it returns nil. No failure of the network or of the hub ends it.
func (u *Uplink) Run(ctx context.Context) error {
	defer u.client.CloseIdleConnections()
	for {
		err := u.round(ctx)
		if ctx.Err() != nil {
			return nil
		}
		u.settle(err)
		if !u.wait(ctx, err) {
			return nil
		}
	}
}

// round compares heads if need be and sends until the hub holds everything.
func (u *Uplink) round(ctx context.Context) error {
	for steps := 0; ; {
		if !u.agreed {
			if err := u.contact(ctx); err != nil {
				return err
			}
		}
		if u.cursor >= u.j.Head().Seq {
			return nil
		}
		switch err := u.send(ctx); {
		case err == nil:
			steps = 0
			u.settle(nil)
		case errors.Is(err, errSmaller):
		case errors.Is(err, errStep) && steps == 0:
			steps++
			u.agreed = false
		default:
			u.agreed = false
			return err
		}
	}
}

// settle takes the outcome of an exchange: alarms, failures in a row, and the state to tell.
func (u *Uplink) settle(err error) {
	s := State{Unsent: u.j.Stats().Unsent}
	d := (*disagreement)(nil)
	switch {
	case err == nil:
		if u.alarm != "" {
			u.Log.Info("the hub agrees again")
		}
		u.alarm, u.fails, u.last, s.Online = "", 0, time.Now(), true
	case errors.As(err, &d):
		u.fails++
		s.Online, s.Problem = d.online, d.text
		if d.text != u.alarm {
			u.alarm = d.text
			u.Log.Error("uplink has stopped", "reason", d.text)
			if u.OnAlarm != nil {
				u.OnAlarm(d.text)
			}
		}
	default:
		if u.fails++; u.fails == 1 {
			u.Log.Warn("hub cannot be used, entries wait", "error", err)
		}
		s.Problem = err.Error()
	}
	s.LastContact = u.last
	u.tell(s)
}

func (u *Uplink) tell(s State) {
	if s != u.told && u.OnState != nil {
		u.OnState(s)
	}
	u.told = s
}

// wait returns when the next round is due, and false when ctx has ended. New entries start one at once,
// but not while the hub fails: a busy gate would knock at every passage.
func (u *Uplink) wait(ctx context.Context, err error) bool {
	timer := time.NewTimer(u.pause(err))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			u.agreed = false // compare again, also when all is well: the hub may have lost its disk
			return true
		case <-u.j.Changed():
			if err == nil {
				return true
			}
			s := u.told
			s.Unsent = u.j.Stats().Unsent
			u.tell(s)
		}
	}
}

// pause is how long to wait after a round that ended with err.
func (u *Uplink) pause(err error) time.Duration {
	d := (*disagreement)(nil)
	switch {
	case err == nil:
		return u.Interval
	case errors.As(err, &d):
		return u.MaxWait // a person must act
	}
	return u.backoff(u.fails, err)
}

// backoff is a random time below a bound that doubles with each failure in a row, from MinWait to MaxWait; or
// longer, where the hub asked for it.
func (u *Uplink) backoff(failures int, err error) time.Duration {
	bound := u.MinWait
	for ; failures > 1 && bound < u.MaxWait; failures-- {
		bound *= 2
	}
	wait := time.Duration((1 - u.Jitter()) * float64(min(bound, u.MaxWait)))
	if r := (*refusal)(nil); errors.As(err, &r) {
		wait = max(wait, min(r.after, maxAsked))
	}
	return max(wait, 1)
}
