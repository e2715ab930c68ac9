package lan

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/memory"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const word = "a-token-of-the-venue"

func tokens(t *testing.T) pull.Tokens {
	t.Helper()
	path := filepath.Join(t.TempDir(), "tokens")
	if err := os.WriteFile(path, []byte(word+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	all, err := pull.ReadTokens(path)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What happens at one gate is known at the other: passages, what is taken back, declarations, refusals.
func TestGatesFollowEachOther(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	a.run(nil, b)
	b.run(nil, a)
	agreed(a, b)
	a.pass(card, entry.In)
	b.until("the passage", func() bool { return b.past(card).Last.Equal(morning) })
	if in, _ := b.m.Inside(morning); in != 1 || b.past(other).Last != (time.Time{}) {
		t.Errorf("%d inside at the other gate", in)
	}
	seq := b.pass(other, entry.In)
	a.until("the passage", func() bool { return a.past(other).LastDirection == entry.In })
	b.append(entry.Undo{Seq: seq})
	a.until("the undo", func() bool { return a.past(other).Last.IsZero() })
	if err := a.m.Declare(card[:1], form, morning.Add(time.Hour), morning); err != nil {
		t.Fatal(err)
	}
	b.until("the declaration", func() bool { return b.past(card).Form == form })
	b.setClock(morning.Add(time.Second))
	if err := b.m.Forget(card, morning.Add(time.Hour), b.clock()); err != nil {
		t.Fatal(err)
	}
	a.until("the refusal", func() bool { return a.past(card).Form == "" && !a.past(card).Refused.IsZero() })
}

// A gate that starts again knows today's passages at the other one, and reads no more than today's.
func TestTodayIsReadAgain(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	a.run(nil, b)
	b.run(nil, a)
	agreed(a, b)
	a.pass(other, entry.In)
	b.until("yesterday's passage", func() bool { return b.past(other).LastDirection == entry.In })
	for _, g := range []*gate{a, b} {
		g.setClock(morning.AddDate(0, 0, 1))
	}
	agreed(a, b)
	a.pass(card, entry.In)
	b.until("today's passage", func() bool { return b.past(card).LastDirection == entry.In })
	b.restart()
	text, err := os.ReadFile(filepath.Join(b.dir, "lan", a.id()+".cursor"))
	if c, err2 := pull.ParseCursor(string(text)); err != nil || err2 != nil || c.Seq != 1 {
		t.Errorf("today begins behind %q, want entry 1", text)
	}
	b.run(nil, a)
	b.until("today's passage after a restart", func() bool { return b.past(card).LastDirection == entry.In })
	if in, _ := b.m.Inside(b.clock()); in != 1 {
		t.Errorf("%d inside", in)
	}
}

// A peer that is away is told of in a word, and what happened meanwhile comes when it is back.
func TestPeerThatIsAway(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	b.run(nil, a)
	b.until("the peer's absence", func() bool { return strings.Contains(b.state("gate-a"), "refused") })
	b.pass(other, entry.In)
	a.pass(card, entry.In) // alone, under a key of its own
	a.run(nil, b)
	b.until("the peer", func() bool { return b.state("gate-a") == "" })
	b.until("what happened there", func() bool { return b.past(card).LastDirection == entry.In })
	a.until("what happened here", func() bool { return a.past(other).LastDirection == entry.In })
	a.stop()
	b.until("the peer's end", func() bool { return b.state("gate-a") != "" })
}

// A journal that is begun anew, and one whose beginning was deleted, are read from what there is.
func TestPeerBeginsAnew(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	a.run(nil, b)
	b.run(nil, a)
	agreed(a, b)
	a.pass(other, entry.In)
	a.pass(other, entry.Out)
	b.until("the passages", func() bool { return b.past(other).LastDirection == entry.Out })
	a.close()
	if err := os.RemoveAll(filepath.Join(a.dir, "journal")); err != nil {
		t.Fatal(err)
	}
	a.open()
	a.run(nil, b)
	for range 3 {
		a.setClock(a.clock().Add(time.Second))
		a.pass(card, entry.In)
	}
	b.setClock(a.clock())
	b.until("the passages of the new journal", func() bool { return b.past(card).Last.Equal(a.clock()) })
}

// A peer whose card was rolled back and went on from there is an alarm, which stays one.
func TestPeerIsRolledBack(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	a.run(nil, b)
	b.run(nil, a)
	agreed(a, b)
	a.pass(card, entry.In)
	b.until("the passage", func() bool { return b.past(card).LastDirection == entry.In })
	a.close()
	name, err := epoch(filepath.Join(a.dir, "lan"), 2)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string]string{"journal": "", "lan/epoch": name + " 0\n"} {
		if err := os.RemoveAll(filepath.Join(a.dir, path)); err != nil {
			t.Fatal(err)
		}
		if text != "" {
			if err := os.WriteFile(filepath.Join(a.dir, path), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	a.open()
	a.pass(other, entry.In)
	a.pass(other, entry.Out)
	a.run(nil, b)
	b.until("the alarm", func() bool { return strings.Contains(b.state("gate-a"), errLog.Error()) })
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.alarms) != 1 || !strings.Contains(b.alarms[0], "entry 2 ") {
		t.Errorf("alarms %q", b.alarms)
	}
}

// More connections than there are places for are reset, and a place is free again when its guest has gone.
func TestConnectionsAreBounded(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := Bounded(l, 1)
	defer d.Close()
	accepted := make(chan net.Conn)
	go func() {
		defer close(accepted)
		for {
			c, err := d.Accept()
			if err != nil {
				return
			}
			accepted <- c
		}
	}()
	dial := func() net.Conn {
		t.Helper()
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c
	}
	dial()
	first := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("a second guest got in")
	}
	first.Close()
	first.Close() // a place is given back once
	dial()
	second := <-accepted
	if _, err := dial().Read(make([]byte, 1)); err == nil {
		t.Error("two guests have one place")
	}
	second.Close()
}

// Whoever is no peer is refused in the handshake, and who is not the peer that was meant is not spoken to.
func TestStrangers(t *testing.T) {
	a, b, stranger := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2), newGate(t, "stranger", 3)
	ask := func(as *gate, to Peer, path, token string) (int, error) {
		c := &tls.Config{MinVersion: tls.VersionTLS13, InsecureSkipVerify: true}
		if as != nil {
			cert, err := certificate(as.key, "")
			if err != nil {
				t.Fatal(err)
			}
			c = clientTLS(cert, to)
		}
		client := http.Client{Transport: &http.Transport{TLSClientConfig: c, DisableKeepAlives: true}}
		req, err := http.NewRequest(http.MethodGet, to.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
		res, err := client.Do(req)
		if err != nil {
			return 0, err
		}
		defer res.Body.Close()
		io.Copy(io.Discard, res.Body)
		return res.StatusCode, nil
	}
	venue := PathVenue + "?day=2026-11-23"
	a.run(nil, b)
	if status, err := ask(b, a.peer(), wire.PathLog, ""); status != http.StatusOK {
		t.Errorf("a peer: %d, %v", status, err)
	}
	if status, err := ask(b, a.peer(), venue, ""); status != http.StatusOK {
		t.Errorf("a peer: %d, %v", status, err)
	}
	for name, as := range map[string]*gate{"a stranger": stranger, "somebody without a certificate": nil} {
		if _, err := ask(as, a.peer(), wire.PathLog, word); err == nil {
			t.Errorf("%s got through the handshake", name)
		}
	}
	if _, err := ask(b, Peer{URL: a.peer().URL, Key: stranger.peer().Key}, wire.PathLog, ""); err == nil || !strings.Contains(err.Error(), errStranger.Error()) {
		t.Errorf("another device in the peer's place: %v", err)
	}
	a.stop()
	a.run(tokens(t), b)
	if _, err := ask(stranger, a.peer(), wire.PathLog, word); err == nil {
		t.Error("a stranger's certificate got through the handshake where there are tokens")
	}
	for _, c := range []struct {
		path, token string
		want        int
	}{
		{wire.PathLog, word, http.StatusOK},
		{wire.PathLog, "another-token-that-is-none", http.StatusUnauthorized},
		{venue, word, http.StatusForbidden},
		{venue, "", http.StatusForbidden},
	} {
		if status, err := ask(nil, a.peer(), c.path, c.token); status != c.want {
			t.Errorf("%s with %q: %d, %v; want %d", c.path, c.token, status, err, c.want)
		}
	}
	for _, path := range []string{PathVenue, venue + "&have=x", venue + "&have=0123456789abcdef:-1"} {
		if status, _ := ask(b, a.peer(), path, ""); status != http.StatusBadRequest {
			t.Errorf("%s: %d", path, status)
		}
	}
}

// A reader with a token trusts the file with the gate's certificate, and its usual tool reads the log.
func TestReaderWithAToken(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	a.pass(card, entry.In)
	a.run(tokens(t), b)
	pem, err := os.ReadFile(filepath.Join(a.dir, "lan", Certificate))
	roots := x509.NewCertPool()
	if err != nil || !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("certificate: %v", err)
	}
	c := pull.Client{
		HTTP: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}},
		URL:  a.peer().URL, Token: word, Devices: map[string]ed25519Key{a.id(): a.peer().Key},
	}
	var lines []pull.Line
	if _, _, err := c.Page(t.Context(), "", 10, 0, func(l pull.Line) error { lines = append(lines, l); return nil }); err != nil || len(lines) != 1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	again, err := certificate(a.key, "127.0.0.1")
	if err != nil || !bytes.Equal(again.Certificate[0], mustCert(t, a).Certificate[0]) {
		t.Error("the certificate is another each time")
	}
}

func mustCert(t *testing.T, g *gate) tls.Certificate {
	t.Helper()
	c, err := certificate(g.key, "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// No key stands in a log line, whatever is exchanged and whatever goes wrong.
func TestNoKeyInTheLog(t *testing.T) {
	a, b := newGate(t, "gate-a", 1), newGate(t, "gate-b", 2)
	if err := a.m.Declare(card[:1], form, morning.Add(time.Hour), morning); err != nil {
		t.Fatal(err)
	}
	share, err := a.m.Share(memory.Have{Day: "2026-11-23"}, morning)
	if err != nil || len(share.Keys) != 1 || len(share.Days) != 1 {
		t.Fatalf("%+v, %v", share, err)
	}
	a.run(nil, b)
	b.run(nil, a)
	b.until("the declaration", func() bool { return b.past(card).Form == form })
	a.stop()
	b.stop()
	text := a.log.String() + b.log.String()
	for _, key := range [][]byte{share.Keys[0], share.Keys[0][8:], share.Days[0].Key} {
		for _, s := range secretForms(key) {
			if strings.Contains(text, s) {
				t.Errorf("a key stands in the log: %s", s)
			}
		}
	}
	if _, err := parseShare(strings.NewReader(`{"keys":["` + strings.Repeat("A", 40) + `!"]}`)); err == nil || strings.Contains(err.Error(), "AAAA") {
		t.Errorf("an answer that is none: %v", err)
	}
}

func FuzzHave(f *testing.F) {
	f.Add("day=2026-11-23&have=0123456789abcdef:7")
	f.Fuzz(func(t *testing.T, query string) {
		r, err := http.NewRequest(http.MethodGet, "https://gate/v1/venue", nil)
		if err != nil {
			t.Fatal(err)
		}
		r.URL.RawQuery = query
		h, err := parseHave(r.URL.Query())
		if err != nil {
			return
		}
		back, err := parseHave(formatHave(h))
		if err != nil || back.Day != h.Day || len(back.Parts) != len(h.Parts) {
			t.Errorf("%q: %+v, %v", query, back, err)
		}
	})
}

// Whatever a peer answers, the memory stays usable and bounded.
func FuzzShare(f *testing.F) {
	f.Add([]byte(`{"day":"2026-11-23","keys":["AAAA"],"days":[{"date":"2026-11-23","key":"","until":1,"from":0,"records":""}]}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseShare(bytes.NewReader(raw))
		if err != nil {
			return
		}
		m, err := memory.Open(t.TempDir(), hanoi, morning, constant{})
		if err != nil {
			t.Fatal(err)
		}
		defer m.Close()
		m.Take(s, morning)
		m.Pass(card, memory.Passage{Gate: "x", Seq: 1, Tag: m.Tag(card, morning), Direction: entry.In, At: morning})
		if m.Past(card, morning).LastDirection != entry.In {
			t.Error("the memory forgot a passage")
		}
		if n := len(m.Have(morning).Parts); n > 16+slices.Max([]int{0, len(s.Days)}) {
			t.Errorf("%d keys", n)
		}
	})
}
