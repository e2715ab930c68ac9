package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
)

func TestWrongReceiptsAreRefused(t *testing.T) {
	j := open(t, t.TempDir())
	fill(t, j, 10)
	other := entry.NewReceipt(hubKey, device, entry.Head{Seq: 4, Hash: sha256.Sum256([]byte("x"))}, day)
	ahead := entry.NewReceipt(hubKey, device, entry.Head{Seq: 11}, day)
	for _, r := range []entry.Receipt{other, ahead} {
		if err := j.PutReceipt(r); !errors.Is(err, ErrFork) {
			t.Errorf("receipt for %d: %v", r.Seq, err)
		}
	}
	strange := receipt(t, j, 4)
	strange.Device = "x"
	if err := j.PutReceipt(strange); !errors.Is(err, ErrDevice) {
		t.Errorf("strange receipt: %v", err)
	}
	if _, ok := j.Receipt(); ok || j.Receipted() != 0 {
		t.Error("a wrong receipt was kept")
	}
}

func TestReceiptsOnlyMoveForward(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	fill(t, j, 10)
	for _, s := range []struct {
		seq, receipted uint64
		rewind         bool
	}{{4, 4, false}, {7, 7, false}, {5, 7, false}, {7, 7, false}, {9, 7, true}, {3, 3, true}, {2, 3, false}, {3, 3, false}, {10, 10, false}} {
		var err error
		if s.rewind {
			err = j.Rewind(s.seq)
		} else {
			err = j.PutReceipt(receipt(t, j, s.seq))
		}
		if err != nil || j.Receipted() != s.receipted || j.Stats().Unsent != int(10-s.receipted) {
			t.Fatalf("%+v: receipted %d, %v", s, j.Receipted(), err)
		}
	}
	j.Close()
	if r := whole(t, dir, 1, 10); r.Receipted != 10 {
		t.Errorf("report %+v", r)
	}
	j = open(t, dir)
	if r, ok := j.Receipt(); !ok || r.Seq != 10 || r.Check(hubPub, device) != nil {
		t.Errorf("after reopening: %+v", r)
	}
	if st := j.Stats(); st.Saved != 10 || st.Unsent != 0 || !st.Oldest.IsZero() || st.Bytes == 0 {
		t.Errorf("stats %+v", st)
	}
}

func TestStatsNameTheOldestUnsent(t *testing.T) {
	j := open(t, t.TempDir())
	fill(t, j, 5)
	if st := j.Stats(); st.Saved != 5 || st.Unsent != 5 || !st.Oldest.Equal(day) {
		t.Errorf("stats %+v", st)
	}
	if err := j.PutReceipt(receipt(t, j, 3)); err != nil {
		t.Fatal(err)
	}
	if st := j.Stats(); st.Unsent != 2 || !st.Oldest.Equal(day.Add(3*time.Minute)) {
		t.Errorf("stats %+v", st)
	}
}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	fill(t, j, 30) // a minute apart
	prune := func(before time.Duration, n int, first, head uint64) {
		t.Helper()
		got, err := j.Prune(t.Context(), day.Add(before), entry.Stamp{Wall: day.Add(time.Hour)})
		if err != nil || got != n || j.First() != first || j.Head().Seq != head {
			t.Fatalf("%d deleted, first %d, head %d, %v", got, j.First(), j.Head().Seq, err)
		}
	}
	prune(time.Hour, 0, 1, 30) // nobody acknowledged any
	if err := j.PutReceipt(receipt(t, j, 20)); err != nil {
		t.Fatal(err)
	}
	prune(10*time.Minute, 10, 11, 31)
	prune(10*time.Minute, 0, 11, 31)
	prune(time.Hour, 10, 21, 32)
	checkPurge(t, j, 32, entry.Purge{First: 11, Last: 20})

	if _, err := j.Range(19, 1, 1<<20); !errors.Is(err, ErrPruned) {
		t.Errorf("reading what is deleted: %v", err)
	}
	if _, ok := j.Hash(20); !ok {
		t.Error("the head before the first entry is not known any more")
	}
	if _, ok := j.Hash(19); ok {
		t.Error("the hash of a deleted entry is known")
	}
	if err := j.Rewind(0); err != nil || j.Receipted() != 20 {
		t.Errorf("rewound to %d, %v; entry 20 is deleted", j.Receipted(), err)
	}
	j.Close()
	whole(t, dir, 21, 32)
	fill(t, open(t, dir), 1)
}

func checkPurge(t *testing.T, j *Journal, seq uint64, want entry.Purge) {
	t.Helper()
	raw, err := j.Range(seq-1, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	e, err := entry.Parse(raw[0])
	if err != nil {
		t.Fatal(err)
	}
	p, err := entry.Decode[entry.Purge](e)
	if err != nil || p.First != want.First || p.Last != want.Last || !bytes.Contains(p.Receipt, []byte(`"seq":20`)) {
		t.Errorf("purge %+v, %v", p, err)
	}
}

func TestPruneGoesInSteps(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	const entries = 2*maxPrune + 10
	var wg sync.WaitGroup
	for i := range entries {
		wg.Go(func() {
			if _, err := j.Append(t.Context(), draft(t, day, i)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if err := j.PutReceipt(receipt(t, j, entries)); err != nil {
		t.Fatal(err)
	}
	n, err := j.Prune(t.Context(), day.Add(time.Second), entry.Stamp{Wall: day.Add(time.Hour)})
	if err != nil || n != entries || j.Head().Seq != entries+3 {
		t.Fatalf("%d deleted, %d entries of kind purge, %v", n, j.Head().Seq-entries, err)
	}
	j.Close()
	whole(t, dir, entries+1, entries+3)
}
