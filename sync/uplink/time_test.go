package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/device/wall"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// A contact brings a nonce of its own, and the hub's signed time comes out with the time of its round trip.
func TestTimeOfTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const travel = 3 * time.Second
		r := newBareRig(t, 1)
		r.options.Interval = time.Minute
		r.hub.ahead = 10 * 24 * time.Hour
		var nonces []string
		r.hub.prank = func(_ http.ResponseWriter, q *http.Request) bool {
			if q.Method == http.MethodGet {
				nonces = append(nonces, q.URL.Query().Get("nonce"))
				time.Sleep(travel)
			}
			return false
		}
		told := 0
		r.options.OnTime = func(at time.Time, roundTrip time.Duration) {
			told++
			if roundTrip != travel || !at.Equal(time.Now().Add(r.hub.ahead).Truncate(time.Millisecond)) {
				t.Errorf("%v after %v", at, roundTrip)
			}
		}
		stop := r.lend()
		time.Sleep(5 * time.Minute)
		stop()
		if told < 3 || told != len(nonces) {
			t.Errorf("%d times of %d contacts", told, len(nonces))
		}
		for _, n := range nonces {
			if err := wire.ParseNonce(n); err != nil {
				t.Error(err)
			}
		}
		slices.Sort(nonces)
		if len(slices.Compact(nonces)) != told {
			t.Errorf("nonces %v", nonces)
		}
	})
}

// A time that the hub did not sign for this contact moves no clock, and the entries go all the same.
func TestTimeOfAnother(t *testing.T) {
	_, stranger, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	nonce := "000102030405060708090a0b0c0d0e0f"
	for what, spoil := range map[string]func(r *rig, asked string) *wire.Time{
		"another's": func(r *rig, asked string) *wire.Time {
			s := wire.NewTime(stranger, entry.DeviceID(r.hub.device), asked, time.Now())
			return &s
		},
		"an old one": func(r *rig, _ string) *wire.Time {
			s := wire.NewTime(r.hub.key, entry.DeviceID(r.hub.device), nonce, time.Now())
			return &s
		},
		"of another device": func(r *rig, asked string) *wire.Time {
			s := wire.NewTime(r.hub.key, "0123456789abcdef", asked, time.Now())
			return &s
		},
		"none": func(*rig, string) *wire.Time { return nil },
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, 3)
			r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method != http.MethodGet {
					return false
				}
				s := r.hub.state()
				s.Time = spoil(r, q.URL.Query().Get("nonce"))
				writeJSON(w, s)
				return true
			}
			r.options.OnTime = func(at time.Time, _ time.Duration) { t.Errorf("took %v", at) }
			r.run("the last receipt", r.settled)
		})
	}
}

// A pipeline is a listener whose connections are made in memory, after a while.
type pipeline struct {
	conns chan net.Conn
	took  time.Duration
}

func (p *pipeline) dial(context.Context, string, string) (net.Conn, error) {
	time.Sleep(p.took)
	near, far := net.Pipe()
	p.conns <- far
	return near, nil
}

func (p *pipeline) Accept() (net.Conn, error) {
	if c, ok := <-p.conns; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (p *pipeline) Close() error   { return nil }
func (p *pipeline) Addr() net.Addr { return &net.UnixAddr{} }

// How long it takes to connect says nothing about when the hub looked at its clock.
func TestConnectingIsNoRoundTrip(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 1)
		p := &pipeline{make(chan net.Conn), time.Minute}
		s := &http.Server{Handler: r.hub}
		var served sync.WaitGroup
		served.Go(func() { s.Serve(p) })
		r.options.Transport = &http.Transport{DialContext: p.dial}
		var trips []time.Duration
		r.options.OnTime = func(_ time.Time, roundTrip time.Duration) { trips = append(trips, roundTrip) }
		ctx, cancel := context.WithCancel(t.Context())
		served.Go(func() { New(r.journal, r.options).Run(ctx) })
		time.Sleep(5 * time.Minute)
		cancel()
		close(p.conns)
		s.Close()
		served.Wait()
		if len(trips) != 1 || trips[0] != 0 {
			t.Errorf("round trips %v", trips)
		}
	})
}

// A kiosk that never knew the time dates its entries by the hub's from the first contact on.
func TestHubSetsTheClock(t *testing.T) {
	r := newRig(t, 0)
	never := time.Date(1970, 1, 1, 0, 0, 0, 0, time.UTC)
	began := time.Now()
	clock := wall.New(wall.Options{
		Now: func() time.Time { return never.Add(time.Since(began)) }, Synced: func() bool { return false },
		Seen: time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC),
	})
	r.keep(clock.Stamp())
	var once sync.Once
	told := make(chan struct{})
	r.options.OnTime = func(at time.Time, trip time.Duration) {
		if err := clock.Tell(at, trip); err != nil {
			t.Error(err)
		}
		once.Do(func() { close(told) })
	}
	r.run("the time", func() bool {
		select {
		case <-told:
			return true
		default:
			return false
		}
	})
	r.keep(clock.Stamp())
	raws, err := r.journal.Range(0, 2, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	first, err := entry.Parse(raws[0])
	if err != nil {
		t.Fatal(err)
	}
	second, err := entry.Parse(raws[1])
	if err != nil {
		t.Fatal(err)
	}
	if first.Trust != entry.TrustNone || second.Trust != entry.TrustNetwork {
		t.Errorf("trust %v, then %v", first.Trust, second.Trust)
	}
	anchor, _ := entry.AnchorOf(second)
	if at, sure := anchor.Wall(first); !sure || at.Sub(began).Abs() > time.Minute {
		t.Errorf("the first entry, made at %v, is dated %v, %v", began, at, sure)
	}
}
