package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/hub"
	"gatepost/sync/wire"
)

// The bench runs itself as the hub.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		main()
	}
	os.Exit(m.Run())
}

// newBench is a bench of almost nothing.
func newBench(t *testing.T, loads ...string) *bench {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	work, err := os.MkdirTemp("", "bench-sync-test-") // not t.TempDir, whose parent the database's user may not enter
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(work) })
	if err := os.Chmod(work, 0o711); err != nil {
		t.Fatal(err)
	}
	return &bench{program: program, work: work, plan: plan{
		scale: 20_000, rounds: 1, pieces: 16, connects: 2, loads: loads, say: func(string, ...any) {},
	}}
}

// Every store gets every load, holds it, and is read.
func TestMeasure(t *testing.T) {
	b := newBench(t)
	if b.pg, b.without = startCluster(t.Context(), b.work+"/pg"); b.without == nil {
		defer func() {
			if err := b.pg.stop(); err != nil {
				t.Error(err)
			}
		}()
	} else if os.Getenv("CI") == "true" {
		t.Fatal(b.without)
	}
	results, reads, err := b.measure(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	connects, err := b.connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(reads) != 3 || len(connects) != len(kinds) {
		t.Errorf("%d readings, %d kinds of connection", len(reads), len(connects))
	}
	for _, r := range reads {
		if r.verify <= 0 || r.pull <= 0 || r.view <= 0 || r.bytes < 100 {
			t.Errorf("%+v", r)
		}
	}
	for _, r := range results {
		if len(r.rounds) != 1 || r.size.entries == 0 {
			t.Errorf("%s over %s: %d rounds of %+v", r.load.name, r.store, len(r.rounds), r.size)
		}
		for _, o := range r.rounds {
			if o.took <= 0 || o.up < int64(r.size.bytes) || o.down == 0 || o.hub.peak == 0 || r.store == grouped && o.disk < int64(r.size.bytes) {
				t.Errorf("%s over %s: %+v", r.load.name, r.store, o)
			}
		}
	}
	text := paper{"here", "today", b.plan, results, reads, connects, b.without}.section()
	for _, want := range []string{"today: here", "Load Factory", "Load B kept", "| JetStream", "X25519MLKEM768", "**1.00** (1.00-1.00)"} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
	if b.without == nil != strings.Contains(text, "| PostgreSQL ") {
		t.Errorf("%v, and\n%s", b.without, text)
	}
}

// A hub that does not hold what it was sent is no result.
func TestMissing(t *testing.T) {
	b := newBench(t, "a")
	loads, err := b.all()
	if err != nil || len(loads) != 1 {
		t.Fatal(len(loads), err)
	}
	r := result{store: forgetting, load: loads[0], size: loads[0].size()}
	r.size.entries++
	if _, err := b.bring(t.Context(), &r, false, nil); err == nil || !strings.Contains(err.Error(), "were sent") {
		t.Errorf("%v", err)
	}
}

func TestLoad(t *testing.T) {
	l, err := newLoad(load{name: "x"}, recipe{2, 1200}, recipe{30, poor})
	if err != nil {
		t.Fatal(err)
	}
	again, err := newLoad(load{name: "x"}, recipe{2, 1200}, recipe{30, poor})
	if err != nil {
		t.Fatal(err)
	}
	s := l.size()
	if s != again.size() || s.kiosks != 32 || s.batches != 2*3+30 || s.entries != 2*1200+30*poor {
		t.Errorf("%+v, then %+v", s, again.size())
	}
	if err := l.verify(); err != nil {
		t.Error(err)
	}
	for i, k := range l.kiosks {
		if k.id != again.kiosks[i].id || !slices.EqualFunc(k.bodies, again.kiosks[i].bodies, slices.Equal) {
			t.Fatal("the same name makes another load")
		}
		for _, body := range k.bodies {
			if b, err := wire.Parse(body); err != nil || entriesIn(body) != len(b.Entries) {
				t.Errorf("%d entries, %v, taken for %d", len(b.Entries), err, entriesIn(body))
			}
		}
	}
	if mean := s.bytes / s.entries; mean < 280 || mean > 300 {
		t.Errorf("an entry has %d bytes, one with a real seal 291", mean)
	}
	if p := l.part(16).size(); p.kiosks != 2 {
		t.Errorf("%+v", p)
	}
	one := load{kiosks: []*kiosk{l.kiosks[slices.IndexFunc(l.kiosks, func(k *kiosk) bool { return k.last == 1200 })]}}
	if p := one.part(2).size(); p.kiosks != 1 || p.batches != 1 || p.entries != wire.MaxEntries || p.bytes > one.size().bytes/2 {
		t.Errorf("%+v", p)
	}
}

// PostgreSQL keeps the hub's rules as the other stores do.
func TestDatabase(t *testing.T) {
	work := newBench(t).work
	c, err := startCluster(t.Context(), work+"/pg")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	defer c.stop()
	d, err := openDatabase(t.Context(), c.address)
	if err != nil {
		t.Fatal(err)
	}
	defer d.close()
	ctx := t.Context()
	for _, c := range []struct {
		subject string
		prev    uint64
		place   uint64 // 0: refused
	}{{"log.a", 0, 1}, {"log.b", 0, 2}, {"log.a", 0, 0}, {"log.a", 2, 0}, {"log.a", 1, 3}, {"log.c", 0, 4}} {
		place, err := d.Append(ctx, c.subject, []byte(c.subject), c.prev)
		if (err == nil) != (c.place > 0) || err == nil && place != c.place {
			t.Errorf("%+v: %d, %v", c, place, err)
		}
	}
	for _, c := range []struct {
		find  func(context.Context) (hub.Message, error)
		place uint64
	}{
		{func(ctx context.Context) (hub.Message, error) { return d.Last(ctx, "log.a") }, 3},
		{func(ctx context.Context) (hub.Message, error) { return d.Last(ctx, "*.*") }, 4},
		{func(ctx context.Context) (hub.Message, error) { return d.Last(ctx, "log.x") }, 0},
		{func(ctx context.Context) (hub.Message, error) { return d.First(ctx, 3, "*.*") }, 3},
		{func(ctx context.Context) (hub.Message, error) { return d.First(ctx, 2, "log.a") }, 3},
		{func(ctx context.Context) (hub.Message, error) { return d.First(ctx, 5, "*.*") }, 0},
	} {
		m, err := c.find(ctx)
		if m.Place != c.place || errors.Is(err, hub.ErrEmpty) != (c.place == 0) || err == nil && (string(m.Data) != m.Subject || time.Since(m.At) > time.Hour) {
			t.Errorf("%+v, %v, want %d", m, err, c.place)
		}
	}
}

func TestOrder(t *testing.T) {
	if got := fmt.Sprint(order(3, 0), order(3, 1), order(3, 5)); got != "[0 1 2] [1 2 0] [2 0 1]" {
		t.Error(got)
	}
}

// The store for single messages needs the first one behind the last batch.
func TestEntryByEntry(t *testing.T) {
	e, err := openEntryByEntry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer e.close()
	k, err := newKiosk([32]byte{1}, 5)
	if err != nil {
		t.Fatal(err)
	}
	subject := "log." + entry.DeviceID(k.pub)
	if place, err := e.Append(t.Context(), subject, k.bodies[0], 0); err != nil || place != 5 {
		t.Error(place, err)
	}
	if _, err := e.Append(t.Context(), subject, k.bodies[0], 0); err == nil {
		t.Error("it was stored twice")
	}
}
