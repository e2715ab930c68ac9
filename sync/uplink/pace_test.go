package uplink

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/sync/wire"
)

func TestPace(t *testing.T) {
	type batch struct {
		n    int
		took time.Duration
	}
	for _, c := range []struct {
		what    string
		batches []batch
		n       uint64
		want    time.Duration
	}{
		{"nothing is known", nil, 5012, 0},
		{"nothing is left", []batch{{500, time.Second}}, 0, 0},
		{"one batch", []batch{{500, 400 * time.Millisecond}}, 5012, 4 * time.Second},
		{"less than a second", []batch{{500, 400 * time.Millisecond}}, 7, time.Second},
		{"the last batches count most", []batch{{500, time.Hour}, {500, 0}, {500, 0}, {500, 0}, {500, 0}}, 1000, 232 * time.Second},
		{"a small batch counts little", []batch{{500, time.Second}, {1, 100 * time.Millisecond}}, 5020, 12 * time.Second},
		{"years are as good as nothing", []batch{{1, time.Hour}}, 1 << 40, 0},
		{"no time at all", []batch{{500, 0}}, 5000, time.Second},
	} {
		var p pace
		for _, b := range c.batches {
			p.add(b.n, b.took)
		}
		if got := p.left(c.n); got != c.want {
			t.Errorf("%s: %v, want %v", c.what, got, c.want)
		}
	}
}

// A backlog goes at 500 entries in 400 ms: the state tells how long the rest takes, and nothing when it has gone.
func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newBareRig(t, 5*wire.MaxEntries)
		var states []State
		r.options.OnState = func(s State) { states = append(states, s) }
		r.options.MinWait, r.options.Jitter = time.Second, func() float64 { return 0 }
		r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
			if q.Method == http.MethodPost {
				time.Sleep(4 * time.Second)
			}
			return false
		}
		stop := r.lend()
		time.Sleep(time.Minute)
		stop()
		want := []struct {
			unsent int
			left   time.Duration
		}{{2000, 16 * time.Second}, {1500, 12 * time.Second}, {1000, 8 * time.Second}, {500, 4 * time.Second}, {0, 0}}
		for i, s := range states {
			if i < len(want) && (s.Unsent != want[i].unsent || s.Left != want[i].left) {
				t.Errorf("state %d: %+v, want %v", i, s, want[i])
			}
		}
		if len(states) < len(want) {
			t.Errorf("%d states", len(states))
		}
	})
}
