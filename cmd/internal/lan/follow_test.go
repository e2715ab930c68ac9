package lan

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// newFollower returns one of g's, which follows peer and does not run.
func newFollower(t *testing.T, g *gate, peer Peer) *follower {
	t.Helper()
	l, err := New(g.options(nil))
	if err != nil {
		t.Fatal(err)
	}
	return l.newFollower(peer)
}

// A peer whose log breaks, holds and breaks again does not fill this gate's journal with alarms.
func TestAlarmsAreFew(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	f := newFollower(t, b, a.peer())
	breaks := func(want int) {
		t.Helper()
		for i := range 5 {
			f.report(follow, fmt.Errorf("%w: break %d", errLog, i))
			f.report(follow, nil)
		}
		if len(b.alarms) != want {
			t.Errorf("alarms %q, want %d", b.alarms, want)
		}
	}
	breaks(1)
	breaks(1)
	f.alarmed = f.alarmed.Add(-2 * alarmEvery) // as if
	breaks(2)
}

// Whoever a peer points to is not spoken to.
func TestPeerRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("a redirection is followed") }))
	defer elsewhere.Close()
	s := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusFound))
	defer s.Close()
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	peer := a.peer()
	peer.URL = s.URL // without TLS, which would refuse that one, too
	f := newFollower(t, b, peer)
	if err := f.askOnce(t.Context()); err == nil || !strings.Contains(err.Error(), "302") {
		t.Error(err)
	}
	if err := f.page(t.Context()); err == nil {
		t.Error("a redirection is a page")
	}
}
