package main

import (
	"encoding/json"
	"slices"
	"testing"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

func recordOf(t *testing.T, seq uint64, body entry.Body) record {
	t.Helper()
	d, err := entry.NewDraft(stamp(0), body)
	if err != nil {
		t.Fatal(err)
	}
	e := entry.Entry{Kind: d.Kind, Seq: seq, Boot: 1, Stamp: d.Stamp, Body: d.Body}
	raw, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return record{e, entry.HashOf(raw)}
}

func passage(lane string, v entry.Verdict) entry.Passage {
	return entry.Passage{Lane: lane, Direction: entry.In, Verdict: v}
}

func TestLedger(t *testing.T) {
	boot := recordOf(t, 1, entry.Boot{Program: "test"})
	admitted := recordOf(t, 2, passage("a", entry.Admit))
	undo := recordOf(t, 3, entry.Undo{Seq: 2})
	whole := []record{boot, admitted, undo}
	for name, c := range map[string]struct {
		all           []record
		known         []record
		span          span
		lost, doubled int
	}{
		"all there":                {all: whole, span: span{1, 3, 0}},
		"read before, too":         {all: whole, known: whole, span: span{1, 3, 0}},
		"verdict is gone":          {all: []record{boot}, span: span{1, 1, 0}, lost: 2},
		"undo is gone":             {all: whole[:2], span: span{1, 2, 0}, lost: 1},
		"another verdict":          {all: []record{boot, recordOf(t, 2, passage("a", entry.Refuse)), undo}, span: span{1, 3, 0}, lost: 1},
		"another lane":             {all: []record{boot, recordOf(t, 2, passage("b", entry.Admit)), undo}, span: span{1, 3, 0}, lost: 1},
		"no passage":               {all: []record{boot, recordOf(t, 2, entry.Boot{Program: "test"}), undo}, span: span{1, 3, 0}, lost: 1},
		"twice":                    {all: []record{boot, admitted, admitted, undo}, span: span{1, 3, 0}, doubled: 1},
		"another entry than once":  {all: whole, known: []record{recordOf(t, 1, entry.Boot{Program: "other"})}, span: span{1, 3, 0}, doubled: 1},
		"an old entry is gone":     {all: whole[1:], known: whole, span: span{1, 3, 0}, lost: 1},
		"deleted with a receipt":   {all: nil, known: whole, span: span{4, 3, 3}},
		"deleted without":          {all: nil, known: whole, span: span{4, 3, 1}, lost: 2},
		"deleted and never read":   {all: whole[2:], span: span{3, 3, 3}, lost: 1},
		"an unshown one is behind": {all: append(slices.Clone(whole), recordOf(t, 4, passage("a", entry.Look))), span: span{1, 4, 0}},
	} {
		l := newLedger()
		l.show(guard.State{Recent: []guard.Recent{{Seq: 2, Lane: "a", Direction: "in", Verdict: entry.Admit}, {Seq: 0, Lane: "b"}}})
		l.undo(2)
		l.learn(c.known)
		if lost, doubled := l.audit(c.span, c.all); lost != c.lost || doubled != c.doubled {
			t.Errorf("%s: lost %d, doubled %d, want %d and %d", name, lost, doubled, c.lost, c.doubled)
		}
	}
}

// A sequence under which two verdicts were shown is a doubled one, whatever the journal holds.
func TestLedgerShownTwice(t *testing.T) {
	l := newLedger()
	for _, lane := range []string{"a", "b"} {
		l.show(guard.State{Recent: []guard.Recent{{Seq: 1, Lane: lane, Direction: "in", Verdict: entry.Admit}}})
	}
	if _, doubled := l.audit(span{1, 1, 0}, []record{recordOf(t, 1, passage("a", entry.Admit))}); doubled != 1 {
		t.Errorf("doubled %d", doubled)
	}
}

func TestLedgerAtTheHub(t *testing.T) {
	a, b := recordOf(t, 1, passage("a", entry.Admit)), recordOf(t, 2, passage("a", entry.Refuse))
	other := recordOf(t, 2, passage("b", entry.Refuse))
	for _, c := range []struct {
		name          string
		pulled        []record
		receipted     uint64
		lost, doubled int
	}{
		{"both", []record{a, b}, 2, 0, 0},
		{"one", []record{a}, 2, 1, 0},
		{"one, and the other has no receipt", []record{a}, 1, 0, 0},
		{"twice", []record{a, b, b}, 2, 0, 1},
		{"another", []record{a, other}, 2, 0, 1},
	} {
		l := newLedger()
		l.learn([]record{a, b})
		var lines []byte
		for _, r := range c.pulled {
			raw, err := r.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			line, err := json.Marshal(pull.Line{Seq: r.Seq, Entry: raw})
			if err != nil {
				t.Fatal(err)
			}
			lines = append(append(lines, line...), '\n')
		}
		if lost, doubled, err := l.compare(lines, c.receipted); lost != c.lost || doubled != c.doubled || err != nil {
			t.Errorf("%s: lost %d, doubled %d, %v", c.name, lost, doubled, err)
		}
	}
}
