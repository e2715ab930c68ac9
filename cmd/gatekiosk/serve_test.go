package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/storage/entry"
)

// parse reads a configuration whose gate keeps everything in a folder of the test.
func parse(t *testing.T, text string) *config.Kiosk {
	t.Helper()
	c, err := config.LoadKiosk(write(t, "schema = 1\n"+text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Two peers with one key would be one peer with two addresses, whose log would seem to break.
func TestTwoPeersWithOneKey(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b"} {
		if err := keyfile.Create(dir, name, "device"); err != nil {
			t.Fatal(err)
		}
	}
	for second, fault := range map[string]bool{"a": true, "b": false} {
		text := ""
		for i, key := range []string{"a", second} {
			text += fmt.Sprintf("[[peer]]\nname = \"gate-%d\"\naddress = \"https://192.0.2.%d:8444\"\nkey = %q\n", i, i+2, filepath.Join(dir, key+".pub.pem"))
		}
		c := parse(t, text)
		p, err := openParts(c, &origin{}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		defer p.close()
		_, err = newLAN(t.Context(), c, p, nil, slog.New(slog.DiscardHandler))
		if (err != nil) != fault || fault && !strings.Contains(err.Error(), `key of peer "gate-1": another peer has it`) {
			t.Errorf("keys a and %s: %v", second, err)
		}
	}
}

// What the guard has turned stays turned when the gate begins anew, until the configuration says something else.
func TestTurnsOutliveANewBeginning(t *testing.T) {
	e := &origin{}
	for i, c := range []struct{ configured, want, guard entry.Direction }{
		{entry.In, entry.In, entry.Out},
		{entry.In, entry.Out, entry.Out},
		{entry.In, entry.Out, entry.In}, // turned back
		{entry.In, entry.In, entry.Out},
		{entry.Out, entry.Out, entry.Out}, // an order
		{entry.In, entry.In, entry.Out},   // and its end
		{entry.Out, entry.Out, entry.In},
		{entry.Out, entry.In, entry.In},
		{entry.In, entry.In, entry.In},
	} {
		configured := []kiosk.Lane{{Name: "other", Direction: entry.In}, {Name: "gate-1", Direction: c.configured}}
		lanes := slices.Clone(configured)
		e.turn(lanes)
		if lanes[1].Direction != c.want || lanes[0].Direction != entry.In {
			t.Errorf("beginning %d: %v and %v, want %v and in", i, lanes[1].Direction, lanes[0].Direction, c.want)
		}
		e.keepTurns(configured, map[string]entry.Direction{"other": entry.In, "gate-1": c.guard})
	}
}

// The hub's time is known when the gate begins anew, and the hub may be away then.
func TestHubsTimeOutlivesANewBeginning(t *testing.T) {
	c, e := parse(t, "venue.clock = \"kernel\"\n"), &origin{}
	p, err := openParts(c, e, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	ahead := time.Now().Add(48 * time.Hour) // no clock of this machine says that
	err = p.clock.Tell(ahead, 0)
	p.close()
	if err != nil {
		t.Fatal(err)
	}
	if p, err = openParts(c, e, slog.New(slog.DiscardHandler)); err != nil {
		t.Fatal(err)
	}
	defer p.close()
	if s := p.clock.Stamp(); s.Trust != entry.TrustNetwork || s.Wall.Before(ahead.Add(-time.Second)) {
		t.Errorf("%v, trust %v", s.Wall, s.Trust)
	}
}
