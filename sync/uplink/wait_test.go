package uplink

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/sync/wire"
)

// idle is an uplink that nobody runs.
func idle(o Options) *Uplink {
	o.Key = make(ed25519.PrivateKey, ed25519.PrivateKeySize)
	return New(nil, o)
}

func TestBackoff(t *testing.T) {
	o := Options{MinWait: time.Second, MaxWait: time.Minute}
	u := idle(o)
	away := fmt.Errorf("dial: %w", errAway)
	refused := &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	for _, c := range []struct {
		failures int
		err      error
		bound    time.Duration
	}{
		{1, nil, time.Second},
		{3, nil, 4 * time.Second},
		{7, nil, time.Minute},
		{1000, nil, time.Minute},
		{1, away, 8 * time.Second},
		{1000, away, 8 * time.Second},
		{1, refused, 10 * time.Second},
		{1000, refused, 5 * time.Minute},
	} {
		o.Jitter = func() float64 { return 0 }
		if d := idle(o).backoff(c.failures, c.err); d != c.bound {
			t.Errorf("after %d failures, the last one %v: at most %v, want %v", c.failures, c.err, d, c.bound)
		}
		o.Jitter = func() float64 { return 1 - 1e-12 }
		if d := idle(o).backoff(c.failures, c.err); d <= 0 || d > time.Millisecond {
			t.Errorf("after %d failures, the last one %v: at least %v", c.failures, c.err, d)
		}
		for range 200 {
			if d := u.backoff(c.failures, c.err); d <= 0 || d > c.bound {
				t.Fatalf("after %d failures, the last one %v: %v", c.failures, c.err, d)
			}
		}
	}
	if d := u.backoff(1, &refusal{after: 90 * time.Second}); d != 90*time.Second {
		t.Errorf("Retry-After 90 gives %v", d)
	}
	if d := u.backoff(1, &refusal{after: 100 * time.Hour}); d != maxAsked {
		t.Errorf("a Retry-After of days gives %v", d)
	}
}

// Whoever is turned away again and again spreads wider, and begins anew after a success.
func TestSpread(t *testing.T) {
	away := fmt.Errorf("dial: %w", errAway)
	for _, c := range []struct{ least, waited, want time.Duration }{
		{0, 0, 8 * time.Second},
		{0, 63 * time.Second, 8 * time.Second},
		{0, 80 * time.Second, 10 * time.Second},
		{0, 24 * time.Hour, 5 * time.Minute},
		{time.Second, 16 * time.Second, 2 * time.Second},
		{time.Hour, 0, 5 * time.Minute},
	} {
		u := idle(Options{Spread: c.least, Jitter: func() float64 { return 0 }})
		u.waited = c.waited
		if d := u.pause(away); d != c.want || u.waited != c.waited+d {
			t.Errorf("at least %v, after %v: %v", c.least, c.waited, d)
		}
		u.pause(nil)
		if d := u.pause(away); d != min(u.Spread, maxSpread) {
			t.Errorf("after a success: %v", d)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	date := func(after time.Duration) string { return now.Add(after).Format(http.TimeFormat) }
	for _, c := range []struct {
		asked, date string
		want        time.Duration
	}{
		{"", "", 0},
		{"0", "", 0},
		{"120", "", 2 * time.Minute},
		{"-1", "", 0},
		{"1.5", "", 0},
		{"soon", "", 0},
		{"86400", "", maxAsked},
		{"99999999999999999999999999", "", maxAsked},
		{date(time.Minute), "", time.Minute},
		{date(-time.Minute), "", 0},
		{date(1000 * time.Hour), "", maxAsked},
		{date(time.Minute), date(30 * time.Second), 30 * time.Second},               // by the hub's clock
		{date(87600*time.Hour + time.Minute), date(87600 * time.Hour), time.Minute}, // ten years ahead of ours
		{date(time.Minute), "yesterday", time.Minute},
	} {
		h := http.Header{"Retry-After": {c.asked}, "Date": {c.date}}
		if got := retryAfter(h, now); got != c.want {
			t.Errorf("%q at %q: %v, want %v", c.asked, c.date, got, c.want)
		}
	}
}

// Two hundred kiosks that one power cut has started: neither their first tries nor their later ones come together.
func TestKiosksDoNotKnockTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const kiosks, interval = 200, 30 * time.Second
		var mu sync.Mutex
		var asked []time.Duration
		start := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		one := newBareRig(t, 1)
		for range kiosks {
			o := one.options
			o.Interval, o.MinWait, o.MaxWait, o.OnState = interval, time.Second, time.Minute, nil
			o.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
				mu.Lock()
				defer mu.Unlock()
				asked = append(asked, time.Since(start))
				return nil, errors.New("no route")
			})
			u := New(one.journal, o)
			done.Go(func() { u.Run(ctx) })
		}
		time.Sleep(10 * time.Second)
		synctest.Wait()
		cancel()
		done.Wait()
		if len(asked) < kiosks {
			t.Errorf("%d tries", len(asked))
		}
		slices.Sort(asked)
		busiest := 0
		for i := range asked { // the most tries within 100 ms
			j := i
			for j < len(asked) && asked[j] < asked[i]+100*time.Millisecond {
				j++
			}
			busiest = max(busiest, j-i)
		}
		if busiest > kiosks/5 {
			t.Errorf("%d of %d tries within 100 ms", busiest, len(asked))
		}
	})
	u := idle(Options{Interval: 30 * time.Second})
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := u.pause(nil)
		least, most = min(least, d), max(most, d)
	}
	if least < 15*time.Second || most > 45*time.Second || most-least < 25*time.Second {
		t.Errorf("contacts from %v to %v apart", least, most)
	}
}

// What a change of the network does depends on how things stand.
func TestChangeOfTheNetwork(t *testing.T) {
	for what, c := range map[string]struct {
		err   error            // of the exchanges
		busy  http.HandlerFunc // answers instead
		tries int              // in the minute after the change
		after time.Duration    // between the change and the first of them
	}{
		"no route":           {err: errors.New("no route"), tries: 1, after: 2 * time.Second},
		"turned away":        {err: errAway, tries: 1, after: 2 * time.Second},
		"the hub wants time": {busy: func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Retry-After", "600"); w.WriteHeader(503) }},
		"all is well":        {busy: nil},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newBareRig(t, 1)
			change := make(chan struct{})
			var asked []time.Duration
			var changed time.Time
			r.options.Interval, r.options.MinWait, r.options.MaxWait, r.options.Spread = time.Hour, 10*time.Minute, 10*time.Minute, 10*time.Minute
			r.options.Jitter = func() float64 { return 2. / 3600 } // 2 s of what is soon, nearly all of what is long
			r.options.Network = func(ctx context.Context, ready, told func()) error {
				ready()
				<-change
				for range 10 { // more of them make no difference
					told()
				}
				<-ctx.Done()
				return nil
			}
			r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
				if !changed.IsZero() {
					asked = append(asked, time.Since(changed))
				}
				if c.busy != nil {
					c.busy(w, q)
				}
				return c.busy != nil
			}
			stop := r.lendVia(func(q *http.Request) error {
				if c.err != nil && !changed.IsZero() {
					asked = append(asked, time.Since(changed))
				}
				return c.err
			})
			time.Sleep(time.Minute)
			synctest.Wait()
			changed = time.Now()
			close(change)
			time.Sleep(time.Minute)
			stop()
			if len(asked) != c.tries || c.tries > 0 && asked[0] != c.after {
				t.Errorf("%s: asked after %v, want %d", what, asked, c.tries)
			}
		})
	}
}

// Where the network cannot be watched, the timer does.
func TestNetworkThatNobodyWatches(t *testing.T) {
	r := newRig(t, 3)
	r.options.Network = func(context.Context, func(), func()) error { return errors.New("no netlink here") }
	fails := 3
	r.hub.prank = func(w http.ResponseWriter, _ *http.Request) bool {
		if fails--; fails >= 0 {
			wire.Problem{Type: wire.ProblemStore, Title: "not now", Status: 503}.Write(w)
		}
		return fails >= 0
	}
	r.run("the last receipt", r.settled)
	r.whole()
}

// A listener that resets what it accepts, before TLS has begun, is a hub with too many kiosks at its door.
func TestTurnedAway(t *testing.T) {
	resets := func(c net.Conn) {
		c.(*net.TCPConn).SetLinger(0)
		c.Close()
	}
	for what, c := range map[string]struct {
		serve func(net.Conn)
		away  bool
	}{
		"reset":  {resets, true},
		"closed": {func(c net.Conn) { c.Close() }, true},
		"reset in the middle of TLS": {func(c net.Conn) {
			c.Read(make([]byte, 1<<10))
			c.Write([]byte{22, 3, 3, 0, 100, 2}) // a record of a hundred bytes begins
			resets(c)
		}, false},
		"no TLS": {func(c net.Conn) { c.Write([]byte("hello\n")); c.Close() }, false},
	} {
		t.Run(what, func(t *testing.T) {
			serve := c.serve
			l, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			var done sync.WaitGroup
			done.Go(func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					c.SetDeadline(time.Now().Add(10 * time.Second))
					serve(c)
				}
			})
			defer done.Wait()
			defer l.Close()
			u := idle(Options{Hub: "https://" + l.Addr().String(), MinWait: time.Second, MaxWait: time.Minute, Jitter: func() float64 { return 0 }})
			for range 20 { // a reset may meet the client while it reads or while it writes
				_, err = u.exchange(t.Context(), http.MethodGet, wire.PathDevice+u.device, nil)
				if errors.Is(err, errAway) != c.away {
					t.Fatalf("%v", err)
				}
				if wide := u.backoff(1, err) == DefaultSpread; wide != c.away {
					t.Fatalf("%v: a wait of %v", err, u.backoff(1, err))
				}
			}
		})
	}
}
