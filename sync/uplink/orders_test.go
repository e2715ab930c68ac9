package uplink

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/sync/wire"
)

var issuer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

func order(t *testing.T, kind string, serial uint64) []byte {
	t.Helper()
	raw, err := wire.SignOrder(issuer, wire.Order{Kind: kind, Serial: serial, Percent: 100, Body: []byte(kind)})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// A shelf keeps orders in memory, and can be told to fail.
type shelf struct {
	mu   sync.Mutex
	had  map[string]uint64
	fail func(wire.Order) error
	seen []string
}

func (s *shelf) Had() map[string]uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.had)
}

func (s *shelf) Take(raw []byte) error {
	o, err := wire.ParseOrder(raw)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, o.String())
	if err == nil && s.fail != nil {
		err = s.fail(o)
	}
	if err == nil {
		s.had[o.Slot()] = o.Serial
	}
	return err
}

func (s *shelf) saw() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.seen)
}

// A desk is the orders of a hub, served to a device that proves itself.
type desk struct {
	t     *testing.T
	rig   *rig
	set   string
	raws  [][]byte
	asked int
}

// newOrderRig has a hub that tells and serves orders.
func newOrderRig(t *testing.T) (*rig, *desk, *shelf) {
	r, s := newRig(t, 1), &shelf{had: map[string]uint64{}}
	d := &desk{t: t, rig: r}
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, wire.OrdersOf) {
			d.serve(w, q)
			return true
		}
		if q.Method == http.MethodGet {
			state := r.hub.state()
			told := wire.NewTime(r.hub.key, state.Device, q.URL.Query().Get("nonce"), time.Now().Add(1000*time.Hour))
			state.Time, state.Orders = &told, d.set
			writeJSON(w, state)
			return true
		}
		return false
	}
	r.options.Orders, r.options.Interval = s, 10*time.Millisecond
	return r, d, s
}

func (d *desk) serve(w http.ResponseWriter, q *http.Request) {
	d.asked++
	if err := wire.CheckProof(d.rig.hub.device, q.Header.Get(wire.HeaderProof), time.Now().Add(1000*time.Hour)); err != nil {
		d.t.Error(err)
	}
	had := map[string]uint64{}
	for _, h := range q.URL.Query()["have"] {
		slot, serial, _ := strings.Cut(h, ":")
		had[slot], _ = strconv.ParseUint(serial, 10, 64)
	}
	for _, raw := range d.raws {
		if o, err := wire.ParseOrder(raw); err != nil || o.Serial > had[o.Slot()] {
			w.Write(raw)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// Every order comes once, each contact that names the same set asks for nothing, and entries go all the same.
func TestOrdersAreFetched(t *testing.T) {
	r, d, s := newOrderRig(t)
	d.set, d.raws = "one", [][]byte{order(t, "policy", 3), order(t, "trust", 1)}
	contacts := 0
	count := r.hub.prank
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool { contacts++; return count(w, q) }
	r.run("the orders", func() bool {
		done := false
		r.hub.set(func() { done = contacts > 20 })
		return done && r.settled()
	})
	if got := s.saw(); !slices.Equal(got, []string{"policy 3", "trust 1"}) || d.asked != 3 {
		t.Errorf("took %v in %d requests", got, d.asked)
	}
	r.hub.set(func() { d.set, d.raws = "two", append(d.raws, order(t, "policy", 4)) })
	r.run("the new order", func() bool { return len(s.saw()) == 3 })
	r.whole()
}

// What is refused does not stand before the others, and comes again only when something is new at the hub.
func TestRefusedOrderDoesNotBlock(t *testing.T) {
	r, d, s := newOrderRig(t)
	d.set, d.raws = "one", [][]byte{order(t, "policy", 1<<63), order(t, "trust", 1)}
	s.fail = func(o wire.Order) error {
		if o.Kind == "policy" {
			return fmt.Errorf("%w: forged", wire.ErrOrder)
		}
		return nil
	}
	r.run("the second order", func() bool {
		done := false
		r.hub.set(func() { done = d.asked == 3 })
		return done
	})
	if got := s.saw(); !slices.Equal(got, []string{"policy 9223372036854775808", "trust 1"}) || s.Had()["policy"] != 0 {
		t.Errorf("took %v, had %v", got, s.Had())
	}
}

// A shelf that cannot be written and a hub that fails are asked again; nothing of it keeps an entry.
func TestOrdersComeAgainAfterAFailure(t *testing.T) {
	r, d, s := newOrderRig(t)
	d.set, d.raws = "one", [][]byte{order(t, "policy", 1)}
	full := 0
	s.fail = func(wire.Order) error {
		if full++; full < 3 {
			return errors.New("the disk is full")
		}
		return nil
	}
	serve := r.hub.prank
	failing := 2
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if strings.HasSuffix(q.URL.Path, wire.OrdersOf) && failing > 0 {
			failing--
			w.WriteHeader(http.StatusBadGateway)
			return true
		}
		return serve(w, q)
	}
	r.run("the order", func() bool { return s.Had()["policy"] == 1 })
	if !r.settled() {
		t.Error("an entry waited for an order")
	}
}

// A fetch that failed waits for the next contact: a busy gate would knock at every passage.
func TestFailedFetchWaitsForAContact(t *testing.T) {
	r, d, _ := newOrderRig(t)
	d.set, d.raws = "one", [][]byte{[]byte("junk")}
	later := time.Duration(0)
	r.options.Interval, r.options.Now = time.Hour, func() time.Time { return time.Now().Add(later) }
	u := New(r.journal, r.options)
	u.Begin()
	u.Step(t.Context()) // the first contact
	for range 3 {
		r.add(1)
		u.Step(t.Context())
	}
	if d.asked != 1 || len(r.hub.entries) != 4 {
		t.Errorf("asked %d times before the next contact, the hub has %d entries", d.asked, len(r.hub.entries))
	}
	later += 2 * time.Hour
	if u.Step(t.Context()); d.asked != 2 {
		t.Errorf("asked %d times with the next contact", d.asked)
	}
}

// An entry that comes while orders are fetched goes before the next order.
func TestEntriesGoBeforeOrders(t *testing.T) {
	r, d, s := newOrderRig(t)
	d.set, d.raws = "one", [][]byte{order(t, "policy", 1), order(t, "trust", 1)}
	s.fail = func(o wire.Order) error {
		if o.Kind == "policy" {
			r.add(1)
		}
		return nil
	}
	r.options.Interval = time.Hour
	u := New(r.journal, r.options)
	u.Begin()
	u.Step(t.Context())
	if got := s.saw(); !slices.Equal(got, []string{"policy 1"}) {
		t.Errorf("took %v while an entry waits", got)
	}
	u.Step(t.Context())
	if got := s.saw(); !slices.Equal(got, []string{"policy 1", "trust 1"}) || len(r.hub.entries) != 2 {
		t.Errorf("then took %v, the hub has %d entries", got, len(r.hub.entries))
	}
}

// A hub that sends no order, or too much, costs a request a contact and nothing else.
func TestNoOrder(t *testing.T) {
	for name, raw := range map[string][]byte{"junk": []byte("junk"), "too much": make([]byte, wire.MaxOrder+1)} {
		r, d, s := newOrderRig(t)
		d.set, d.raws = "one", [][]byte{raw}
		r.run(name, func() bool {
			done := false
			r.hub.set(func() { done = d.asked > 1 })
			return done && r.settled()
		})
		if got := s.saw(); len(got) > 0 {
			t.Errorf("%s: took %v", name, got)
		}
	}
}

// A device that is shut out raises one alarm and keeps everything; when it is let in again, everything goes.
func TestRevokedDevice(t *testing.T) {
	r := newRig(t, 5)
	revoked := true
	r.hub.prank = func(w http.ResponseWriter, _ *http.Request) bool {
		if revoked {
			wire.Problem{Type: wire.ProblemRevoked, Title: "revoked device", Status: http.StatusForbidden, Detail: "why"}.Write(w)
		}
		return revoked
	}
	r.run("the alarm", func() bool { return len(r.alarmed()) > 0 })
	if got := r.alarmed(); len(got) != 1 || !strings.Contains(got[0], "shut this device out") || !strings.Contains(got[0], "why") {
		t.Errorf("alarms %q", got)
	}
	if n := r.journal.Stats().Saved; n != 5 || r.journal.Receipted() != 0 {
		t.Errorf("%d entries, %d receipted", n, r.journal.Receipted())
	}
	r.hub.set(func() { revoked = false })
	r.run("the pardon", r.settled)
	r.whole()
}
