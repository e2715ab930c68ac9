package lan

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

type ed25519Key = ed25519.PublicKey

// constant is no randomness at all.
type constant struct{}

func (constant) Read(p []byte) (int, error) { return len(p), nil }

func secretForms(key []byte) []string {
	return []string{string(key), hex.EncodeToString(key), base64.StdEncoding.EncodeToString(key), fmt.Sprint(key)}
}

// lines pulls the whole log of a journal, page by page, with every check of a client.
func lines(t *testing.T, l *log, after string, limit int) (all []pull.Line, end string, err error) {
	t.Helper()
	s := httptest.NewServer(pull.New(pull.Options{Log: l, Tokens: tokens(t), Out: slog.New(slog.DiscardHandler)}))
	defer s.Close()
	pub := l.key.Public().(ed25519.PublicKey)
	c := pull.Client{HTTP: s.Client(), URL: s.URL, Token: word, Devices: map[string]ed25519.PublicKey{entry.DeviceID(pub): pub}}
	for end = after; ; {
		next, n, err := c.Page(t.Context(), end, limit, 0, func(l pull.Line) error { all = append(all, l); return nil })
		if err != nil || n == 0 {
			return all, next, err
		}
		end = next
	}
}

func newLog(g *gate) *log { return &log{g.j, g.key, "0123456789abcdef", filepath.Join(g.dir, "aside")} }

// Every entry comes once, in its order and its bytes, whatever the pages' size, and each under a signature of the device.
func TestLogServesTheJournal(t *testing.T) {
	g := newGate(t, "gate-a", 1)
	for range 25 {
		g.pass(card, entry.In)
	}
	want, err := g.j.Range(0, 100, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int{1, 7, 100} {
		got, end, err := lines(t, newLog(g), "", limit)
		if err != nil || len(got) != len(want) || end != fmt.Sprintf("0123456789abcdef.%d.1", len(want)) {
			t.Fatalf("pages of %d: %d lines to %q, %v", limit, len(got), end, err)
		}
		for i, l := range got {
			if !slices.Equal(l.Entry, want[i]) || l.Batch == nil {
				t.Errorf("pages of %d: line %d is %+v", limit, i, l)
			}
		}
	}
	if _, _, err := lines(t, newLog(g), "0123456789abcdef.999.1", 10); err == nil {
		t.Error("a cursor from the future is served")
	}
}

// After a prune the places stay, and who comes from before is told where to go on.
func TestLogOfAPrunedJournal(t *testing.T) {
	g := newGate(t, "gate-a", 1)
	g.close()
	var err error
	if g.j, err = journal.Open(filepath.Join(g.dir, "journal"), journal.Options{Device: g.id(), Entries: 10}); err != nil {
		t.Fatal(err)
	}
	for range 35 {
		g.pass(card, entry.In)
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	head := g.j.Head()
	if err := g.j.PutReceipt(entry.NewReceipt(key, g.id(), head, morning)); err != nil {
		t.Fatal(err)
	}
	_, middle, err := lines(t, newLog(g), "", 30)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := g.j.Prune(t.Context(), morning.Add(time.Hour), entry.Stamp{Wall: morning.Add(2 * time.Hour), Trust: entry.TrustClock}); err != nil || n == 0 {
		t.Fatalf("%d pruned, %v", n, err)
	}
	first := g.j.First()
	got, _, err := lines(t, newLog(g), "", 10)
	if err != nil || len(got) == 0 || got[0].Seq != first || first == 1 {
		t.Fatalf("begins with %+v, want entry %d; %v", got, first, err)
	}
	if more, _, err := lines(t, newLog(g), middle, 10); err != nil || len(more) == 0 || more[0].Seq != head.Seq+1 {
		t.Errorf("goes on with %+v, %v; want entry %d", more, err, head.Seq+1)
	}
	_, _, err = lines(t, newLog(g), "0123456789abcdef.1.1", 10)
	if p := (wire.Problem{}); !errors.As(err, &p) || p.Type != wire.ProblemCursor || p.Start != fmt.Sprintf("0123456789abcdef.%d.0", first) {
		t.Errorf("a cursor of what is deleted: %v", err)
	}
}

// In the place of lost entries is nothing, and in that of one that the hub refused the gap that the hub has; the chain
// holds over both.
func TestLogOfWhatIsMissing(t *testing.T) {
	g := newGate(t, "gate-a", 1)
	for range 8 {
		g.pass(card, entry.In)
	}
	raw, err := g.j.Range(2, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	hash := entry.HashOf(raw[0])
	if err := os.WriteFile(filepath.Join(g.dir, "aside"), fmt.Appendf(nil, "3 %v\n", hash), 0o600); err != nil {
		t.Fatal(err)
	}
	got, _, err := lines(t, newLog(g), "", 2)
	if err != nil || len(got) != 8 || got[2].Kind != "gap" || got[3].Kind != "passage" {
		t.Fatalf("%d lines, %v: %+v", len(got), err, got)
	}
	damage(t, g, 4, 5)
	got, end, err := lines(t, newLog(g), "", 2)
	if err != nil || len(got) == 0 {
		t.Fatalf("%d lines, %v", len(got), err)
	}
	var seqs []uint64
	for _, l := range got {
		seqs = append(seqs, l.Seq)
	}
	if head := g.j.Head().Seq; seqs[len(seqs)-1] != head || slices.Contains(seqs, 4) || !slices.Contains(seqs, 5) || got[3].Kind != "gap" {
		t.Errorf("lines %v up to %q; a gap at 5 stands for 4 and 5, and %d is the last", seqs, end, head)
	}
}

func TestEpoch(t *testing.T) {
	dir := t.TempDir()
	next := func(boot uint32) string {
		name, err := epoch(dir, boot)
		if err != nil || len(name) != 16 {
			t.Fatalf("%q, %v", name, err)
		}
		return name
	}
	first := next(1)
	if next(2) != first || next(7) != first {
		t.Error("it changes while the journal goes on")
	}
	second := next(1)
	if second == first || next(2) != second {
		t.Error("a journal that was begun anew has the old name")
	}
	for _, text := range []string{"", "x", "0123456789abcdeg 1\n", "0123 1\n"} {
		if err := os.WriteFile(filepath.Join(dir, "epoch"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if name := next(3); name == second {
			t.Errorf("%q: %q", text, name)
		}
	}
}

// damage spoils entries on the disk and opens the gate again.
func damage(t *testing.T, g *gate, seqs ...uint64) {
	t.Helper()
	var raws [][]byte
	for _, seq := range seqs {
		raw, err := g.j.Range(seq-1, 1, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, raw[0])
	}
	g.close()
	names, err := filepath.Glob(filepath.Join(g.dir, "journal", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, raw := range raws {
			b = bytes.ReplaceAll(b, raw, append(raw[:len(raw)-1:len(raw)-1], raw[len(raw)-1]^1))
		}
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g.open()
	if len(g.j.Repairs()) == 0 {
		t.Fatal("no damage was found")
	}
}
