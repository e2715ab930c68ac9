package kiosk

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

func TestParseTurn(t *testing.T) {
	if got, err := ParseTurn("05:30 in"); err != nil || got != (Turn{5, 30, entry.In}) {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "5:30 in", "05:30", "24:00 in", "05:60 in", "05:30 up", "05:30 in ", "05:30 in out"} {
		if got, err := ParseTurn(text); err == nil {
			t.Errorf("%q is %v", text, got)
		}
	}
}

// A lane turns at its times, a night shift's too; what the guard turned stands until the next one.
func TestSchedule(t *testing.T) {
	b := newBench(t) // 07:30
	b.lane.Schedule = Schedule{{6, 0, entry.In}, {16, 30, entry.Out}}
	check := func(what string, want entry.Direction, next string) {
		t.Helper()
		b.turnByClock(b.lane)
		if l := b.State().Lanes[0]; l.Direction != want.String() || l.Turns != next {
			t.Errorf("%s: %s, then %q", what, l.Direction, l.Turns)
		}
	}
	check("in the morning", entry.In, "16:30 out")
	b.pass(9*time.Hour - time.Minute)
	check("a minute before", entry.In, "16:30 out")
	b.pass(time.Minute)
	check("at the time", entry.Out, "06:00 in")
	if err := b.Do(t.Context(), guard.Action{Turn: &guard.Turn{Lane: "gate-1", Direction: "in"}}); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Hour)
	check("the guard's own turn", entry.In, "06:00 in")
	b.pass(6 * time.Hour)
	b.lane.Direction = entry.Out
	check("after midnight nothing is due", entry.Out, "06:00 in")
	b.pass(7 * time.Hour)
	check("the next morning", entry.In, "16:30 out")
	lanes := []Lane{{Name: "gate-1", Direction: entry.Out, Schedule: b.lane.Schedule, Turned: true}}
	b.Options.Lanes = lanes
	k, err := New(b.Options) // the gate begins anew, and the guard had turned the lane
	if err != nil {
		t.Fatal(err)
	}
	if k.turnByClock(k.lanes[0]); k.lanes[0].Direction != entry.Out {
		t.Error("the schedule takes the guard's turn back")
	}
	b.settings.Schedule = false
	b.pass(10 * time.Hour)
	check("switched off", entry.In, "")
}

// At the end of a shift a lane that still says "in" asks to be turned; a crowd that comes twice does not.
func TestSuggestsATurn(t *testing.T) {
	b := newBench(t)
	cards := []string{}
	for i := range 8 {
		cards = append(cards, strings.Replace(cardA, "012345678912", fmt.Sprintf("01234567890%d", i), 1))
	}
	b.Policy.Unprovable, b.Policy.Forms = "admit", nil
	for _, card := range cards {
		b.show(card)
	}
	b.pass(20 * time.Second)
	for _, card := range cards { // held up once more
		b.show(card)
	}
	if got := b.State().Lanes[0].Suggest; got != "" {
		t.Fatalf("%q at the beginning of a shift", got)
	}
	b.pass(9 * time.Hour)
	for i, card := range cards {
		b.show(card)
		if got, want := b.State().Lanes[0].Suggest, i >= suspicious-1; (got == "out") != want {
			t.Errorf("after %d who seem to leave: %q", i+1, got)
		}
	}
	if err := b.Do(t.Context(), guard.Action{Turn: &guard.Turn{Lane: "gate-1", Direction: "out"}}); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Minute)
	for _, card := range cards {
		b.show(card)
	}
	if got := b.State().Lanes[0].Suggest; got != "" {
		t.Errorf("%q after the turn", got)
	}
}
