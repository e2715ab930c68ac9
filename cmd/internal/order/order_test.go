package order

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/scanner/admission/roster"
	"gatepost/sync/wire"
)

const device = "0123456789abcdef"

var (
	issuer    = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))
	publisher = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32))
	morning   = time.Date(2026, 11, 25, 7, 30, 0, 0, time.UTC)
)

const visit = `schema = 1
id = "visit"
version = 3
title = { vi = "Khách", en = "Visitor" }
freshness = "8h"
retention = "30d"

[[question]]
id = "sick"
text = { vi = "Ốm?", en = "Ill?" }
type = "yes-no"
refuses = ["yes"]
`

func policy(unprovable string) string {
	return "schema = 1\n[policy]\nunprovable = \"" + unprovable + "\"\n"
}

// sign makes an order, for everybody unless change says otherwise.
func sign(t testing.TB, kind string, serial uint64, body string, change ...func(*wire.Order)) []byte {
	t.Helper()
	o := wire.Order{Kind: kind, Serial: serial, Percent: 100, Body: []byte(body)}
	for _, c := range change {
		c(&o)
	}
	raw, err := wire.SignOrder(issuer, o)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func named(name string) func(*wire.Order) { return func(o *wire.Order) { o.Name = name } }

func base(t testing.TB) *config.Kiosk {
	t.Helper()
	c, err := config.ParseKiosk([]byte("schema = 1\n[uplink]\nhub = \"https://hub.example\"\nreceipt_key = \"receipt.pub.pem\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func options(t testing.TB, dir string) Options {
	return Options{
		Dir: dir, Device: device, Issuer: issuer.Public().(ed25519.PublicKey), Publisher: publisher.Public().(ed25519.PublicKey),
		Base: base(t), Probation: 10 * time.Minute, Log: slog.New(slog.DiscardHandler),
	}
}

func open(t testing.TB, dir string) *Keeper {
	t.Helper()
	k, err := Open(options(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { k.Close() })
	return k
}

// A gate is a kiosk that is told everything.
type gate struct {
	mu     sync.Mutex
	online bool
	kept   []string          // recorded
	shown  map[string]string // by slot
	full   bool              // its journal takes nothing
	idle   func()

	rosters []roster.Set
}

func (g *gate) Trouble(_ context.Context, slot, text string, news bool) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.shown == nil {
		g.shown = map[string]string{}
	}
	if delete(g.shown, slot); text != "" {
		g.shown[slot] = text
	}
	if news && g.full {
		return errors.New("journal is full")
	}
	if news {
		g.kept = append(g.kept, text)
	}
	return nil
}

func (g *gate) SetRosters(r roster.Set) { g.set(func() { g.rosters = append(g.rosters, r) }) }

func (g *gate) Idle(context.Context) {
	if g.idle != nil {
		g.idle()
	}
}

func (g *gate) Online() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.online
}

func (g *gate) set(f func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f()
}

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

// run runs until the orders change, and returns what the gate begins anew with. It fails when that does not come.
func run(t *testing.T, k *Keeper, g *gate) Layer {
	t.Helper()
	if err := k.Run(t.Context(), g, at(morning)); !errors.Is(err, ErrChanged) {
		t.Fatal(err)
	}
	return k.Start()
}

// An order is kept, the gate begins anew with it, and after a contact it stands, also after a new start. A lower serial
// and the same one are passed over, a higher one is taken.
func TestOrderIsTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, g := t.TempDir(), &gate{online: true}
		k := open(t, dir)
		if l := k.Start(); l.Policy != nil || l.Config != k.Base || len(k.Had()) != 0 {
			t.Fatalf("%+v", l)
		}
		take(t, k, sign(t, wire.OrderPolicy, 7, policy("refuse")))
		waited := false
		g.idle = func() { waited = true }
		l := run(t, k, g)
		if !waited || l.Policy == nil || l.Policy.Unprovable != "refuse" || k.Had()["policy"] != 7 {
			t.Fatalf("%+v", l.Policy)
		}
		k.Reached()
		if k.s.Trial != nil {
			t.Error("a contact ends no trial")
		}
		k.Close()
		k = open(t, dir)
		if l := k.Start(); l.Policy == nil || l.Policy.Unprovable != "refuse" {
			t.Errorf("after a start: %+v", l.Policy)
		}
		for _, serial := range []uint64{6, 7} {
			if err := k.Take(sign(t, wire.OrderPolicy, serial, policy("admit"))); !errors.Is(err, ErrPassed) || !errors.Is(err, wire.ErrOrder) {
				t.Errorf("%d: %v", serial, err)
			}
		}
		take(t, k, sign(t, wire.OrderPolicy, 8, policy("look")))
		if l := run(t, k, g); l.Policy.Unprovable != "look" {
			t.Errorf("%+v", l.Policy)
		}
		if len(g.kept) > 0 {
			t.Errorf("troubles %q", g.kept)
		}
	})
}

func take(t *testing.T, k *Keeper, raw []byte) {
	t.Helper()
	if err := k.Take(raw); err != nil {
		t.Fatal(err)
	}
}

// The hub does not come back: the kiosk goes back by itself after the probation, says so once, and tries that serial
// never again.
func TestGoesBackWithoutTheHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, g := t.TempDir(), &gate{online: true}
		k := open(t, dir)
		k.Start()
		good := sign(t, wire.OrderConfig, 1, "schema = 1\nuplink.interval = \"20s\"\n")
		bad := sign(t, wire.OrderConfig, 2, "schema = 1\nuplink.hub = \"https://wrong.example\"\n")
		take(t, k, good)
		run(t, k, g)
		k.Reached()
		take(t, k, bad)
		if l := run(t, k, g); l.Config.Uplink.Hub != "https://wrong.example" || k.Base.Uplink.Hub != "https://hub.example" {
			t.Fatalf("%+v", l.Config.Uplink)
		}
		g.set(func() { g.online = false })
		began := time.Now()
		l := run(t, k, g)
		if l.Config.Uplink.Hub != "https://hub.example" || l.Config.Uplink.Interval != "20s" || time.Since(began) != k.Probation {
			t.Errorf("after %v: %+v", time.Since(began), l.Config.Uplink)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Hour)
		defer stop()
		if err := k.Run(ctx, g, at(morning)); err != nil { // nothing more happens
			t.Fatal(err)
		}
		if len(g.kept) != 1 || !strings.Contains(g.kept[0], "order config 2 is taken back: the hub is not reached within 10m") || g.shown["config"] != g.kept[0] {
			t.Errorf("kept %q, shown %q", g.kept, g.shown)
		}
		if err := k.Take(bad); !errors.Is(err, ErrPassed) {
			t.Errorf("it is tried again: %v", err)
		}
		take(t, k, sign(t, wire.OrderConfig, 3, "schema = 1\nuplink.interval = \"40s\"\n"))
		run(t, k, g)
		k.Reached()
		stopped, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := k.Run(stopped, g, at(morning)); err != nil || len(g.shown) > 0 {
			t.Errorf("a good order leaves the trouble standing: %q, %v", g.shown, err)
		}
	})
}

// A kiosk without a hub keeps what it can start with; and a hub that comes late ends no trial that the old gate began.
func TestWithoutAHub(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := open(t, t.TempDir()), &gate{}
		k.Start()
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse")))
		run(t, k, g)
		ctx, stop := context.WithTimeout(t.Context(), 24*time.Hour)
		defer stop()
		if err := k.Run(ctx, g, at(morning)); err != nil || k.s.Trial != nil || k.s.Slots["policy"].Current != 1 {
			t.Errorf("%v, %+v", err, k.s)
		}
		g.online = true
		take(t, k, sign(t, wire.OrderPolicy, 2, policy("admit")))
		if err := k.Run(t.Context(), g, at(morning)); !errors.Is(err, ErrChanged) {
			t.Fatal(err)
		}
		if k.Reached(); k.s.Trial == nil {
			t.Error("the gate that ends has proved the next one's order")
		}
	})
}

// A gate that does not run with an order goes back at once; one that is killed with it again and again does so, too.
func TestGoesBackFromWhatDoesNotRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, g := t.TempDir(), &gate{online: true}
		k := open(t, dir)
		k.Start()
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse")))
		run(t, k, g)
		if !k.Failed(errors.New("lane is on fire")) || k.Failed(errors.New("again")) {
			t.Error("who is to blame?")
		}
		if l := k.Start(); l.Policy != nil {
			t.Errorf("%+v", l.Policy)
		}
		take(t, k, sign(t, wire.OrderPolicy, 2, policy("look")))
		if l := run(t, k, g); l.Policy == nil {
			t.Fatal("not begun")
		}
		for start := 2; ; start++ { // each is the end of a program by kill -9
			k.Close()
			k = open(t, dir)
			l := k.Start()
			if (l.Policy == nil) != (start > maxStarts) {
				t.Errorf("start %d: %+v", start, l.Policy)
			}
			if l.Policy == nil {
				break
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		g.full = true
		if err := k.Run(ctx, g, at(morning)); err != nil || len(g.kept) != 1 || k.s.Slots["policy"].Told {
			t.Errorf("%v, %q", err, g.kept)
		}
		g.full = false // a journal that was full gets it later
		again, stop2 := context.WithTimeout(t.Context(), time.Minute)
		defer stop2()
		if err := k.Run(again, g, at(morning)); err != nil || len(g.kept) != 2 || !strings.Contains(g.kept[1], "ended 3 times") {
			t.Errorf("%v, %q", err, g.kept)
		}
	})
}

// An order waits for its time, and one that is over is refused, by a time that has surely come.
func TestTimes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := open(t, t.TempDir()), &gate{}
		k.Start()
		began := time.Now()
		now := func() time.Time { return morning.Add(time.Since(began)) }
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse"), func(o *wire.Order) { o.From = morning.Add(time.Hour) }))
		take(t, k, sign(t, wire.OrderRoster, 1, roster1(t, "id:1"), named("shift"), func(o *wire.Order) { o.Until = morning }))
		if err := k.Run(t.Context(), g, now); !errors.Is(err, ErrChanged) || time.Since(began) < time.Hour || time.Since(began) > time.Hour+lookAgain {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		if len(g.kept) != 1 || !strings.Contains(g.kept[0], "order roster/shift 1 is not taken: it was to be taken until 2026-11-25T07:30:00Z") {
			t.Errorf("kept %q", g.kept)
		}
		if s := k.s.Slots["roster/shift"]; s.Current != 0 || s.Next != 0 || s.Had != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// What is damaged on the disk is told, the order before it counts, and the same order may come again.
func TestDamage(t *testing.T) {
	dir := t.TempDir()
	two := sign(t, wire.OrderPolicy, 2, policy("look"))
	fresh := func() *Keeper {
		k := open(t, dir)
		k.Start()
		for serial, raw := range [][]byte{nil, sign(t, wire.OrderPolicy, 1, policy("refuse")), two} {
			if serial > 0 && k.Had()["policy"] < uint64(serial) {
				take(t, k, raw)
				next(k, true)
				k.Start()
				k.Reached()
			}
		}
		k.Close()
		return k
	}
	fresh()
	file := filepath.Join(dir, fileName("policy", 2))
	if err := os.WriteFile(file, two[:100], 0o600); err != nil {
		t.Fatal(err)
	}
	k := open(t, dir)
	if l := k.Start(); l.Policy == nil || l.Policy.Unprovable != "refuse" || k.s.Slots["policy"].Trouble == "" {
		t.Errorf("%+v", k.s)
	}
	take(t, k, two)
	next(k, false)
	k.Start()
	k.alone()
	k.Close()

	if err := os.WriteFile(filepath.Join(dir, stateFile), []byte("{\"schema\": 1, \"slots\": {\"pol"), 0o600); err != nil {
		t.Fatal(err)
	}
	k = open(t, dir)
	if l := k.Start(); l.Policy == nil || l.Policy.Unprovable != "look" || k.Had()["policy"] != 2 || k.s.Slots["policy"].Trouble == "" {
		t.Errorf("%+v", k.s)
	}
	if _, err := Open(options(t, dir)); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("two programs over one folder: %v", err)
	}
	k.Close()

	o := options(t, dir)
	o.Issuer = publisher.Public().(ed25519.PublicKey) // another authority: its predecessor's orders end
	k, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	if l := k.Start(); l.Policy != nil {
		t.Errorf("%+v", k.s)
	}
}

// A folder that cannot be written takes nothing and loses nothing.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := open(t, t.TempDir()), &gate{online: true}
		k.Start()
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse")))
		full := errors.New("no space")
		k.folder.step = func(what string) error {
			if strings.HasPrefix(what, "write") {
				return full
			}
			return nil
		}
		if err := k.Take(sign(t, wire.OrderPolicy, 2, policy("look"))); !errors.Is(err, full) || errors.Is(err, wire.ErrOrder) || k.Had()["policy"] != 1 {
			t.Errorf("%v, had %v", err, k.Had())
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := k.Run(ctx, g, at(morning)); err != nil || k.s.Trial != nil {
			t.Errorf("the gate begins with what is not on the disk: %v", err)
		}
		k.folder.step = nil
		if l := run(t, k, g); l.Policy == nil {
			t.Error("the order is lost")
		}
	})
}

// next puts the order that is due on trial.
func next(k *Keeper, online bool) {
	name, _ := k.due(morning)
	k.begin(name, online)
}
