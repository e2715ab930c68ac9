package main

import (
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

func key(n byte) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	seed[0] = n
	return ed25519.NewKeyFromSeed(seed)
}

func lines(seqs ...uint64) (all []pull.Line) {
	for _, seq := range seqs {
		all = append(all, pull.Line{Device: "a", Seq: seq, Entry: []byte{byte(seq)}, Verdict: entry.Admit.String()})
	}
	return all
}

func chainOf(seqs ...uint64) map[string]chain {
	c := chain{}
	for _, l := range lines(seqs...) {
		c[l.Seq] = entry.HashOf(l.Entry)
	}
	return map[string]chain{"a": c}
}

func TestCompare(t *testing.T) {
	other := lines(1, 2, 3)
	other[1].Entry = []byte("another")
	stranger := lines(1, 2, 3)
	stranger[2].Device = "b"
	for _, c := range []struct {
		name          string
		pulled        []pull.Line
		lost, doubled int
	}{
		{"all", lines(1, 2, 3), 0, 0},
		{"nothing", nil, 3, 0},
		{"without one", lines(1, 3), 1, 0},
		{"twice", lines(1, 2, 2, 3), 0, 1},
		{"again", lines(1, 2, 3, 1, 2, 3), 0, 3},
		{"out of order", lines(2, 1, 3), 1, 1},
		{"another hash", other, 1, 1},
		{"nobody's", lines(1, 2, 3, 4), 0, 1},
		{"another device's", stranger, 1, 1},
	} {
		if lost, doubled := compare(chainOf(1, 2, 3), c.pulled); lost != c.lost || doubled != c.doubled {
			t.Errorf("%s: lost %d, doubled %d", c.name, lost, doubled)
		}
	}
	if err := notices(chainOf(1, 2, 3), lines(1, 2, 3)); err != nil {
		t.Error(err)
	}
	if notices(chainOf(), nil) == nil {
		t.Error("an empty pull proves something")
	}
}

func TestCount(t *testing.T) {
	shown := map[uint64]entry.Verdict{2: entry.Admit, 3: entry.Admit}
	wrong := lines(1, 2, 3)
	wrong[1].Verdict = entry.Refuse.String()
	for _, c := range []struct {
		name          string
		lines         []pull.Line
		lost, doubled int
	}{
		{"all", lines(1, 2, 3), 0, 0},
		{"a gap", lines(2, 3), 1, 0},
		{"a gap that was shown", lines(1, 3), 1, 0},
		{"the end", lines(1), 2, 0},
		{"twice", lines(1, 2, 2, 3), 0, 1},
		{"another verdict", wrong, 1, 0},
	} {
		if lost, doubled := count(c.lines, shown); lost != c.lost || doubled != c.doubled {
			t.Errorf("%s: lost %d, doubled %d", c.name, lost, doubled)
		}
	}
}

func TestBook(t *testing.T) {
	head := func(seq uint64, what string) entry.Head {
		return entry.Head{Seq: seq, Hash: entry.HashOf([]byte(what))}
	}
	state := func(signer byte, h entry.Head) wire.State {
		r := entry.NewReceipt(key(signer), "a", h, time.Unix(0, 0))
		return wire.State{Device: "a", Seq: h.Seq, Hash: h.Hash.String(), Receipt: &r}
	}
	chains := map[string]chain{"a": {5: head(5, "five").Hash, 7: head(7, "seven").Hash}}
	for _, c := range []struct {
		name    string
		states  []wire.State
		forgot  int
		objects string
	}{
		{"as it should be", []wire.State{{}, state(1, head(5, "five")), state(1, head(7, "seven")), state(1, head(7, "seven"))}, 0, ""},
		{"goes back", []wire.State{state(1, head(7, "seven")), state(1, head(5, "five")), {}}, 7, ""},
		{"another's signature", []wire.State{state(2, head(5, "five"))}, 0, "a receipt of device a"},
		{"another entry", []wire.State{state(1, head(5, "six"))}, 0, "the receipt for entry 5 of device a is for another entry"},
		{"two entries", []wire.State{state(1, head(5, "five")), state(1, head(5, "six"))}, 0, "two receipts for entry 5"},
		{"an entry that nobody made", []wire.State{state(1, head(6, "five"))}, 0, "the receipt for entry 6"},
	} {
		b := newBook(key(1).Public().(ed25519.PublicKey))
		for _, s := range c.states {
			b.hear("a", s)
		}
		err := b.objections(chains)
		if b.forgotten() != c.forgot || (err == nil) != (c.objects == "") || err != nil && !strings.Contains(err.Error(), c.objects) {
			t.Errorf("%s: forgot %d, %v", c.name, b.forgotten(), err)
		}
	}
}

func TestSimulated(t *testing.T) {
	got, err := simulated([]byte("=== RUN\nsim: seeds=12 lost=5 doubled=6\nPASS\n"))
	if err != nil || got.Seeds != 12 || got.Lost != 5 || got.Doubled != 6 || got.Holds() {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := simulated([]byte("PASS\n")); err == nil {
		t.Error("a simulation that says nothing")
	}
}
