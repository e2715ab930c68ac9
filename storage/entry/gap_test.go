package entry_test

import (
	"testing"
	"time"

	"gatepost/storage/entry"
)

// at returns the bytes of an entry with body at seq behind the hash prev.
func at(t testing.TB, seq uint64, prev entry.Hash, body entry.Body) []byte {
	t.Helper()
	e := entry.Entry{Seq: seq, Boot: 1, Stamp: entry.Stamp{Wall: time.UnixMilli(0)}, Prev: prev}
	raw, err := e.With(body)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestGapFollows(t *testing.T) {
	ten, fifteen, twenty := entry.Hash{10}, entry.Hash{15}, entry.Hash{20}
	here := entry.Gap{First: 11, Last: 20, Why: "x", Hash: twenty[:]}
	behind := entry.Gap{First: 11, Last: 20, Why: "x"}
	old := entry.Gap{First: 3, Last: 5, Why: "x"}
	for _, c := range []struct {
		name string
		head entry.Head
		raw  []byte
		ok   bool
	}{
		{"in the place of the last lost entry", entry.Head{Seq: 10, Hash: ten}, at(t, 20, ten, here), true},
		{"behind the lost entries", entry.Head{Seq: 10, Hash: ten}, at(t, 21, ten, behind), true},
		{"telling of an old loss", entry.Head{Seq: 10, Hash: ten}, at(t, 11, ten, old), true},
		{"the reader got five of the lost entries", entry.Head{Seq: 15, Hash: fifteen}, at(t, 20, ten, here), true},
		{"the reader got all of them", entry.Head{Seq: 20, Hash: twenty}, at(t, 21, ten, behind), true},
		{"another hash before", entry.Head{Seq: 10, Hash: fifteen}, at(t, 20, ten, here), false},
		{"a reader that ends before the gap", entry.Head{Seq: 9, Hash: ten}, at(t, 20, ten, here), false},
		{"a reader that is further", entry.Head{Seq: 20, Hash: twenty}, at(t, 20, ten, here), false},
		{"further than its own sequence", entry.Head{Seq: 10, Hash: ten}, at(t, 22, ten, behind), false},
		{"before its own end", entry.Head{Seq: 10, Hash: ten}, at(t, 19, ten, behind), false},
		{"an old loss skips nothing", entry.Head{Seq: 10, Hash: ten}, at(t, 12, ten, old), false},
		{"a gap of nothing", entry.Head{Seq: 10, Hash: ten}, at(t, 12, ten, entry.Gap{First: 12, Last: 11}), false},
		{"from the very beginning", entry.Head{Seq: 10, Hash: ten}, at(t, 21, ten, entry.Gap{Last: 20}), false},
		{"another kind skips nothing", entry.Head{Seq: 10, Hash: ten}, at(t, 12, ten, entry.Undo{Seq: 11}), false},
	} {
		got, err := c.head.Follow(c.raw)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
	if h, err := entry.HeadOf(at(t, 20, ten, here)); err != nil || h != (entry.Head{Seq: 20, Hash: twenty}) {
		t.Errorf("the head behind a gap is %v, %v, not the one that it hands on", h, err)
	}
	raw := at(t, 21, ten, behind)
	if h, err := entry.HeadOf(raw); err != nil || h != (entry.Head{Seq: 21, Hash: entry.HashOf(raw)}) {
		t.Errorf("the head behind a gap is %v, %v, not its own", h, err)
	}
}

func TestSizeFindsTheEnd(t *testing.T) {
	raw := at(t, 5, entry.Hash{1}, entry.Fault{Part: "camera", Text: "unplugged"})
	if n := entry.Size(append(raw, "what lies behind"...)); n != len(raw) {
		t.Errorf("%d bytes, want %d", n, len(raw))
	}
	for i := range raw {
		if n := entry.Size(raw[:i]); n != 0 {
			t.Errorf("the first %d bytes have size %d", i, n)
		}
	}
}
