package enrol

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

func TestFile(t *testing.T) {
	issuer := newKey(t)
	parts := wire.EnrolmentParts(sign(t, issuer, sample(t, 1)))
	other := wire.EnrolmentParts(sign(t, issuer, sample(t, 2)))
	if len(parts) < 2 {
		t.Fatal("one part alone")
	}
	join := func(lines ...string) string { return strings.Join(lines, "\n") }
	for name, test := range map[string]struct {
		text, want string
		face       guard.Face
	}{
		"as it was written":       {join(parts...) + "\n", "enrolled", guard.Ready},
		"by Windows":              {"\ufeff" + strings.Join(parts, "\r\n") + "\r\n", "enrolled", guard.Ready},
		"with words":              {"# Cổng 1\n\n  " + strings.Join(parts, "  \n\n") + "\nbehind it", "enrolled", guard.Ready},
		"in another order":        {join(parts[len(parts)-1]) + "\n" + join(parts[:len(parts)-1]...), "enrolled", guard.Ready},
		"without its last part":   {join(parts[:len(parts)-1]...), "gatepost.txt, line ", guard.Ask},
		"a line that is no part":  {join(parts[0], "ssid=gate"), "gatepost.txt, line 2: no part of an enrolment", guard.Stop},
		"a letter changed":        {join(append([]string{"# one", strings.Replace(parts[0], "A", "B", 1) + "0"}, parts[1:]...)...), "gatepost.txt, line ", ""},
		"parts of two":            {join(append([]string{parts[0]}, other[1:]...)...), "gatepost.txt, line ", ""},
		"a very long one":         {strings.Repeat("x", maxFile+1), "gatepost.txt: not read: exceeds 65536 bytes", guard.Broken},
		"of a time that is over":  {join(parts...), "this enrolment has expired", guard.Stop},
		"something else entirely": {"PK\x03\x04", "gatepost.txt, line 1: no part of an enrolment", guard.Stop},
	} {
		at := noon
		if name == "of a time that is over" {
			at = noon.Add(3 * time.Hour)
		}
		path := filepath.Join(t.TempDir(), FileName)
		if err := os.WriteFile(path, []byte(test.text), 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, filepath.Join(t.TempDir(), "store"), nil)
		taken := 0
		said, ok := NewReader(s, clockAt(at, entry.TrustClock), func() { taken++ }).File(path)
		if !ok || !strings.Contains(said.Words.EN, test.want) || test.face != "" && said.Face != test.face {
			t.Errorf("%s: %v, %s, %q", name, ok, said.Face, said.Words.EN)
		}
		if _, enrolled := s.Current(); enrolled != (test.want == "enrolled") || taken != map[bool]int{true: 1}[enrolled] {
			t.Errorf("%s: enrolled %v, taken %d", name, enrolled, taken)
		}
		if left, err := os.ReadFile(path); err != nil || string(left) != test.text {
			t.Errorf("%s: the file is changed", name)
		}
	}
	room := filepath.Join(t.TempDir(), FileName)
	for _, what := range []string{"no file", "an empty one", "room for one"} {
		if _, ok := NewReader(open(t, t.TempDir(), nil), clockAt(noon, entry.TrustNone), func() {}).File(room); ok {
			t.Error(what, "is an enrolment")
		}
		text := map[string]string{"an empty one": "# room\r\n\r\n\n"}[what]
		if err := os.WriteFile(room, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// A port is a USB port into which folders are put as if they were sticks.
type port struct {
	sticks   chan string
	released int
}

func (p *port) Insert(ctx context.Context) (string, error) {
	select {
	case dir := <-p.sticks:
		return dir, nil
	case <-ctx.Done():
		return "", ctx.Err()
	}
}
func (p *port) Release() error          { p.released++; return nil }
func (p *port) Removed(context.Context) {}

// A unit that waits takes its enrolment from the card's partition, or from the first stick that has one.
func TestGateReadsFiles(t *testing.T) {
	raw := sign(t, newKey(t), sample(t, 1))
	text := []byte(strings.Join(wire.EnrolmentParts(raw), "\r\n"))
	card, stick, empty := t.TempDir(), t.TempDir(), t.TempDir()
	if err := os.WriteFile(filepath.Join(stick, FileName), text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(card, FileName), text[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, t.TempDir(), nil)
	g := NewGate(nil, slog.New(slog.DiscardHandler))
	p := &port{sticks: make(chan string)}
	g.File, g.Port = filepath.Join(card, FileName), p
	done := make(chan struct{})
	go func() { g.Run(t.Context(), s, clockAt(noon, entry.TrustNone)); close(done) }()
	said := func(want string) {
		t.Helper()
		for {
			changed := g.Changed() // before the look: what comes after it is not missed
			if strings.Contains(g.State().Enrol.Words.EN, want) {
				return
			}
			select {
			case <-changed:
			case <-time.After(10 * time.Second):
				t.Fatalf("%q, want %q", g.State().Enrol.Words.EN, want)
			}
		}
	}
	said("gatepost.txt, line ")
	p.sticks <- empty
	said("no gatepost.txt on the stick")
	p.sticks <- stick
	<-done
	if _, ok := s.Current(); !ok || p.released != 2 {
		t.Errorf("enrolled %v, released %d", ok, p.released)
	}
	// The next unit has a whole file on its card and no camera that sees anything.
	if err := os.WriteFile(g.File, text, 0o600); err != nil {
		t.Fatal(err)
	}
	other := open(t, t.TempDir(), nil)
	g = NewGate(nil, slog.New(slog.DiscardHandler))
	g.File = filepath.Join(card, FileName)
	g.Run(t.Context(), other, clockAt(noon, entry.TrustNone))
	if _, ok := other.Current(); !ok {
		t.Error("the card's file is not taken")
	}
}
