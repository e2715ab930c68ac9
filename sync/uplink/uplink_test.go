package uplink

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// A hub keeps what it is sent, by the rules of docs/PROTOCOL.md, and misbehaves as a test tells it.
type hub struct {
	t      *testing.T
	device ed25519.PublicKey
	key    ed25519.PrivateKey // of its receipts

	mu      sync.Mutex
	entries [][]byte
	head    entry.Head
	batches []int                                             // sizes that were stored
	silent  bool                                              // gives no receipts
	ahead   time.Duration                                     // of its clock
	prank   func(w http.ResponseWriter, r *http.Request) bool // answers in the hub's place when it returns true
	after   func(w http.ResponseWriter) bool                  // the same, once a batch is stored
}

func (h *hub) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.prank != nil && h.prank(w, r) {
		return
	}
	if r.Method == http.MethodPost {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		b, err := wire.Parse(raw)
		if err != nil || b.Verify(h.device) != nil {
			h.t.Errorf("the hub got a bad batch: %v", err)
			wire.Problem{Type: wire.ProblemBatch, Title: "bad", Status: 400}.Write(w)
			return
		}
		_, err = h.head.Follow(b.Entries[0])
		begins := h.head == (entry.Head{}) && r.URL.Query().Get("begin") == "1"
		switch {
		case begins || err == nil:
			h.entries = append(h.entries, b.Entries...)
			h.head = b.After()
			h.batches = append(h.batches, len(b.Entries))
		case b.After() != h.head:
			s := h.state()
			wire.Problem{Type: wire.ProblemStep, Title: "step", Status: 409, State: &s}.Write(w)
			return
		}
		if h.after != nil && h.after(w) {
			return
		}
	}
	s := h.state()
	if nonce := r.URL.Query().Get("nonce"); nonce != "" {
		told := wire.NewTime(h.key, s.Device, nonce, time.Now().Add(h.ahead))
		s.Time = &told
	}
	writeJSON(w, s)
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // an error means that the peer has gone
}

func (h *hub) state() wire.State {
	s := wire.State{Device: entry.DeviceID(h.device)}
	if h.head.Seq > 0 {
		r := entry.NewReceipt(h.key, s.Device, h.head, time.Now())
		s.Seq, s.Hash = h.head.Seq, h.head.Hash.String()
		if !h.silent {
			s.Receipt = &r
		}
	}
	return s
}

// set changes the hub while it may be serving.
func (h *hub) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// A rig is a journal, a hub and the uplink between them.
type rig struct {
	t       *testing.T
	journal *journal.Journal
	hub     *hub
	server  *httptest.Server
	options Options

	mu     sync.Mutex
	state  State
	alarms []string
}

func newRig(t *testing.T, entries int) *rig {
	r := newBareRig(t, entries)
	r.server = httptest.NewServer(r.hub)
	t.Cleanup(r.server.Close)
	r.options.Hub = r.server.URL
	return r
}

// newBareRig has no server: the test brings a transport of its own.
func newBareRig(t *testing.T, entries int) *rig {
	t.Helper()
	devicePub, deviceKey, _ := ed25519.GenerateKey(rand.Reader)
	hubPub, hubKey, _ := ed25519.GenerateKey(rand.Reader)
	j, err := journal.Open(t.TempDir(), journal.Options{Device: entry.DeviceID(devicePub)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	r := &rig{t: t, journal: j, hub: &hub{t: t, device: devicePub, key: hubKey}}
	r.options = Options{
		Hub: "http://hub", Key: deviceKey, ReceiptKey: hubPub, Log: slog.New(slog.DiscardHandler),
		Interval: time.Hour, MinWait: time.Millisecond, MaxWait: 5 * time.Millisecond, Transport: &http.Transport{},
		Network: func(context.Context, func(), func()) error { return nil },
		OnState: func(s State) { r.mu.Lock(); defer r.mu.Unlock(); r.state = s },
		OnAlarm: func(text string) { r.mu.Lock(); defer r.mu.Unlock(); r.alarms = append(r.alarms, text) },
	}
	r.add(entries)
	return r
}

func (r *rig) add(n int) {
	r.t.Helper()
	for range n {
		r.keep(entry.Stamp{Wall: time.Now(), Trust: entry.TrustClock})
	}
}

func (r *rig) keep(stamp entry.Stamp) {
	r.t.Helper()
	d, err := entry.NewDraft(stamp, entry.Fault{Part: "test", Text: "x"})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.journal.Append(r.t.Context(), d); err != nil {
		r.t.Fatal(err)
	}
}

// run lets the uplink work until ok, and fails when that does not come.
func (r *rig) run(what string, ok func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithCancel(r.t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		if err := New(r.journal, r.options).Run(ctx); err != nil {
			r.t.Errorf("run: %v", err)
		}
	})
	r.await(what, ok)
	cancel()
	done.Wait()
}

func (r *rig) await(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("%s did not come", what)
		}
	}
}

func (r *rig) settled() bool { return r.journal.Receipted() == r.journal.Head().Seq }

func (r *rig) alarmed() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.alarms)
}

// whole checks that the hub holds exactly the journal's entries, in order.
func (r *rig) whole() {
	r.t.Helper()
	want, err := r.journal.Range(0, 1<<20, 1<<30)
	if err != nil {
		r.t.Fatal(err)
	}
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	if !slices.EqualFunc(r.hub.entries, want, func(a, b []byte) bool { return string(a) == string(b) }) {
		r.t.Errorf("the hub holds %d entries, the journal %d, or they differ", len(r.hub.entries), len(want))
	}
}

func TestEverythingArrivesInFullBatches(t *testing.T) {
	r := newRig(t, wire.MaxEntries+7)
	r.run("the last receipt", r.settled)
	r.whole()
	if !slices.Equal(r.hub.batches, []int{wire.MaxEntries, 7}) {
		t.Errorf("batches of %v", r.hub.batches)
	}
	if len(r.alarmed()) != 0 {
		t.Errorf("alarms %q", r.alarmed())
	}
}

func TestNewEntriesGoAtOnce(t *testing.T) {
	r := newRig(t, 3)
	r.run("later entries", func() bool {
		if r.settled() && r.journal.Head().Seq == 3 {
			r.add(2) // the interval is an hour
		}
		return r.settled() && r.journal.Head().Seq == 5
	})
	r.whole()
}

// Whatever goes wrong on the way for a while, nothing is lost and nothing doubled.
func TestBadWeather(t *testing.T) {
	status := func(code int) func(*hub) {
		return func(h *hub) {
			h.prank = func(w http.ResponseWriter, _ *http.Request) bool { w.WriteHeader(code); return true }
		}
	}
	for what, spoil := range map[string]func(*hub){
		"503":           status(503),
		"403":           status(403),
		"a captive 302": status(302),
		"a login page": func(h *hub) {
			h.prank = func(w http.ResponseWriter, _ *http.Request) bool { fmt.Fprint(w, "<html>"); return true }
		},
		"no answer to a stored batch": func(h *hub) {
			h.after = func(http.ResponseWriter) bool { panic(http.ErrAbortHandler) }
		},
		"half an answer": func(h *hub) {
			h.after = func(w http.ResponseWriter) bool { fmt.Fprint(w, `{"device": "`); return true }
		},
		"another's receipts": func(h *hub) { _, h.key, _ = ed25519.GenerateKey(rand.Reader) },
		"a receipt without a store": func(h *hub) {
			h.prank = func(w http.ResponseWriter, r *http.Request) bool {
				return r.Method == http.MethodPost && json.NewEncoder(w).Encode(wire.State{Device: entry.DeviceID(h.device)}) == nil
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, 9)
			key := r.hub.key
			spoil(r.hub)
			spoiled, asked := r.hub.prank, 0
			r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
				if asked++; asked > 4 { // the weather clears
					r.hub.prank, r.hub.after, r.hub.key = nil, nil, key
					return false
				}
				if what != "no answer to a stored batch" && what != "half an answer" && r.journal.Receipted() > 0 {
					t.Error("a receipt counted that the hub did not give")
				}
				return spoiled != nil && spoiled(w, q)
			}
			r.run("the last receipt", r.settled)
			r.whole()
		})
	}
}

func TestHubLostItsDisk(t *testing.T) {
	r := newRig(t, 6)
	r.run("the first receipts", r.settled)
	r.hub.set(func() { r.hub.entries, r.hub.head = nil, entry.Head{} })
	r.run("the second receipts", func() bool {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return len(r.hub.entries) == 6 && r.settled()
	})
	r.whole()
}

func TestHubLostItsLastEntries(t *testing.T) {
	r := newRig(t, 6)
	r.run("the first receipts", r.settled)
	r.hub.set(func() {
		r.hub.entries = r.hub.entries[:4]
		r.hub.head = entry.Head{Seq: 4, Hash: entry.HashOf(r.hub.entries[3])}
	})
	r.run("the rest again", func() bool {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return len(r.hub.entries) == 6 && r.settled()
	})
	r.whole()
}

// Same sequence with another hash, and a hub that is ahead, are alarms: told once, and nothing is sent.
func TestClonedCard(t *testing.T) {
	for what, head := range map[string]entry.Head{
		"another hash": {Seq: 2, Hash: entry.Hash{1}},
		"ahead":        {Seq: 40, Hash: entry.Hash{2}},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, 5)
			r.hub.head = head
			asked := 0
			r.hub.prank = func(_ http.ResponseWriter, q *http.Request) bool {
				if asked++; q.Method == http.MethodPost {
					t.Error("something was sent")
				}
				return false
			}
			r.run("the alarm", func() bool {
				r.hub.mu.Lock()
				defer r.hub.mu.Unlock()
				return asked > 4
			})
			if a := r.alarmed(); len(a) != 1 || a[0] == "" {
				t.Errorf("alarms %q", a)
			}
			if r.journal.Receipted() != 0 {
				t.Error("a receipt counted")
			}
		})
	}
}

func TestTooLargeIsHalved(t *testing.T) {
	r := newRig(t, 40)
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if q.ContentLength <= 1500 {
			return false
		}
		wire.Problem{Type: wire.ProblemTooLarge, Title: "too large", Status: 413}.Write(w)
		return true
	}
	r.run("the last receipt", r.settled)
	r.whole()
	if len(r.hub.batches) < 2 {
		t.Errorf("batches of %v", r.hub.batches)
	}
}

// A hub that refuses every batch has nothing against one entry: that is told once, and tried again slowly.
func TestHubThatRefusesEverything(t *testing.T) {
	r := newRig(t, 3)
	asked := 0
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodPost {
			return false
		}
		asked++
		wire.Problem{Type: wire.ProblemBatch, Title: "not a batch", Status: 400}.Write(w)
		return true
	}
	r.run("several tries", func() bool {
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		return asked > 3
	})
	if a := r.alarmed(); len(a) != 1 || !strings.Contains(a[0], "refuses entry 1,") {
		t.Errorf("alarms %q", a)
	}
	r.hub.set(func() { r.hub.prank = nil })
	r.run("the last receipt", r.settled)
	r.whole()
}

// A hub that loses its log between two contacts gets all of it, not only what is new. Found by the simulation, seed 209.
func TestLogLostBetweenContacts(t *testing.T) {
	r := newRig(t, 3)
	r.run("all again", func() bool {
		if r.settled() && r.journal.Head().Seq == 3 {
			r.hub.set(func() { r.hub.entries, r.hub.head = nil, entry.Head{} })
			r.add(2) // the interval is an hour
		}
		return r.settled() && r.journal.Head().Seq == 5
	})
	r.whole()
}
