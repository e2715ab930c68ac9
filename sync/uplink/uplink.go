// Package uplink hands a journal on to a hub: it sends what the hub does not hold yet, in order, and keeps the
// receipts that come back.
//
// At each contact both ends compare sequence and hash, and sending goes on behind the last entry on which
// they agree. So an answer that got lost doubles nothing, and a hub that lost its disk gets everything
// again that is still here. Where they disagree (the hub is ahead, or holds another entry under the same
// sequence: a cloned or rolled-back card) it raises an alarm and sends nothing until a contact agrees again.
// A single entry that the hub refuses is set aside: it stays here, and a gap goes to the hub in its place.
//
// It tries when there is something new, by a timer, and, while the hub is out of reach, when the network changes. All
// its waits are drawn at random, so that kiosks that one power cut has started do not knock together.
//
// The journal remembers what is receipted, and a small file what was set aside; what the uplink knows besides dies with
// it. It does not promise that an entry reaches the hub soon, only that none is skipped unsaid, and it opens no seal.
package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"sync"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// Options say where the hub is and who speaks to it.
type Options struct {
	Hub        string             // https://host:port
	Proxy      *url.URL           // through which to reach it, nil = the environment's
	CA         *x509.CertPool     // that vouch for the hub, nil = the system's
	Pin        []byte             // SHA-256 of the public key of the authority that vouches for the hub, which shows it; nil = CA says who does
	Since      time.Time          // no certificate is checked as of an earlier time: this clock may never have been set
	Key        ed25519.PrivateKey // the device's
	ReceiptKey ed25519.PublicKey  // the hub's
	Orders     Orders             // keeps what the hub has for this device, nil = it is not asked
	Aside      string             // file that remembers the entries that were set aside, "" = they are forgotten with the program

	Interval         time.Duration // between contacts when there is nothing to send, half more or less; 0 = 1 min
	MinWait, MaxWait time.Duration // after a failure, growing with jitter, 0 = 1 s and 5 min
	Spread           time.Duration // after the hub has turned a connection away before TLS, growing with the time waited to 5 min; 0 = 8 s

	Log       *slog.Logger
	Transport http.RoundTripper // nil = HTTPS with TLS 1.3, X25519
	Jitter    func() float64    // from 0 to below 1, nil = random
	Now       func() time.Time  // a clock that nobody sets, nil = time.Now

	// Network calls ready once nothing escapes it any longer, and then changed whenever the machine's network has changed,
	// until ctx ends. When it returns before, it cannot tell, and the timers are all there is. Nil = WatchNetwork.
	Network func(ctx context.Context, ready, changed func()) error

	Enrolment  []byte // that the hub has not taken yet; it is claimed before anything else
	OnEnrolled func() // called from Run when the hub has taken it

	OnState func(State)                                 // called from Run whenever the state changes
	OnAlarm func(text string)                           // called from Run, once for each disagreement and each entry set aside; text names no person
	OnTime  func(at time.Time, roundTrip time.Duration) // called from Run with the hub's signed time, at each contact
}

// State is how the uplink stands.
type State struct {
	Online      bool          // the last exchange was a success
	Unsent      int           // entries that no receipt covers
	Aside       int           // entries that the hub refused
	Left        time.Duration // until everything is sent at the present pace, whole seconds; 0 = not known, or nothing to send
	LastContact time.Time
	Problem     string // why it is not going well, empty when it is
}

// An Uplink serves one journal. Run it once, or take its steps one by one.
type Uplink struct {
	Options
	j         *journal.Journal
	device    string
	client    *http.Client
	anyScheme bool // whoever gives a Transport knows what it speaks

	agreed   bool   // cursor is the hub's word, and it fits our chain
	cursor   uint64 // the last entry that the hub holds
	empty    bool   // the hub said that it holds nothing
	limit    int    // entries of a batch; less while the hub finds batches too large
	pace     pace   // since the last contact
	aside    aside  // entries that the hub refused
	asideErr error  // why the list of an earlier run cannot be read
	trial    trial  // what it may have got instead of one
	down     down   // orders that wait at the hub

	err    error         // of the last round
	due    time.Time     // when the next one is
	news   chan struct{} // the network has changed
	fails  int           // in a row
	waited time.Duration // since the first of them
	alarm  string        // the last one raised, until a contact agrees
	told   State         // what OnState knows
	last   time.Time
}

// New returns an uplink for j.
func New(j *journal.Journal, o Options) *Uplink {
	anyScheme := o.Transport != nil
	o.Interval = or(o.Interval, time.Minute)
	o.MinWait = or(o.MinWait, time.Second)
	o.MaxWait = max(o.MinWait, or(o.MaxWait, 5*time.Minute))
	o.Spread = or(o.Spread, DefaultSpread)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Jitter == nil {
		o.Jitter = rand.Float64
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Network == nil {
		o.Network = WatchNetwork
	}
	if o.Transport == nil {
		o.Transport = Transport(o)
	}
	return &Uplink{
		Options: o, anyScheme: anyScheme, j: j, limit: wire.MaxEntries, aside: aside{}, news: make(chan struct{}, 1),
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

// Run hands on until ctx ends; then it returns nil. No failure of the network or of the hub ends it. It only waits for
// what Begin, Step and Rewired say; all that is decided is decided there.
func (u *Uplink) Run(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	var watching sync.WaitGroup
	ready := make(chan struct{})
	watching.Go(func() { u.watch(ctx, sync.OnceFunc(func() { close(ready) })) })
	defer watching.Wait()
	defer stop()
	defer u.client.CloseIdleConnections()
	<-ready // else a change behind a first failure could be missed
	for ok := sleep(ctx, u.Begin().Sub(u.Now())); ok; ok = u.wait(ctx) {
		u.Step(ctx)
	}
	return nil
}

// Begin recalls what was set aside and returns when the first step is due: soon after the start, but not for all kiosks
// at once.
func (u *Uplink) Begin() (due time.Time) {
	u.recall()
	u.due = u.Now().Add(u.soon())
	return u.due
}

// Step hands on what the hub lacks and returns when the next step is due. It starts no goroutine. It may be called before
// that where the journal has new entries and the last step went Well.
func (u *Uplink) Step(ctx context.Context) (due time.Time) {
	if !u.Now().Before(u.due) {
		u.agreed = false // compare again, also when all is well: the hub may have lost its disk
	}
	u.err = u.round(ctx)
	if ctx.Err() == nil {
		u.settle(u.err)
		if u.err == nil {
			u.fetchOrders(ctx)
		}
		u.due = u.Now().Add(u.pause(u.err))
	}
	return u.due
}

// Well reports whether the last step was a success. While the hub fails, new entries start none: a busy gate would knock
// at every passage.
func (u *Uplink) Well() bool { return u.err == nil }

// Rewired says that the network has changed, and returns when the next step is due: soon, where the last one failed, unless
// the hub had asked for time.
func (u *Uplink) Rewired() (due time.Time) {
	u.client.CloseIdleConnections() // they may lead nowhere now
	if at := u.Now().Add(u.soon()); u.err != nil && asked(u.err) == 0 && at.Before(u.due) {
		u.due = at
	}
	return u.due
}

// watch hands on that the network has changed. It ends with ctx, or at once where nobody can tell.
func (u *Uplink) watch(ctx context.Context, ready func()) {
	defer ready()
	err := u.Network(ctx, ready, func() {
		select {
		case u.news <- struct{}{}:
		default:
		}
	})
	if err != nil {
		u.Log.Warn("changes of the network go unseen, only timers start a try", "error", err)
	}
}

// round compares heads if need be and sends until the hub holds everything.
func (u *Uplink) round(ctx context.Context) error {
	if err := u.enrol(ctx); err != nil {
		return err
	}
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
	s := State{Unsent: u.j.Stats().Unsent, Aside: len(u.aside)}
	d := (*disagreement)(nil)
	switch {
	case err == nil:
		if u.alarm != "" {
			u.Log.Info("the hub agrees again")
		}
		u.alarm, u.fails, u.last, s.Online = "", 0, u.Now(), true
		s.Left = u.pace.left(u.j.Head().Seq - u.cursor)
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
