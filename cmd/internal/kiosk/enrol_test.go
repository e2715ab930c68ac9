package kiosk

import (
	"slices"
	"strings"
	"testing"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// Parts of an enrolment are shown and are no passage; what stands beside them is judged as ever.
func TestPartsAreNoPassage(t *testing.T) {
	b := newBench(t)
	var read []string
	b.Enrol = func(text string) (guard.Said, bool) {
		read = append(read, text)
		return guard.Said{Face: guard.Ask, Words: guard.Text{EN: "enrolling: part 1 of 4"}}, strings.HasPrefix(text, "GPE1:")
	}
	texts := b.parts(b.lane, []string{"GPE1:A", cardA, "GPE1:B"})
	if !slices.Equal(texts, []string{cardA}) || !slices.Equal(read, []string{"GPE1:A", cardA, "GPE1:B"}) {
		t.Errorf("left %q of %q", texts, read)
	}
	s := b.State()
	if len(s.Shown) != 1 || s.Shown[0].Words.EN != "enrolling: part 1 of 4" || len(s.Recent) != 0 || s.Seq != 0 {
		t.Errorf("%+v", s)
	}
	b.Enrol = nil
	if texts := b.parts(b.lane, []string{"GPE1:A"}); len(texts) != 1 {
		t.Error("a gate that was not enrolled by a code takes parts")
	}
}

// A fault stays on the screen until it is mended.
func TestPartsHideNoFault(t *testing.T) {
	b := newBench(t)
	b.shown[b.lane.Name] = &guard.Shown{Lane: b.lane.Name, Face: guard.Broken, Verdict: entry.Failed}
	b.say(b.lane, guard.Said{Face: guard.Ready})
	if s := b.State(); len(s.Shown) != 1 || s.Shown[0].Face != guard.Broken {
		t.Errorf("%+v", s.Shown)
	}
}

// A card in several codes is no passage until its last code has come; another lane's codes are another card's.
func TestCardInSeveralCodes(t *testing.T) {
	b := newBench(t)
	if texts := b.join(b.lane, []string{"shc:/1/2/5676", cardA}); !slices.Equal(texts, []string{cardA}) {
		t.Errorf("left %q", texts)
	}
	if s := b.State(); len(s.Shown) != 1 || s.Shown[0].Words.EN != "1 of 2 codes: show the next one" || len(s.Recent) != 0 {
		t.Errorf("%+v", s)
	}
	if texts := b.join(&lane{Lane: Lane{Name: "gate-2"}}, []string{"shc:/2/2/2909"}); len(texts) != 0 {
		t.Errorf("of another lane %q is left", texts)
	}
	b.show(cardA)
	if b.join(b.lane, []string{"shc:/1/2/5676"}); b.State().Shown[0].Reason == "" {
		t.Error("a code hides the verdict that stands")
	}
	if texts := b.join(b.lane, []string{"shc:/2/2/2909"}); !slices.Equal(texts, []string{"eyJ6"}) {
		t.Errorf("the whole card is %q", texts)
	}
}
