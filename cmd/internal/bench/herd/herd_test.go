package main

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/sync/uplink"
)

// A herd before a real hub that is too small for it: all come in, and every entry is in the log once.
func TestHerd(t *testing.T) {
	dir := t.TempDir()
	binary, err := build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := newKiosks(100)
	if err != nil {
		t.Fatal(err)
	}
	p := plan{limit: 2 * time.Minute, say: t.Logf}
	var out herd
	err = with(t.Context(), binary, filepath.Join(dir, "hub"), 128, all, func(h *process) error {
		out, err = p.herd(t.Context(), h, all, time.Second)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if out.in != 100 || out.faults != 0 || out.missing != 0 || out.doubled != 0 {
		t.Errorf("%+v; %v", out.outcome, out.fault)
	}
	if out.tries != 100+out.turned+out.busy || out.turned == 0 || out.most < 1 || out.peak == 0 || out.took < out.half || out.half <= 0 {
		t.Errorf("the counts do not fit: %+v", out)
	}
}

func TestVerdict(t *testing.T) {
	well := herd{outcome: outcome{n: 9, in: 9}}
	for name, spoil := range map[string]func(h *herd){
		"":        func(*herd) {},
		"lost":    func(h *herd) { h.missing = 1 },
		"doubled": func(h *herd) { h.doubled = 1 },
		"failed":  func(h *herd) { h.faults, h.fault = 1, errors.New("x") },
		"outside": func(h *herd) { h.in = 8 },
	} {
		h := well
		spoil(&h)
		for _, r := range []result{{shipped: h, small: well}, {shipped: well, small: h}} {
			if err := verdict([]result{{shipped: well, small: well}, r}); (err != nil) != (name != "") {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
}

func TestModel(t *testing.T) {
	const n, rate = 5000, 1000
	roomy := world{n: n, rate: rate, turn: time.Millisecond, queue: n, rule: uplink.Rule{Spread: uplink.DefaultSpread}}
	if f := roomy.run(1); f.last != 5*time.Second || f.tries != 1 || f.most != 1 || f.turned != 0 || f.wait != f.last || !f.within {
		t.Errorf("a queue for all: %+v", f)
	}
	tight := world{n: n, rate: rate, turn: 0, queue: 1000, rule: uplink.Rule{Spread: time.Second}}
	f := tight.run(1)
	if f.last < 5*time.Second || f.last > 5500*time.Millisecond || f.tries <= 1 || f.turned < 4000 || f.wait > time.Second+time.Millisecond {
		t.Errorf("a queue for a fifth: %+v", f)
	}
	if again := tight.run(1); again != f {
		t.Errorf("the same seed gave %+v, then %+v", f, again)
	}
	if other := tight.run(2); other == f {
		t.Error("the seed does not matter")
	}
	dear := tight
	dear.turn = time.Millisecond // as much as a visit
	if g := dear.run(1); g.last < f.last+time.Duration(f.turned)*time.Millisecond/2 {
		t.Errorf("turning away costs %v and the last is in after %v, not %v", dear.turn, g.last, f.last)
	}
	rare := tight
	rare.rule.Spread = time.Minute // the queue runs dry
	if g := rare.run(1); g.last < 30*time.Second {
		t.Errorf("spread over %v the last is in after %v", rare.rule.Spread, g.last)
	}
}

func TestSection(t *testing.T) {
	h := herd{outcome: outcome{n: 2000, in: 2000, took: 2 * time.Second, half: time.Second, tries: 2500, most: 3, turned: 500}, cpu: 2 * time.Second, peak: 100 << 20}
	r := result{shakes: 2000, visits: 1000, visit: time.Millisecond, knocks: 10000, knock: 20 * time.Microsecond, shipped: h, small: h}
	slow := r
	slow.visits = 1500
	text := paper{"here", "today", plan{n: 2000, nation: 8000, loops: 1}, []result{slow, r, r}}.section()
	for _, want := range []string{"today: here", "Median ratio as it ships: **1.00**", "| 2.00 ", "| 1.5 ", "| 1.3 ", "| 100 ", "A visit takes 1.00 ms", "| as it ships, alone |", "| 8000 "} {
		if !strings.Contains(strings.Join(strings.Fields(text), " "), strings.TrimSpace(want)) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}
