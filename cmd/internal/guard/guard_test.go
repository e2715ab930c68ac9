package guard

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"gatepost/storage/entry"
)

func TestOnlyAdmitIsGreen(t *testing.T) {
	for v := range entry.Verdict(8) {
		if green := FaceOf(v) == Go; green != (v == entry.Admit) {
			t.Errorf("%v has the face %q", v, FaceOf(v))
		}
	}
}

// A gate that is told what to show.
type gate struct {
	mu      sync.Mutex
	state   State
	changed chan struct{}
	did     []Action
	err     error
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

func (g *gate) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

func (g *gate) Changed() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.changed
}

func (g *gate) Do(_ context.Context, a Action) error {
	g.did = append(g.did, a)
	return g.err
}

func (g *gate) set(s State) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state = s
	close(g.changed)
	g.changed = make(chan struct{})
}

func serve(t *testing.T, g *gate) *httptest.Server {
	s := httptest.NewServer(Console(g, Options{Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.Close)
	return s
}

func TestEventsTellEachChange(t *testing.T) {
	g := newGate()
	g.set(State{Venue: "first"})
	s := serve(t, g)
	r, err := http.Get(s.URL + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	next := func() (state State) {
		for lines.Scan() {
			if data, ok := strings.CutPrefix(lines.Text(), "data: "); ok {
				if err := json.Unmarshal([]byte(data), &state); err != nil {
					t.Fatal(err)
				}
				return state
			}
		}
		t.Fatal("the events ended")
		return state
	}
	if got := next().Venue; got != "first" {
		t.Errorf("first state %q", got)
	}
	g.set(State{Venue: "second", Saved: 7})
	if got := next(); got.Venue != "second" || got.Saved != 7 {
		t.Errorf("second state %+v", got)
	}
}

func TestAct(t *testing.T) {
	g := newGate()
	s := serve(t, g)
	post := func(kind, body string, headers ...string) int {
		q, err := http.NewRequest(http.MethodPost, s.URL+"/act", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		q.Header.Set("Content-Type", kind)
		for i := 0; i < len(headers); i += 2 {
			if headers[i] == "Host" {
				q.Host = headers[i+1]
			}
			q.Header.Set(headers[i], headers[i+1])
		}
		r, err := http.DefaultClient.Do(q)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}
	const turn = `{"turn": {"lane": "gate-1", "direction": "out"}}`
	for what, c := range map[string]struct{ got, want int }{
		"an unknown field":  {post("application/json", `{"open": true}`), 400},
		"no JSON":           {post("application/json", `open`), 400},
		"too long":          {post("application/json", `{"turn": {"lane": "`+strings.Repeat("x", maxAction)+`"}}`), 400},
		"a form":            {post("application/x-www-form-urlencoded", turn), 415},
		"a foreign page":    {post("application/json", turn, "Sec-Fetch-Site", "cross-site"), 403},
		"a foreign origin":  {post("application/json", turn, "Origin", "http://evil.example"), 403},
		"a name that moved": {post("application/json", turn, "Host", "evil.example"), 403},
	} {
		if c.got != c.want {
			t.Errorf("%s: status %d, want %d", what, c.got, c.want)
		}
	}
	if len(g.did) != 0 {
		t.Errorf("the gate did %+v", g.did)
	}
	if got := post("application/json", turn); got != 204 || len(g.did) != 1 || g.did[0].Turn.Direction != "out" {
		t.Errorf("status %d, did %+v", got, g.did)
	}
	g.err = errors.New("not now")
	if got := post("application/json", turn); got != 409 {
		t.Errorf("status %d when the gate refuses", got)
	}
}

func TestPageIsWholeAndNeedsNobody(t *testing.T) {
	s := serve(t, newGate())
	for _, path := range []string{"/", "/console.css", "/console.js", "/state.json"} {
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		if r.StatusCode != 200 || !strings.Contains(r.Header.Get("Content-Security-Policy"), "default-src 'self'") {
			t.Errorf("%s: %s, policy %q", path, r.Status, r.Header.Get("Content-Security-Policy"))
		}
	}
	html, err := pages.ReadFile("page/index.html")
	if err != nil || strings.Contains(string(html), "://") {
		t.Errorf("the page names another place, or %v", err)
	}
}
