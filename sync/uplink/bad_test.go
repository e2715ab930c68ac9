package uplink

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

func (r *rig) seen() State {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state
}

// reopen gives the rig the journal in dir.
func (r *rig) reopen(dir string) {
	r.t.Helper()
	j, err := journal.Open(dir, journal.Options{Device: entry.DeviceID(r.hub.device)})
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { j.Close() })
	r.journal = j
}

// The hub is away for a whole run of the kiosk; another run finds it.
func TestOutageOfAWholeRun(t *testing.T) {
	dir := t.TempDir()
	r := newRig(t, 0)
	r.journal.Close()
	r.reopen(dir)
	there := r.options.Hub
	r.options.Hub = "http://127.0.0.1:1"
	r.add(5)
	r.run("the problem", func() bool { return r.seen().Problem != "" && r.seen().Unsent == 5 })
	if s := r.seen(); s.Online || !s.LastContact.IsZero() {
		t.Errorf("state %+v", s)
	}
	r.journal.Close()
	r.reopen(dir)
	r.add(4)
	r.options.Hub = there
	r.run("the last receipt", func() bool { return r.settled() && r.seen().Online })
	r.whole()
	if s := r.seen(); s.Unsent != 0 || s.Problem != "" || s.LastContact.IsZero() {
		t.Errorf("state %+v", s)
	}
}

// A card lost what the hub had got in time. The gap that says so goes to the hub, and sending goes on behind it.
func TestJournalLostWhatTheHubHolds(t *testing.T) {
	r := newRig(t, 0)
	dir := t.TempDir()
	r.reopen(dir)
	r.add(12)
	r.run("the first receipts", r.settled)
	r.add(3) // that the hub never gets
	r.journal.Close()
	if err := os.Truncate(filepath.Join(dir, "0000000000000001.db"), 0); err != nil {
		t.Fatal(err)
	}
	r.reopen(dir)
	if repairs := r.journal.Repairs(); len(repairs) != 1 || repairs[0].First != 1 {
		t.Fatalf("repairs %+v", repairs)
	}
	r.add(2)
	r.run("what is left", func() bool { return r.settled() && r.journal.Receipted() == r.journal.Head().Seq })
	if got := r.hub.entries; len(got) != 12+1+2 {
		t.Errorf("the hub holds %d entries, want the twelve, the gap and two", len(got))
	}
	if a := r.alarmed(); len(a) > 0 {
		t.Errorf("alarms %q", a)
	}
}

// What was receipted and deleted here is gone when the hub loses its disk; the rest is sent again.
func TestHubLostItsDiskAfterDeletion(t *testing.T) {
	r := newRig(t, 6)
	r.run("the first receipts", r.settled)
	month := time.Now().Add(31 * 24 * time.Hour)
	if n, err := r.journal.Prune(t.Context(), time.Now().Add(time.Hour), entry.Stamp{Wall: month, Trust: entry.TrustClock}); n != 6 || err != nil {
		t.Fatal(n, err)
	}
	r.add(2)
	r.hub.set(func() { r.hub.entries, r.hub.head = nil, entry.Head{} })
	r.run("what is left", r.settled)
	if n := len(r.hub.entries); n != 3 || r.hub.head.Seq != 9 {
		t.Errorf("%d entries, the last %d; want 7 to 9", n, r.hub.head.Seq)
	}
	// A hub that comes back with an old copy leaves a gap that nobody can fill.
	r.hub.set(func() { r.hub.entries, r.hub.head = nil, entry.Head{Seq: 3, Hash: entry.Hash{1}} })
	r.run("the alarm", func() bool { return len(r.alarmed()) > 0 })
	if a := r.alarmed(); !strings.Contains(a[0], "those before 7 are deleted") {
		t.Errorf("alarms %q", a)
	}
}

// While the uplink is connected, somebody else's copy of the card sends first.
func TestForkWhileSending(t *testing.T) {
	for what, problem := range map[string]wire.Problem{
		"told":      {Type: wire.ProblemFork, Title: "fork", Status: 409},
		"told how":  {Type: wire.ProblemFork, Title: "fork", Status: 409, State: &wire.State{Seq: 2, Hash: strings.Repeat("ab", 32)}},
		"by length": {Type: wire.ProblemFork, Title: "fork", Status: 409, State: &wire.State{Seq: 77, Hash: strings.Repeat("ab", 32)}},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, 5)
			if problem.State != nil {
				problem.State.Device = entry.DeviceID(r.hub.device)
			}
			sent := 0
			r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
				if q.Method == http.MethodPost {
					sent++
					problem.Write(w)
				} else if sent > 0 {
					w.WriteHeader(http.StatusServiceUnavailable) // no contact agrees
				}
				return q.Method == http.MethodPost || sent > 0
			}
			r.run("the alarm", func() bool { return len(r.alarmed()) > 0 })
			if a := r.alarmed(); len(a) != 1 || sent != 1 {
				t.Errorf("%d batches, alarms %q", sent, a)
			}
			r.hub.set(func() { r.hub.prank = nil })
			r.run("agreement", r.settled)
			r.whole()
		})
	}
}

// A hub that stands elsewhere is asked where, and gets what follows from there.
func TestStepAsksAgain(t *testing.T) {
	r := newRig(t, 5)
	once := false
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if q.Method == http.MethodPost && !once {
			once = true
			raws, err := r.journal.Range(0, 2, 1<<20)
			if err != nil {
				t.Error(err)
			}
			r.hub.entries, r.hub.head = raws, entry.Head{Seq: 2, Hash: entry.HashOf(raws[1])} // by a stick, say
			wire.Problem{Type: wire.ProblemStep, Title: "step", Status: 409}.Write(w)
			return true
		}
		return false
	}
	r.options.MinWait, r.options.MaxWait = time.Hour, time.Hour // no waiting in between
	r.options.Jitter = func() float64 { return 0 }              // nor before
	r.run("the last receipt", r.settled)
	r.whole()
	if !slices.Equal(r.hub.batches, []int{3}) {
		t.Errorf("batches of %v", r.hub.batches)
	}
}

// A torn or endless answer moves nothing.
func TestEndlessAnswer(t *testing.T) {
	r := newRig(t, 2)
	r.hub.prank = func(w http.ResponseWriter, _ *http.Request) bool {
		io.WriteString(w, `{"device":"`)
		for range 100 {
			io.WriteString(w, strings.Repeat("x", maxAnswer/50))
		}
		return true
	}
	r.run("the problem", func() bool { return strings.Contains(r.seen().Problem, "exceeds") })
}

// roundTrip is a transport.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// A hub that answers nothing, or very late, costs time and nothing else.
func TestSlowHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 3)
		stored := 0
		r.options.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
			w := httptest.NewRecorder()
			r.hub.ServeHTTP(w, q)
			if q.Method == http.MethodPost {
				if stored++; stored == 1 { // stored, and the answer never comes
					<-q.Context().Done()
					return nil, q.Context().Err()
				}
				time.Sleep(patience - time.Second)
			}
			return w.Result(), nil
		})
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { New(r.journal, r.options).Run(ctx) })
		time.Sleep(patience - time.Second)
		if r.journal.Receipted() != 0 {
			t.Error("a receipt counted that did not come")
		}
		time.Sleep(10 * time.Second)
		if r.journal.Receipted() != 3 {
			t.Errorf("receipted %d", r.journal.Receipted())
		}
		r.whole()
		r.add(1)
		time.Sleep(patience)
		if r.journal.Receipted() != 4 {
			t.Errorf("receipted %d", r.journal.Receipted())
		}
		cancel()
		done.Wait()
	})
}

// While the hub fails, neither new entries nor impatience make the uplink knock more often.
func TestFailingHubIsLeftInPeace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 1)
		var asked []time.Duration
		start := time.Now()
		r.options.MinWait, r.options.MaxWait, r.options.Jitter = time.Second, time.Minute, func() float64 { return 0 }
		r.options.Transport = roundTrip(func(*http.Request) (*http.Response, error) {
			asked = append(asked, time.Since(start))
			return nil, errors.New("no route")
		})
		ctx, cancel := context.WithCancel(t.Context())
		var done sync.WaitGroup
		done.Go(func() { New(r.journal, r.options).Run(ctx) })
		for range 100 {
			time.Sleep(time.Second)
			r.add(1)
		}
		synctest.Wait()
		if s := r.seen(); s.Unsent != 101 {
			t.Errorf("state %+v", s)
		}
		cancel()
		done.Wait() // and with it the end of writing to asked
		want := []time.Duration{0, 1, 3, 7, 15, 31, 63}
		for i := range want {
			want[i] *= time.Second
		}
		if !slices.Equal(asked, want) {
			t.Errorf("asked at %v, want %v", asked, want)
		}
	})
}

// lend serves the rig's hub without a network, in a bubble of synctest, until the returned function is called.
func (r *rig) lend() (stop func()) { return r.lendVia(func(*http.Request) error { return nil }) }

// lendVia is lend where fail may keep a request from the hub.
func (r *rig) lendVia(fail func(*http.Request) error) (stop func()) {
	r.options.Transport = roundTrip(func(q *http.Request) (*http.Response, error) {
		if err := fail(q); err != nil {
			return nil, err
		}
		w := httptest.NewRecorder()
		r.hub.ServeHTTP(w, q)
		return w.Result(), nil
	})
	ctx, cancel := context.WithCancel(r.t.Context())
	var done sync.WaitGroup
	done.Go(func() { New(r.journal, r.options).Run(ctx) })
	return func() { cancel(); done.Wait() }
}

// The hub loses its disk while nothing new comes: the next contact finds out, and what it had signed for
// is unsent again, also while it signs nothing.
func TestLossIsFoundWithoutNewEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 6)
		r.options.Interval = time.Minute
		defer r.lend()()
		time.Sleep(time.Second)
		if !r.settled() {
			t.Fatal("not settled")
		}
		r.hub.set(func() { r.hub.entries, r.hub.head, r.hub.silent = nil, entry.Head{}, true })
		time.Sleep(2 * time.Minute)
		if r.journal.Receipted() != 0 || r.seen().Unsent != 6 {
			t.Errorf("receipted %d, state %+v", r.journal.Receipted(), r.seen())
		}
		r.whole()
		r.hub.set(func() { r.hub.silent = false })
		time.Sleep(2 * time.Minute)
		r.hub.mu.Lock()
		defer r.hub.mu.Unlock()
		if !r.settled() || len(r.hub.entries) != 6 {
			t.Errorf("receipted %d, the hub has %d", r.journal.Receipted(), len(r.hub.entries))
		}
	})
}

// A hub whose receipts are not signed with the key that we know gets no trust, whatever it holds.
func TestReceiptOfAnotherKey(t *testing.T) {
	r := newRig(t, 4)
	r.hub.key = r.options.Key
	r.run("the problem", func() bool { return strings.Contains(r.seen().Problem, "signature") })
	if r.journal.Receipted() != 0 || r.seen().Online || len(r.alarmed()) != 1 {
		t.Errorf("receipted %d, state %+v, alarms %q", r.journal.Receipted(), r.seen(), r.alarmed())
	}
}

// Another hash at the same sequence is an alarm also where no receipt would tell.
func TestCloneWithoutReceipts(t *testing.T) {
	r := newRig(t, 4)
	r.hub.silent, r.hub.head = true, entry.Head{Seq: 2, Hash: entry.Hash{1}}
	r.run("the alarm", func() bool { return len(r.alarmed()) > 0 })
	if a := r.alarmed(); !strings.Contains(a[0], "another entry 2") || len(r.hub.batches) != 0 {
		t.Errorf("alarms %q, batches %v", a, r.hub.batches)
	}
}

// A batch goes to the hub or nowhere: a redirection is not followed.
func TestRedirectionIsNotFollowed(t *testing.T) {
	r := newRig(t, 4)
	trap := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was followed") }))
	defer trap.Close()
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		http.Redirect(w, q, trap.URL, http.StatusTemporaryRedirect)
		return true
	}
	r.run("the problem", func() bool { return strings.Contains(r.seen().Problem, "307") })
}

// A hub that says yes and stores nothing is a failing hub, not one to send the same to without a pause.
func TestHubThatStoresNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 4)
		r.options.MinWait, r.options.MaxWait = time.Second, time.Minute
		posts := 0
		r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
			if q.Method == http.MethodPost {
				posts++
			}
			if posts >= 1000 { // end the race that this test is about
				t.Error("sent a thousand times")
				w.WriteHeader(http.StatusServiceUnavailable)
				return true
			}
			w.Write([]byte(`{"device":"` + entry.DeviceID(r.hub.device) + `"}`))
			return true
		}
		stop := r.lend()
		time.Sleep(time.Hour)
		stop()
		if posts < 10 || r.journal.Receipted() != 0 || r.seen().Problem == "" {
			t.Errorf("%d batches, state %+v", posts, r.seen())
		}
	})
}
