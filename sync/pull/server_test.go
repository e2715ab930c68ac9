package pull

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
	"gatepost/sync/wire/wiretest"
)

// changing is a log that may lose its beginning, a record of its middle, or everything.
type changing struct {
	mu     sync.Mutex
	log    *wiretest.Log
	first  uint64 // place of the oldest record that is left
	hole   uint64 // a place where nothing stands; 0: none
	change chan struct{}
	waits  chan struct{} // gets something whenever somebody begins to wait
}

func newChanging(log *wiretest.Log) *changing {
	return &changing{log: log, change: make(chan struct{}), waits: make(chan struct{}, 9)}
}

func (c *changing) now() *wiretest.Log {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.log
}

// replace puts another log in this one's place, and wakes who waits.
func (c *changing) replace(log *wiretest.Log) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.log = log
	close(c.change)
}

func (c *changing) Epoch() string { return c.now().Epoch() }

func (c *changing) Read(ctx context.Context, after uint64, most int) (left []wire.Record, last uint64, err error) {
	records, last, err := c.now().Read(ctx, max(after+1, c.first)-1, most)
	for _, r := range records {
		if r.Seq != c.hole {
			left = append(left, r)
		}
	}
	return left, last, err
}

func (c *changing) Wait(ctx context.Context, after uint64) error {
	c.waits <- struct{}{}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	news := make(chan error, 1)
	go func() { news <- c.now().Wait(ctx, after) }()
	select {
	case err := <-news:
		return err
	case <-c.change:
		return nil
	}
}

// call asks s for a path and returns the answer with its body read.
func call(s http.Handler, method, path, word, body string, headers ...string) (*http.Response, string) {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Authorization", "Bearer "+word)
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	res := w.Result()
	text, _ := io.ReadAll(res.Body)
	return res, string(text)
}

const scoped = "a-token-of-mê-linh"

func options(t *testing.T, log Log) Options {
	t.Helper()
	dir := t.TempDir()
	path := filepath.Join(dir, "tokens")
	if err := os.WriteFile(path, []byte(token+"\n"+scoped+" Hà Nội/Mê Linh, Quang\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := ReadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	consumers, err := OpenConsumers(filepath.Join(dir, "consumers.json"))
	if err == nil {
		err = consumers.Attach(t.Context(), log)
	}
	if err != nil {
		t.Fatal(err)
	}
	areas := map[string]string{wiretest.ID(1): "Hà Nội/Mê Linh/Chợ", wiretest.ID(2): "Hà Nội/Mê Linh 2", wiretest.ID(3): "Quang"}
	return Options{
		Log: log, Tokens: tokens, Area: func(d string) string { return areas[d] }, Consumers: consumers, Out: slog.New(slog.DiscardHandler),
		Fleet: func(context.Context) ([]Device, error) {
			return []Device{{ID: "1", Area: "Quang"}, {ID: "2", Area: "Quang Minh"}, {ID: "3"}}, nil
		},
		Now: func() time.Time { return stamp.Wall },
	}
}

func TestClosedPagesCarryATag(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(3)...)
	m.Batch(t, 2, stamp, passages(3)...)
	s := New(options(t, m))
	tag := func(query string, headers ...string) string {
		t.Helper()
		res, _ := call(s, "GET", wire.PathLog+query, token, "", headers...)
		if res.StatusCode != 200 || !strings.Contains(res.Header.Get("Vary"), "Accept-Encoding") {
			t.Errorf("%s: status %d, Vary %q", query, res.StatusCode, res.Header.Get("Vary"))
		}
		return res.Header.Get("ETag")
	}
	four := tag("?limit=4")
	seen := map[string]string{"": "none"}
	for name, got := range map[string]string{
		"four": four, "three": tag("?limit=3"), "behind one": tag("?limit=4&after=abc.1.1"), "packed": tag("?limit=4", "Accept-Encoding", "zstd"),
	} {
		if other, twice := seen[got]; twice || got[0] != '"' || strings.HasPrefix(got, "W/") {
			t.Errorf("%s: tag %q is also that of %s", name, got, other)
		}
		seen[got] = name
	}
	if got := tag("?limit=7"); got != "" {
		t.Errorf("an open page has the tag %q", got)
	}
	for _, header := range []string{four, `"x", W/` + four, "*"} {
		res, body := call(s, "GET", wire.PathLog+"?limit=4", token, "", "If-None-Match", header)
		if res.StatusCode != 304 || body != "" || res.Header.Get("ETag") != four {
			t.Errorf("%s: status %d, %d bytes", header, res.StatusCode, len(body))
		}
	}
	if res, _ := call(s, "GET", wire.PathLog+"?limit=4", token, "", "If-None-Match", four, "Accept-Encoding", "zstd"); res.StatusCode != 200 {
		t.Errorf("the tag of a plain page stands for the packed one: %d", res.StatusCode)
	}
	m.Batch(t, 1, stamp, passages(1)...)
	if got := tag("?limit=4"); got != four {
		t.Errorf("the tag of a closed page became %q", got)
	}
	other := wiretest.New("abc", stamp.Wall) // the same places, other entries
	other.Batch(t, 1, stamp, entry.Passage{Lane: "b"}, entry.Passage{Lane: "b"}, entry.Passage{Lane: "b"})
	other.Batch(t, 2, stamp, passages(3)...)
	s = New(options(t, other))
	if got := tag("?limit=4"); got == four {
		t.Error("other entries have the same tag")
	}
}

// A page that is longer than what is held ahead comes whole, without a tag.
func TestLongPage(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	for range 3 {
		var b []entry.Body
		for range 220 {
			b = append(b, entry.Passage{Lane: "a", Sealed: make([]byte, 4500)})
		}
		for n := range byte(3) {
			m.Batch(t, n+1, stamp, b...)
		}
	}
	s := New(options(t, m))
	res, body := call(s, "GET", wire.PathLog+"?limit=1900", token, "")
	if n := strings.Count(body, "\n"); n != 1900 || res.Header.Get("ETag") != "" {
		t.Errorf("%d lines, tag %q", n, res.Header.Get("ETag"))
	}
}

// A token with areas opens the entries of their devices, and its cursor moves over the others.
func TestAreas(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	for _, device := range []byte{2, 1, 2, 3, 2, 4} {
		m.Batch(t, device, stamp, passages(2)...)
	}
	s := New(options(t, m))
	res, body := call(s, "GET", wire.PathLog+"?limit=9", scoped, "")
	if strings.Count(body, "\n") != 4 || strings.Contains(body, wiretest.ID(2)) || strings.Contains(body, wiretest.ID(4)) {
		t.Errorf("status %d: %s", res.StatusCode, body)
	}
	res, body = call(s, "GET", wire.PathLog+"?after=abc.4.2", scoped, "")
	if body != "" || res.Header.Get(CursorHeader) != "abc.6.0" {
		t.Errorf("the rest: %q, cursor %q", body, res.Header.Get(CursorHeader))
	}
	if _, body = call(s, "GET", wire.PathLog, token, ""); strings.Count(body, "\n") != 12 {
		t.Errorf("a token without areas: %s", body)
	}
	res, _ = call(s, "PUT", wire.PathConsumers+"m/cursor", scoped, "abc.1.1")
	if res.StatusCode != 403 {
		t.Errorf("it moves a consumer: %d", res.StatusCode)
	}
	for path, all := range map[string]int{token: 3, scoped: 1} {
		_, body = call(s, "GET", wire.PathStatus, path, "")
		var got Status
		if err := json.Unmarshal([]byte(body), &got); err != nil || len(got.Devices) != all {
			t.Errorf("%d devices, want %d, %v", len(got.Devices), all, err)
		}
	}
}

// A token whose gates are silent is answered before the whole log has been read, and its reader goes on all the same.
func TestScanIsBounded(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	for range maxScan + 50 {
		m.Add(wire.Record{Alarm: &wire.Alarm{}})
	}
	m.Batch(t, 1, stamp, passages(1)...)
	server := httptest.NewServer(New(options(t, m)))
	defer server.Close()
	c := &Client{HTTP: server.Client(), URL: server.URL, Token: scoped}
	at, empty := "", 0
	for {
		next, n, err := c.Page(t.Context(), at, 9, time.Minute, func(Line) error { return nil })
		if err != nil || next == at {
			t.Fatalf("stands still at %q: %v", at, err)
		}
		if at = next; n > 0 {
			break
		}
		empty++
	}
	if empty != 1 {
		t.Errorf("%d empty pages before the first entry", empty)
	}
}

func TestRate(t *testing.T) {
	o := options(t, wiretest.New("abc", stamp.Wall))
	now := stamp.Wall
	o.Now = func() time.Time { return now }
	s := New(o)
	for i := range burst {
		if res, _ := call(s, "GET", wire.PathLog, token, ""); res.StatusCode != 200 {
			t.Fatalf("request %d: %d", i, res.StatusCode)
		}
	}
	res, body := call(s, "GET", wire.PathLog, token, "")
	if res.StatusCode != 429 || res.Header.Get("Retry-After") != "1" || !strings.Contains(body, wire.ProblemRate) {
		t.Errorf("one too many: %d, Retry-After %q, %s", res.StatusCode, res.Header.Get("Retry-After"), body)
	}
	if res, _ := call(s, "GET", wire.PathLog, scoped, ""); res.StatusCode != 200 {
		t.Errorf("another token pays for it: %d", res.StatusCode)
	}
	now = now.Add(time.Second)
	if res, _ := call(s, "GET", wire.PathLog, token, ""); res.StatusCode != 200 {
		t.Errorf("a second later: %d", res.StatusCode)
	}
	now = now.Add(-time.Hour)
	if res, _ := call(s, "GET", wire.PathLog, token, ""); res.StatusCode != 200 {
		t.Errorf("after the clock was put back: %d", res.StatusCode)
	}
}

func TestTrimmedHistory(t *testing.T) {
	m := newChanging(wiretest.New("abc", stamp.Wall))
	for range 6 {
		m.log.Batch(t, 1, stamp, passages(2)...)
	}
	m.first = 4
	s := New(options(t, m))
	for query, want := range map[string]string{
		"?after=abc.1.2": "abc.4.0", "?after=abc.2.1": "abc.4.0", "?after=abc.0.0": "abc.4.0", "?after=xyz.5.1": "abc.4.0", "?after=abc.9.1": "abc.4.0",
	} {
		res, body := call(s, "GET", wire.PathLog+query, token, "")
		var p wire.Problem
		if err := json.Unmarshal([]byte(body), &p); err != nil || res.StatusCode != 410 || p.Start != want {
			t.Errorf("%s: %d %+v, want the start %q", query, res.StatusCode, p, want)
		}
	}
	for query, want := range map[string]int{"": 6, "?after=abc.4.0": 6, "?after=abc.3.2": 6, "?after=abc.4.1": 5} {
		if res, body := call(s, "GET", wire.PathLog+query, token, ""); res.StatusCode != 200 || strings.Count(body, "\n") != want {
			t.Errorf("%s: %d, %d entries, want %d", query, res.StatusCode, strings.Count(body, "\n"), want)
		}
	}
	m.hole = 5 // to begin anew would not mend this
	if res, _ := call(s, "GET", wire.PathLog+"?after=abc.4.2", token, ""); res.StatusCode != 503 {
		t.Errorf("a record is missing: %d", res.StatusCode)
	}
}

// A hub whose store is deleted tells a reader that waits where the new log begins.
func TestLogIsReplacedUnderAWaitingReader(t *testing.T) {
	m := newChanging(wiretest.New("old", stamp.Wall))
	m.log.Batch(t, 1, stamp, passages(2)...)
	c := serve(t, m)
	got := make(chan error)
	go func() {
		_, _, err := c.Page(t.Context(), "old.1.2", 9, time.Minute, func(Line) error { return nil })
		got <- err
	}()
	<-m.waits
	fresh := wiretest.New("new", stamp.Wall)
	fresh.Batch(t, 1, stamp, passages(3)...)
	m.replace(fresh)
	var p wire.Problem
	if err := <-got; !errors.As(err, &p) || p.Status != 410 || p.Start != "new.0.0" {
		t.Fatalf("the reader that waited got %v", err)
	}
	c.chains = nil // as a program does that begins anew
	seen := map[uint64]int{}
	for at, n := p.Start, 1; n > 0; {
		var err error
		if at, n, err = c.Page(t.Context(), at, 2, 0, func(l Line) error { seen[l.Seq]++; return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if fmt.Sprint(seen) != "map[1:1 2:1 3:1]" {
		t.Errorf("entries and how often they came: %v", seen)
	}
}

func TestConsumers(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(3)...)
	m.Add(wire.Record{Alarm: &wire.Alarm{}})
	m.Batch(t, 1, stamp, passages(2)...)
	o := options(t, m)
	s := New(o)
	if _, ok := o.Consumers.Kept("m"); ok {
		t.Error("a consumer that said nothing has kept something")
	}
	for _, c := range []struct {
		name, body string
		status     int
		kind       string
		place      uint64 // kept by m after it
	}{
		{"m", "abc.1.2", 204, "", 0},
		{"m", "abc.1.3", 204, "", 1},
		{"m", "abc.1.3", 204, "", 1},
		{"m", "abc.1.2", 409, wire.ProblemCursor, 1},
		{"m", "abc.1.4", 400, wire.ProblemCursor, 1},
		{"m", "abc.2.0", 204, "", 2}, // an alarm has no entries
		{"m", "abc.1.3", 409, wire.ProblemCursor, 2},
		{"m", "abc.3.1", 204, "", 2},
		{"m", "abc.4.0", 410, wire.ProblemCursor, 2},
		{"m", "xyz.1.1", 410, wire.ProblemCursor, 2},
		{"m", "hello", 400, wire.ProblemCursor, 2},
		{"m", "", 400, wire.ProblemCursor, 2},
		{"m", strings.Repeat("a", 201), 413, wire.ProblemTooLarge, 2},
		{"M", "abc.1.1", 400, wire.ProblemRequest, 2},
		{strings.Repeat("m", 41), "abc.1.1", 400, wire.ProblemRequest, 2},
		{"other", "abc.1.1", 204, "", 2},
		{"m", "abc.3.2", 204, "", 3},
	} {
		res, body := call(s, "PUT", wire.PathConsumers+c.name+"/cursor", token, c.body)
		var p wire.Problem
		json.Unmarshal([]byte(body), &p)
		if place, ok := o.Consumers.Kept("m"); res.StatusCode != c.status || p.Type != c.kind || place != c.place || !ok {
			t.Errorf("%s to %q: %d %q, kept %d %v; want %d %q, %d", c.name, c.body, res.StatusCode, p.Type, place, ok, c.status, c.kind, c.place)
		}
		if c.status == 409 && mustCursor(t, p.Start).Seq < c.place {
			t.Errorf("start %q", p.Start)
		}
	}
	if res, body := call(s, "GET", wire.PathConsumers+"m/cursor", token, ""); res.StatusCode != 200 || body != "abc.3.2" {
		t.Errorf("%d, %q", res.StatusCode, body)
	}
	if res, _ := call(s, "GET", wire.PathConsumers+"nobody/cursor", token, ""); res.StatusCode != 404 {
		t.Errorf("nobody: %d", res.StatusCode)
	}
	_, body := call(s, "GET", wire.PathStatus, token, "")
	var got Status
	err := json.Unmarshal([]byte(body), &got)
	want := []Lag{
		{"m", "abc.3.2", "2021-10-21T07:30:00.000Z", 0, ""}, {"other", "abc.1.1", "2021-10-21T07:30:00.000Z", 3, "2021-10-21T07:30:00.000Z"},
	}
	if err != nil || got.Epoch != "abc" || got.Last != 3 || fmt.Sprint(got.Consumers) != fmt.Sprint(want) {
		t.Errorf("%v: %s", err, body)
	}
}

// mustCursor reads a cursor that must be one.
func mustCursor(t *testing.T, s string) Cursor {
	t.Helper()
	c, err := ParseCursor(s)
	if err != nil {
		t.Fatalf("%q: %v", s, err)
	}
	return c
}

// What a consumer has kept is there after a restart, and worth nothing for another log or one that lost its end.
func TestConsumersOutliveTheHub(t *testing.T) {
	long, short := wiretest.New("abc", stamp.Wall), wiretest.New("abc", stamp.Wall)
	for i := range 4 {
		long.Batch(t, 1, stamp, passages(1)...)
		if i < 2 {
			short.Batch(t, 1, stamp, passages(1)...)
		}
	}
	o := options(t, long)
	if res, body := call(New(o), "PUT", wire.PathConsumers+"m/cursor", token, "abc.3.1"); res.StatusCode != 204 {
		t.Fatal(body)
	}
	for _, c := range []struct {
		name  string
		log   *wiretest.Log
		place uint64
		ok    bool
	}{{"the same", long, 3, true}, {"shorter", short, 0, false}, {"another", wiretest.New("xyz", stamp.Wall), 0, false}} {
		again, err := OpenConsumers(o.Consumers.path)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := again.Kept("m"); ok {
			t.Error("something is kept of no log")
		}
		if err := again.Attach(t.Context(), c.log); err != nil {
			t.Fatal(err)
		}
		if place, ok := again.Kept("m"); place != c.place || ok != c.ok {
			t.Errorf("%s: %d %v", c.name, place, ok)
		}
	}
	for _, text := range []string{"{", `{"m":{"cursor":"?","place":1}}`, `{"M":{"cursor":"abc.1.1"}}`, `{"m":{"cursor":"abc.1.1","place":9}}`} {
		if err := os.WriteFile(o.Consumers.path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := OpenConsumers(o.Consumers.path); err == nil {
			t.Errorf("%s was believed", text)
		}
	}
}

// A cursor that could not be stored is not kept.
func TestCursorThatIsNotStored(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(1)...)
	o := options(t, m)
	o.Consumers.path = filepath.Join(t.TempDir(), "none", "consumers.json")
	if res, _ := call(New(o), "PUT", wire.PathConsumers+"m/cursor", token, "abc.1.1"); res.StatusCode != 503 {
		t.Errorf("status %d", res.StatusCode)
	}
	if _, ok := o.Consumers.Kept("m"); ok {
		t.Error("it counts as kept")
	}
}

func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, began := New(options(t, wiretest.New("abc", stamp.Wall))), time.Now()
		res, body := call(s, "GET", wire.PathLog+"?wait=7", token, "")
		if d := time.Since(began); res.StatusCode != 200 || body != "" || d != 7*time.Second {
			t.Errorf("%d %q after %v", res.StatusCode, body, d)
		}
	})
}

func FuzzConsumers(f *testing.F) {
	f.Add([]byte(`{"m":{"cursor":"abc.1.1","place":1,"at":5}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		kept, err := parseConsumers(raw)
		if err != nil {
			return
		}
		c := Consumers{kept: kept}
		if err := c.Attach(t.Context(), wiretest.New("abc", stamp.Wall)); err != nil {
			t.Fatal(err)
		}
		for name := range kept {
			if place, ok := c.Kept(name); ok && place > 0 {
				t.Errorf("%q has kept %d of an empty log", name, place)
			}
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("0123456789abcdef Quang Minh, Mê Linh")
	f.Add("0123456789abcdef ,")
	f.Fuzz(func(t *testing.T, line string) {
		if k, err := parseToken(line); err == nil && !k.everything() && k.sees("") {
			t.Errorf("%q opens devices without an area", line)
		}
	})
}
