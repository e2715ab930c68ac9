package kiosk

import (
	"errors"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

func TestPress(t *testing.T) {
	b := newBench(t)
	press := func(key Key, ok bool) {
		t.Helper()
		if err := b.Press(t.Context(), key); err == nil != ok {
			t.Errorf("%s: %v", key, err)
		}
	}
	press(KeyUndo, false) // nobody passed
	b.show(b.declare(b.healthy(), morning))
	press(KeyUndo, true)
	if inside := b.State().Inside; inside != 0 || !b.State().Recent[0].Undone {
		t.Errorf("%d inside after the undo", inside)
	}
	press(KeyUndo, false) // once is enough
	b.pass(time.Minute)
	b.show(b.declare(b.healthy(), b.clock()))
	b.pass(time.Minute)
	press(KeyUndo, false) // too late
	b.show(b.declare(b.healthy("signs"), b.clock()))
	if len(b.State().Shown) != 1 {
		t.Fatal("nothing is shown")
	}
	press(KeySeen, true)
	if len(b.State().Shown) != 0 {
		t.Error("the guard's key leaves the verdict")
	}
	press(KeyTurn, true)
	if got := b.Directions()["gate-1"]; got != entry.Out {
		t.Errorf("turned to %v", got)
	}
	press("bell", false)
}

// No key takes away that the gate is broken.
func TestBrokenStays(t *testing.T) {
	b := newBench(t)
	b.shown["gate-1"] = &guard.Shown{Lane: "gate-1", Face: guard.Broken, Verdict: entry.Failed}
	if err := b.Press(t.Context(), KeySeen); err != nil || len(b.State().Shown) != 1 {
		t.Errorf("%v, %d shown", err, len(b.State().Shown))
	}
}

// A verdict is signalled once it is shown, and kept by then.
func TestSignalComesAfterTheEntry(t *testing.T) {
	b := newBench(t)
	var got []guard.Shown
	b.Signal = func(s guard.Shown) {
		got = append(got, s)
		if head := b.Journal.Head().Seq; head != s.Seq {
			t.Errorf("entry %d is signalled, the journal's head is %d", s.Seq, head)
		}
	}
	b.show(b.declare(b.healthy(), morning))
	b.show("xin chào")
	if len(got) != 2 || got[0].Face != guard.Go || got[1].Face != guard.Ask {
		t.Errorf("signalled %+v", got)
	}
}

// A part tells of itself when it turns, and not each time it is asked.
func TestPart(t *testing.T) {
	b := newBench(t)
	before := b.Journal.Head().Seq
	for _, err := range []error{nil, errors.New("no line"), errors.New("no line"), nil, nil} {
		b.Part(t.Context(), "turnstile", err)
		if shown := strings.Contains(strings.Join(b.State().Faults, ""), "turnstile: no line"); shown != (err != nil) {
			t.Errorf("after %v the page says %q", err, b.State().Faults)
		}
	}
	if n := b.Journal.Head().Seq - before; n != 2 {
		t.Errorf("%d entries, want a fault and its end", n)
	}
}
