package pull

import (
	"bytes"
	"context"
	"crypto/ecdh"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
	"gatepost/sync/wire/wiretest"

	"github.com/klauspost/compress/zstd"
)

const token = "0123456789abcdef"

var (
	stamp     = entry.Stamp{Wall: time.Date(2021, 10, 21, 7, 30, 0, 0, time.UTC), Mono: 1500 * time.Millisecond, Trust: entry.TrustClock}
	authority = sealKey(7)
)

func sealKey(n byte) *ecdh.PrivateKey {
	k, err := ecdh.X25519().NewPrivateKey(bytes.Repeat([]byte{n}, 32))
	if err != nil {
		panic(err)
	}
	return k
}

// first returns the first record of a log.
func first(t testing.TB, l *wiretest.Log) wire.Record {
	t.Helper()
	records, _, err := l.Read(context.Background(), 0, 1)
	if err != nil || len(records) != 1 {
		t.Fatalf("%d records, %v", len(records), err)
	}
	return records[0]
}

func passages(n int) (b []entry.Body) {
	for range n {
		b = append(b, entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit})
	}
	return b
}

func serve(t *testing.T, log Log) *Client {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(path, []byte("# readers\n\nanother-token-of-22-xy\r\n"+token+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	tokens, err := ReadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(New(Options{Log: log, Tokens: tokens, Out: slog.New(slog.DiscardHandler)}))
	t.Cleanup(s.Close)
	return &Client{HTTP: s.Client(), URL: s.URL, Token: token, Devices: map[string]ed25519.PublicKey{
		wiretest.ID(1): wiretest.Key(1).Public().(ed25519.PublicKey), wiretest.ID(2): wiretest.Key(2).Public().(ed25519.PublicKey),
	}}
}

// Whatever the page size, every entry comes exactly once and in order, and its batch's signature is checked.
func TestPagesGiveEachEntryOnce(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	want := map[string]uint64{}
	for i := range 40 {
		n := byte(1 + i%2)
		m.Batch(t, n, stamp, passages(1+i%7)...)
		want[wiretest.ID(n)] += uint64(1 + i%7)
		if i%5 == 0 {
			m.Add(wire.Record{Alarm: &wire.Alarm{Device: wiretest.ID(1)}})
		}
	}
	for _, limit := range []int{1, 2, 3, 7, 10, 1000} {
		t.Run(fmt.Sprint(limit), func(t *testing.T) {
			c, cursor, got := serve(t, m), "", map[string]uint64{}
			for {
				next, n, err := c.Page(t.Context(), cursor, limit, 0, func(l Line) error {
					if got[l.Device]++; l.Seq != got[l.Device] {
						t.Errorf("device %s: entry %d, want %d", l.Device, l.Seq, got[l.Device])
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if n > limit {
					t.Fatalf("page of %d entries, limit %d", n, limit)
				}
				if n == 0 {
					break
				}
				cursor = next
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
}

func TestLineShowsWhatAnEntrySays(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp,
		entry.Passage{Lane: "north", Direction: entry.Out, Verdict: entry.Look, Form: "covid-2021/1", Tag: []byte{0xAB, 1}, Sealed: []byte{1, 2}},
		entry.Undo{Seq: 1})
	var got []Line
	c := serve(t, m)
	if _, _, err := c.Page(t.Context(), "", 9, 0, func(l Line) error { got = append(got, l); return nil }); err != nil {
		t.Fatal(err)
	}
	b, _ := wire.Parse(first(t, m).Raw)
	want := []Line{{
		Cursor: "abc.1.1", Device: wiretest.ID(1), Seq: 1, Hash: entry.HashOf(b.Entries[0]).String(), Kind: "passage", Boot: 3,
		Wall: "2021-10-21T07:30:00.000Z", MonoMS: 1500, Trust: "clock", Lane: "north", Direction: "out", Verdict: "look",
		Form: "covid-2021/1", Tag: "ab01", Sealed: []byte{1, 2}, Entry: b.Entries[0],
	}, {
		Cursor: "abc.1.2", Device: wiretest.ID(1), Seq: 2, Hash: b.After().Hash.String(), Kind: "undo", Boot: 3,
		Wall: "2021-10-21T07:30:00.000Z", MonoMS: 1500, Trust: "clock", Undoes: 1, Entry: b.Entries[1],
		Batch: &Span{Head{0, entry.Hash{}.String()}, b.Sig},
	}}
	g, _ := json.MarshalIndent(got, "", " ")
	w, _ := json.MarshalIndent(want, "", " ")
	if string(g) != string(w) {
		t.Errorf("got %s\nwant %s", g, w)
	}
}

func TestUnknownKindAndBodyStay(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	var h entry.Head
	var raws [][]byte
	for _, e := range []entry.Entry{{Kind: 99, Body: []byte{0xFF}}, {Kind: entry.KindPassage, Body: []byte("?")}} {
		e.Seq, e.Boot, e.Prev = h.Seq+1, 1, h.Hash
		raw, err := e.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		raws, h = append(raws, raw), entry.Head{Seq: e.Seq, Hash: entry.HashOf(raw)}
	}
	b, _ := wire.Sign(wiretest.Key(1), raws)
	raw, _ := b.Marshal()
	m.Add(wire.Record{Raw: raw})
	var kinds []string
	if _, _, err := serve(t, m).Page(t.Context(), "", 9, 0, func(l Line) error { kinds = append(kinds, l.Kind); return nil }); err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(kinds) != "[kind-99 passage]" {
		t.Errorf("kinds %v", kinds)
	}
}

func TestRefusals(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(3)...)
	for _, c := range []struct {
		name, method, query, auth string
		status                    int
		kind, start               string
	}{
		{"no token", "GET", "", "", 401, wire.ProblemToken, ""},
		{"wrong token", "GET", "", "Bearer 0123456789abcdeX", 401, wire.ProblemToken, ""},
		{"empty token", "GET", "", "Bearer ", 401, wire.ProblemToken, ""},
		{"comment as token", "GET", "", "Bearer # readers", 401, wire.ProblemToken, ""},
		{"method", "POST", "", "Bearer " + token, 405, wire.ProblemRequest, ""},
		{"malformed cursor", "GET", "?after=hello", "Bearer " + token, 400, wire.ProblemCursor, ""},
		{"cursor with a sign", "GET", "?after=abc.%2B1.0", "Bearer " + token, 400, wire.ProblemCursor, ""},
		{"another epoch", "GET", "?after=xyz.1.1", "Bearer " + token, 410, wire.ProblemCursor, "abc.0.0"},
		{"beyond the end", "GET", "?after=abc.2.0", "Bearer " + token, 410, wire.ProblemCursor, "abc.0.0"},
		{"far beyond the end", "GET", "?after=abc.9223372036854775807.0", "Bearer " + token, 410, wire.ProblemCursor, "abc.0.0"},
		{"limit 0", "GET", "?limit=0", "Bearer " + token, 400, wire.ProblemRequest, ""},
		{"wait", "GET", "?wait=soon", "Bearer " + token, 400, wire.ProblemRequest, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := serve(t, m)
			req, _ := http.NewRequestWithContext(t.Context(), c.method, client.URL+wire.PathLog+c.query, nil)
			req.Header.Set("Authorization", c.auth)
			res, err := client.HTTP.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer res.Body.Close()
			var p wire.Problem
			if err := json.NewDecoder(res.Body).Decode(&p); err != nil {
				t.Fatal(err)
			}
			if res.StatusCode != c.status || p.Status != c.status || p.Type != c.kind || p.Start != c.start {
				t.Errorf("got %d %+v, want %d %q start %q", res.StatusCode, p, c.status, c.kind, c.start)
			}
			if got := res.Header.Get("Content-Type"); got != wire.TypeProblem {
				t.Errorf("type %q", got)
			}
		})
	}
}

func TestNothingNew(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	c := serve(t, m)
	next, n, err := c.Page(t.Context(), "", 9, 0, nil)
	if err != nil || n != 0 || next != "abc.0.0" {
		t.Errorf("empty log: %q %d %v", next, n, err)
	}
	m.Batch(t, 1, stamp, passages(2)...)
	m.Add(wire.Record{Alarm: &wire.Alarm{Device: wiretest.ID(1)}})
	next, n, err = c.Page(t.Context(), "abc.1.2", 9, 0, nil)
	if err != nil || n != 0 || next != "abc.2.0" {
		t.Errorf("only an alarm: %q %d %v, want a cursor behind it", next, n, err)
	}
}

// A reader that waits gets a batch as soon as it is there.
func TestWaitForNews(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	c := serve(t, m)
	got := make(chan int)
	go func() {
		_, n, err := c.Page(t.Context(), "", 9, time.Minute, func(Line) error { return nil })
		if err != nil {
			t.Error(err)
		}
		got <- n
	}()
	m.Batch(t, 1, stamp, passages(2)...)
	if n := <-got; n != 2 {
		t.Errorf("%d entries, want 2", n)
	}
}

func TestCompression(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(50)...)
	c := serve(t, m)
	fetch := func(accept string) (string, []byte) {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", c.URL+wire.PathLog, nil)
		req.Header.Set("Authorization", "Bearer "+token)
		req.Header.Set("Accept-Encoding", accept)
		res, err := c.HTTP.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		raw, err := io.ReadAll(res.Body)
		if err != nil {
			t.Fatal(err)
		}
		return res.Header.Get("Content-Encoding"), raw
	}
	encoding, want := fetch("gzip, zstd;q=0")
	if encoding != "" || bytes.Count(want, []byte("\n")) != 50 {
		t.Fatalf("plain page: encoding %q, %d lines", encoding, bytes.Count(want, []byte("\n")))
	}
	encoding, small := fetch("gzip, zstd")
	z, err := zstd.NewReader(bytes.NewReader(small))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	if got, err := io.ReadAll(z); encoding != "zstd" || err != nil || !bytes.Equal(got, want) {
		t.Errorf("encoding %q, %v: the page is another one", encoding, err)
	}
}

// A hub that changes, drops, repeats or re-describes an entry is found out.
func TestClientFindsLies(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(t, 1, stamp, passages(3)...)
	m.Batch(t, 1, stamp, passages(2)...)
	var honest []Line
	if _, _, err := serve(t, m).Page(t.Context(), "", 9, 0, func(l Line) error { honest = append(honest, l); return nil }); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		lie  func(l []Line) []Line
	}{
		{"dropped", func(l []Line) []Line { return append(l[:1], l[2:]...) }},
		{"repeated", func(l []Line) []Line { return append(l[:2], l[1:]...) }},
		{"changed", func(l []Line) []Line { l[1].Entry = bytes.Replace(l[1].Entry, []byte("a"), []byte("b"), 1); return l }},
		{"verdict", func(l []Line) []Line { l[1].Verdict = "refuse"; return l }},
		{"hash", func(l []Line) []Line { l[1].Hash = l[2].Hash; return l }},
		{"other device", func(l []Line) []Line { l[2].Device = wiretest.ID(2); return l }},
		{"unknown device", func(l []Line) []Line {
			for i := range l {
				l[i].Device = wiretest.ID(9)
			}
			return l
		}},
		{"signature", func(l []Line) []Line { l[2].Batch.Sig = make([]byte, 64); return l }},
		{"other batch's signature", func(l []Line) []Line { l[2].Batch = l[4].Batch; return l }},
		{"cursor", func(l []Line) []Line { l[0].Cursor = "../.."; return l }},
	} {
		t.Run(c.name, func(t *testing.T) {
			var lines []Line
			raw, _ := json.Marshal(honest)
			json.Unmarshal(raw, &lines)
			lines = c.lie(lines)
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				for _, l := range lines {
					json.NewEncoder(w).Encode(l)
				}
			}))
			defer s.Close()
			client := serve(t, m)
			client.HTTP, client.URL = s.Client(), s.URL
			if _, n, err := client.Page(t.Context(), "", 9, 0, func(Line) error { return nil }); err == nil {
				t.Errorf("%d lines were believed", n)
			}
		})
	}
}

// Signatures cannot just be left out.
func TestClientWantsSignatures(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	for range 2 {
		m.Batch(t, 1, stamp, passages(400)...)
	}
	var lines []Line
	client := serve(t, m)
	if _, _, err := client.Page(t.Context(), "", MaxLimit, 0, func(l Line) error { lines = append(lines, l); return nil }); err != nil {
		t.Fatal(err)
	}
	client.chains = nil
	var err error
	for i := range lines {
		lines[i].Batch = nil
		var at chain
		if at, err = client.check(&lines[i]); err != nil {
			break
		}
		client.keep(lines[i].Device, at)
	}
	if err == nil {
		t.Error("800 entries without a signature were believed")
	}
}

func TestSealedPartsOpen(t *testing.T) {
	m := wiretest.New("abc", stamp.Wall)
	sealer, err := entry.NewSealer(authority.PublicKey())
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealer.Seal(entry.Personal{Family: "cccd", Name: "Nguyễn Văn A", Reason: entry.ReasonDeclared})
	if err != nil {
		t.Fatal(err)
	}
	m.Batch(t, 1, stamp, entry.Passage{Lane: "a", Sealed: sealed}, entry.Passage{Lane: "a", Sealed: []byte("nonsense")})
	for _, c := range []struct {
		name  string
		key   *ecdh.PrivateKey
		names []string
		errs  int
	}{
		{"the key", authority, []string{"Nguyễn Văn A", ""}, 1},
		{"another key", sealKey(8), []string{"", ""}, 2},
		{"no key", nil, []string{"", ""}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := serve(t, m)
			client.Authority = c.key
			var names []string
			var errs int
			_, _, err := client.Page(t.Context(), "", 9, 0, func(l Line) error {
				if l.PersonalError != "" {
					errs++
				}
				if l.Personal != nil {
					names = append(names, l.Personal.Name)
				} else {
					names = append(names, "")
				}
				return nil
			})
			if err != nil || fmt.Sprint(names) != fmt.Sprint(c.names) || errs != c.errs {
				t.Errorf("names %q, %d errors, %v; want %q, %d", names, errs, err, c.names, c.errs)
			}
		})
	}
}

func TestProblemReachesTheCaller(t *testing.T) {
	c := serve(t, wiretest.New("new", stamp.Wall))
	_, _, err := c.Page(t.Context(), "old.4.2", 9, 0, nil)
	var p wire.Problem
	if !errors.As(err, &p) || p.Status != 410 || p.Start != "new.0.0" {
		t.Errorf("got %v", err)
	}
}

func TestTokenFiles(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"short", "0123\n", ":1: a token has at least 16"},
		{"empty", "# none\n\n", "holds none"},
		{"an empty area", token + " Quang,,\n", ":1: an area"},
		{"twice", token + "\n" + token + " Quang\n", ":2: this token stands here twice"},
	} {
		path := filepath.Join(t.TempDir(), "token")
		os.WriteFile(path, []byte(c.text), 0o600)
		if _, err := ReadTokens(path); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

func FuzzParseCursor(f *testing.F) {
	for _, s := range []string{"abc.0.0", "abc.1.2", "", "...", "a.-1.0", "a.1.99999999999", "a.01.0", "A.1.1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if c, err := ParseCursor(s); err == nil && c.String() != s {
			t.Errorf("%q became %q", s, c)
		}
	})
}

func FuzzParseLine(f *testing.F) {
	m := wiretest.New("abc", stamp.Wall)
	m.Batch(f, 1, stamp, passages(1)...)
	b, _ := wire.Parse(first(f, m).Raw)
	l, _ := line(Cursor{"abc", 1, 1}, b, b.Entries[0])
	raw, _ := json.Marshal(l)
	f.Add(raw)
	f.Add([]byte(`{"entry":"AAAA"}`))
	f.Add([]byte(`{`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := Client{Authority: authority, Devices: map[string]ed25519.PublicKey{}}
		l, err := c.read(raw)
		if err != nil {
			return
		}
		if slow, err := ParseLine(raw); err != nil || !reflect.DeepEqual(slow, l) {
			t.Errorf("%+v, %v is read as %+v", slow, err, l)
		}
		if _, err := c.check(&l); err == nil && entry.HashOf(l.Entry).String() != l.Hash {
			t.Error("a line was believed whose hash is not its entry's")
		}
	})
}

// A reader whose disk fails in the midst of a page goes on from the last entry that it took, with the same client. Found by
// the simulation, seed 4.
func TestGoesOnAfterAFailure(t *testing.T) {
	l := wiretest.New("epoch", stamp.Wall)
	l.Batch(t, 1, stamp, passages(5)...)
	c := serve(t, l)
	var got []uint64
	full, cursor := errors.New("full"), ""
	for try := 0; len(got) < 5 && try < 20; try++ {
		var err error
		taken := 0
		cursor, _, err = c.Page(t.Context(), cursor, 10, 0, func(l Line) error {
			if taken++; taken > 1 {
				return full
			}
			got = append(got, l.Seq)
			return nil
		})
		if err != nil && !errors.Is(err, full) {
			t.Fatal(err)
		}
	}
	if !slices.Equal(got, []uint64{1, 2, 3, 4, 5}) {
		t.Errorf("took %d", got)
	}
}
