package journal

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"os"
	"path/filepath"
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
	if st := j.Stats(); st.Saved != 10 || st.Unsent != 0 || !st.Oldest.IsZero() {
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

// pruned opens a journal of files with ten entries each, of which the first thirty, a minute apart, are receipted.
func pruned(t *testing.T, dir string) *Journal {
	t.Helper()
	j := openWith(t, dir, Options{Device: device, Entries: 10})
	fill(t, j, 35)
	if err := j.PutReceipt(receipt(t, j, 30)); err != nil {
		t.Fatal(err)
	}
	return j
}

var later = entry.Stamp{Wall: day.Add(2 * time.Hour), Trust: entry.TrustClock}

func TestPrune(t *testing.T) {
	dir := t.TempDir()
	j := openWith(t, dir, Options{Device: device, Entries: 10})
	fill(t, j, 35)
	prune := func(before time.Duration, n int, first, head uint64) {
		t.Helper()
		got, err := j.Prune(t.Context(), day.Add(before), later)
		if err != nil || got != n || j.First() != first || j.Head().Seq != head {
			t.Fatalf("%d deleted, first %d, head %d, %v", got, j.First(), j.Head().Seq, err)
		}
	}
	prune(time.Hour, 0, 1, 35) // nobody acknowledged any
	if err := j.PutReceipt(receipt(t, j, 25)); err != nil {
		t.Fatal(err)
	}
	prune(9*time.Minute, 0, 1, 35) // entry 10 was made at minute 9
	prune(10*time.Minute, 10, 11, 36)
	prune(10*time.Minute, 0, 11, 36)
	prune(time.Hour, 10, 21, 37) // the file of entry 30 is not receipted whole
	checkPurge(t, j, 37, entry.Purge{First: 11, Last: 20})
	names, err := fileNames(dir)
	if err != nil || len(names) != 2 || names[0] != "0000000000000021.db" {
		t.Errorf("files %v, %v", names, err)
	}

	if _, err := j.Range(19, 1, 1<<20); !errors.Is(err, ErrPruned) {
		t.Errorf("reading what is deleted: %v", err)
	}
	if _, err := j.Hash(20); err != nil {
		t.Error("the head before the first entry is not known any more")
	}
	if _, err := j.Hash(19); !errors.Is(err, ErrPruned) {
		t.Error("the hash of a deleted entry is known")
	}
	if err := j.Rewind(0); err != nil || j.Receipted() != 20 {
		t.Errorf("rewound to %d, %v; entry 20 is deleted", j.Receipted(), err)
	}
	j.Close()
	whole(t, dir, 21, 37)
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
	if err != nil || p.First != want.First || p.Last != want.Last || !bytes.Contains(p.Receipt, []byte(`"seq":25`)) {
		t.Errorf("purge %+v, %v", p, err)
	}
}

// An entry for which the hub took a gap is the only copy that there is.
func TestPruneSpares(t *testing.T) {
	j := pruned(t, t.TempDir())
	for _, c := range []struct {
		spare uint64
		n     int
	}{{15, 10}, {11, 0}, {20, 0}, {30, 10}, {21, 0}, {99, 10}} {
		if n, err := j.Prune(t.Context(), day.Add(time.Hour), later, func() ([]uint64, error) { return []uint64{c.spare}, nil }); err != nil || n != c.n {
			t.Errorf("sparing %d: %d deleted, %v, want %d", c.spare, n, err, c.n)
		}
	}
}

// What is to be spared is asked while no receipt can come any more, and without an answer nothing goes.
func TestPruneAsksWhenTheReceiptIsKnown(t *testing.T) {
	j := pruned(t, t.TempDir())
	unreadable := errors.New("unreadable")
	n, err := j.Prune(t.Context(), day.Add(time.Hour), later, func() ([]uint64, error) {
		if j.writing.TryLock() {
			j.writing.Unlock()
			t.Error("a receipt can still come")
		}
		return nil, unreadable
	})
	if !errors.Is(err, unreadable) || n != 0 || j.First() != 1 || j.Head().Seq != 35 {
		t.Errorf("%d deleted, first %d, head %d, %v", n, j.First(), j.Head().Seq, err)
	}
}

// A power cut between the certificate and the deletion leaves files that the next start deletes.
func TestInterruptedPruneIsFinished(t *testing.T) {
	dir := t.TempDir()
	j := pruned(t, dir)
	first := filepath.Join(dir, fileName(entry.Head{}))
	raw, err := os.ReadFile(first)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := j.Prune(t.Context(), day.Add(time.Hour), later); err != nil || n != 30 {
		t.Fatalf("%d, %v", n, err)
	}
	j.Close()
	if err := os.WriteFile(first, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "0000000000000031.db")); err != nil {
		t.Fatal(err)
	}
	// Behind the file that came back two others are missing, which would be a gap if they were not deleted by right.
	j = open(t, dir)
	if r := j.Repairs(); len(r) > 0 || j.First() != 31 {
		t.Errorf("first %d, repairs %+v", j.First(), r)
	}
	if _, err := os.Stat(first); err == nil {
		t.Error("the file is still there")
	}
}

// What a clock said that went wrong must neither keep entries for ever nor let them go early.
func TestPruneWithWrongClocks(t *testing.T) {
	at := func(wall time.Duration, trust entry.Trust) entry.Draft {
		d := draft(t, day.Add(wall), 1)
		d.Trust = trust
		return d
	}
	j := openWith(t, t.TempDir(), Options{Device: device, Entries: 2, Period: 1 << 60})
	for _, d := range []entry.Draft{
		at(0, entry.TrustClock), at(-9000*time.Hour, entry.TrustNone), // a file that ends with a clock that was never set
		at(9000*time.Hour, entry.TrustClock), at(9000*time.Hour, entry.TrustClock), // a battery clock that ran wild
		at(10*time.Minute, entry.TrustClock), at(11*time.Minute, entry.TrustClock),
		at(12*time.Minute, entry.TrustClock),
	} {
		if _, err := j.Append(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	if err := j.PutReceipt(receipt(t, j, 7)); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		before time.Duration
		n      int
	}{{9 * time.Minute, 0}, {10 * time.Minute, 0}, {10*time.Minute + 1, 4}} {
		if n, err := j.Prune(t.Context(), day.Add(c.before), later); err != nil || n != c.n {
			t.Errorf("before %v: %d deleted, %v", c.before, n, err)
		}
	}
}

// A gate where nobody passes keeps no entry longer than one where many do.
func TestQuietGateIsPruned(t *testing.T) {
	j := openWith(t, t.TempDir(), Options{Device: device})
	fill(t, j, 5)
	if err := j.PutReceipt(receipt(t, j, 5)); err != nil {
		t.Fatal(err)
	}
	month := entry.Stamp{Wall: day.Add(31 * 24 * time.Hour), Trust: entry.TrustClock}
	if n, err := j.Prune(t.Context(), month.Wall.Add(-30*24*time.Hour), month); err != nil || n != 5 {
		t.Errorf("%d deleted, %v", n, err)
	}
}
