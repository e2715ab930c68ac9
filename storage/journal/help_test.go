package journal

import (
	"bytes"
	"crypto/ed25519"
	"runtime"
	"testing"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

var (
	hubKey = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	hubPub = hubKey.Public().(ed25519.PublicKey)
	day    = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC)
)

const device = "0011223344556677"

func open(t testing.TB, dir string) *Journal {
	t.Helper()
	return openWith(t, dir, Options{Device: device})
}

func openWith(t testing.TB, dir string, o Options) *Journal {
	t.Helper()
	j, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { j.Close() })
	return j
}

// rested waits until j has made its spare.
func rested(t testing.TB, j *Journal) {
	t.Helper()
	until(t, "the spare is made", func() bool {
		j.spare.mu.Lock()
		defer j.spare.mu.Unlock()
		return j.spare.ready
	})
}

// draft makes an entry of about the size of a real one.
func draft(t testing.TB, at time.Time, n int) entry.Draft {
	t.Helper()
	d, err := entry.NewDraft(entry.Stamp{Wall: at, Trust: entry.TrustClock}, entry.Passage{
		Lane: "gate", Direction: entry.In, Verdict: entry.Admit, Sealed: bytes.Repeat([]byte{byte(n)}, 250),
	})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fill appends n entries, a minute apart.
func fill(t testing.TB, j *Journal, n int) {
	t.Helper()
	for i := range n {
		if _, err := j.Append(t.Context(), draft(t, day.Add(time.Duration(i)*time.Minute), i)); err != nil {
			t.Fatal(err)
		}
	}
}

// receipt signs for the entry seq of j.
func receipt(t testing.TB, j *Journal, seq uint64) entry.Receipt {
	t.Helper()
	h, err := j.Hash(seq)
	if err != nil {
		t.Fatalf("no hash of entry %d: %v", seq, err)
	}
	return entry.NewReceipt(hubKey, device, entry.Head{Seq: seq, Hash: h}, day)
}

// whole checks dir and fails unless it holds the entries from first to last without damage.
func whole(t testing.TB, dir string, first, last uint64) Report {
	t.Helper()
	r, err := Check(dir, hubPub)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Damage) > 0 || r.First != first || r.Last != last || r.Entries != int(last-first+1) {
		t.Fatalf("check: %+v, want entries %d to %d", r, first, last)
	}
	return r
}

// txID is the number of the last transaction of j.
func txID(t *testing.T, j *Journal) (id int) {
	t.Helper()
	if err := j.db.View(func(tx *bbolt.Tx) error { id = tx.ID(); return nil }); err != nil {
		t.Fatal(err)
	}
	return id
}

// until waits for a condition.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// inAppend counts the callers of Append that stand as the mark says.
func inAppend(mark string) (n int) {
	buf := make([]byte, 1<<20)
	for g := range bytes.SplitSeq(buf[:runtime.Stack(buf, true)], []byte("\n\n")) {
		if bytes.Contains(g, []byte(mark)) && bytes.Contains(g, []byte("(*Journal).append(")) {
			n++
		}
	}
	return n
}

// waitTaken waits until some caller leads and wants to write.
func waitTaken(t *testing.T) {
	t.Helper()
	until(t, "one leads", func() bool { return inAppend("[sync.Mutex.Lock") == 1 })
}

// waitQueued waits until n callers are in Append, one of them being served.
func waitQueued(t *testing.T, n int) {
	t.Helper()
	until(t, "callers wait", func() bool { return inAppend("[select") == n-1 })
}
