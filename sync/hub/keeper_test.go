package hub

import (
	"fmt"
	"testing"

	"gatepost/storage/entry"
)

// The receipt is for what the keeper has, wherever it stands; the state itself is always the hub's.
func TestKeeper(t *testing.T) {
	h := open(t, t.TempDir())
	var kept uint64
	named := true
	h.opt.Kept = func() (uint64, bool) { return kept, named }
	long := map[int][][]byte{}
	for n := 1; n <= 2; n++ {
		long[n] = chain(t, entry.Head{}, 40, fmt.Sprint(n))
	}
	var held []uint64 // by place - 1: the sequence of device 1 that a keeper holds there
	put := func(n int, from, to int) {
		if _, err := h.Put(t.Context(), batch(t, seeded(byte(n)), long[n][from:to])); err != nil {
			t.Fatal(err)
		}
	}
	var end int
	for place := 1; place <= 20; place++ { // device 1 sends at every third place
		if place%3 == 0 {
			put(1, end, end+2)
			end += 2
		} else {
			put(2, place-1-place/3, place-place/3)
		}
		held = append(held, uint64(end))
	}
	check := func(at, want uint64) {
		t.Helper()
		kept = at
		s, err := h.State(t.Context(), id(seeded(1)))
		if err != nil || s.Seq != uint64(end) || s.Hash != entry.HashOf(long[1][end-1]).String() {
			t.Fatalf("state %+v, %v", s, err)
		}
		switch {
		case want == 0 && s.Receipt != nil:
			t.Errorf("keeper at %d: a receipt for %d", at, s.Receipt.Seq)
		case want > 0 && (s.Receipt == nil || s.Receipt.Seq != want || s.Receipt.Hash != entry.HashOf(long[1][want-1]).String()):
			t.Errorf("keeper at %d: receipt %+v, want one for %d", at, s.Receipt, want)
		case want > 0 && s.Receipt.Check(public(seeded(100)), id(seeded(1))) != nil:
			t.Errorf("keeper at %d: the receipt does not count", at)
		}
	}
	check(0, 0)
	for at := uint64(1); at <= 20; at++ {
		check(at, held[at-1])
	}
	check(1<<60, uint64(end))
	for at := uint64(20); at > 0; at-- { // a keeper that goes back
		check(at, held[at-1])
	}
	for _, at := range []uint64{2, 19, 4, 11, 0, 17} {
		want := uint64(0)
		if at > 0 {
			want = held[at-1]
		}
		check(at, want)
	}
	named = false
	check(0, uint64(end))
}

// A batch's answer carries a receipt only for what the keeper has of the device, and a step's as well.
func TestKeeperLagsBehindPut(t *testing.T) {
	h := open(t, t.TempDir())
	h.opt.Kept = func() (uint64, bool) { return 1, true }
	long := chain(t, entry.Head{}, 6, "a")
	for i, want := range []uint64{2, 2, 2} {
		s, err := h.Put(t.Context(), batch(t, seeded(1), long[2*i:2*i+2]))
		if err != nil || s.Seq != uint64(2*i+2) || s.Receipt == nil || s.Receipt.Seq != want {
			t.Errorf("batch %d: %+v, %v", i, s, err)
		}
	}
	if s, err := h.Put(t.Context(), batch(t, seeded(2), long)); err != nil || s.Seq != 6 || s.Receipt != nil {
		t.Errorf("%+v, %v", s, err)
	}
}
