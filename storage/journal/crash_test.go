package journal

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/storage/entry"
)

// childAppend appends from four lanes for ever and prints each acknowledged sequence in one write.
func childAppend(t child, dir string) error {
	j := open(t, dir)
	var wg sync.WaitGroup
	for lane := range 4 {
		wg.Go(func() {
			for {
				e, err := j.Append(context.Background(), draft(t, day, lane))
				if err != nil {
					t.Fatal(err)
				}
				os.Stdout.WriteString(strconv.FormatUint(e.Seq, 10) + "\n")
			}
		})
	}
	wg.Wait()
	return nil
}

func TestKillLosesNothingAcknowledged(t *testing.T) {
	dir := t.TempDir()
	seed := time.Now().UnixNano()
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(uint64(seed), 1))
	var acknowledged uint64
	for round := range 25 {
		last := killed(t, dir, 1+random.IntN(60), time.Duration(random.IntN(3000))*time.Microsecond)
		acknowledged = max(acknowledged, last)
		r, err := Check(dir, hubPub)
		if err != nil || len(r.Damage) > 0 {
			t.Fatalf("round %d: %+v, %v", round, r, err)
		}
		if r.Last < acknowledged || r.First != 1 || r.Boots != uint32(round+1) {
			t.Fatalf("round %d: entry %d was acknowledged, the journal: %+v", round, acknowledged, r)
		}
	}
	t.Logf("%d entries over 25 kills", acknowledged)
	open(t, dir)
}

// killed runs a child, kills it a little after its nth acknowledgement, and returns the highest one.
func killed(t *testing.T, dir string, n int, after time.Duration) (last uint64) {
	t.Helper()
	c := command("append", dir)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		seq, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Fatalf("child: %s", lines.Text())
		}
		last = max(last, seq)
		if i == n {
			time.AfterFunc(after, func() { c.Process.Kill() })
		}
	}
	c.Wait()
	if last == 0 {
		t.Fatal("the child acknowledged nothing")
	}
	return last
}

// childLimit fills a journal up to the process's limit of file size, then lifts the limit.
func childLimit(t child, dir string) error {
	// The runtime ignores SIGXFSZ, so that a write beyond the limit fails with EFBIG.
	if err := setLimit(256 << 10); err != nil {
		return err
	}
	return fillThenRoom(t, dir, func() error { return setLimit(1 << 30) })
}

func setLimit(size uint64) error {
	l := syscall.Rlimit{Cur: size, Max: 1 << 30}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

// fillThenRoom appends until the journal is full, makes room, and goes on.
func fillThenRoom(t child, dir string, makeRoom func() error) error {
	j := open(t, dir)
	kept, err := fillUp(t, j)
	if err != nil {
		return err
	}
	if j.Head().Seq != kept {
		return fmt.Errorf("head %d, %d entries were kept", j.Head().Seq, kept)
	}
	if got, err := j.Range(0, 1<<20, 1<<30); err != nil || len(got) != int(kept) {
		return fmt.Errorf("%d entries can be read of %d: %w", len(got), kept, err)
	}
	if err := makeRoom(); err != nil {
		return err
	}
	for range 100 {
		if _, err := j.Append(context.Background(), draft(t, day, 1)); err != nil {
			return fmt.Errorf("append when there is room again: %w", err)
		}
	}
	j.Close()
	r, err := Check(dir, nil)
	if err != nil || len(r.Damage) > 0 || r.Last != kept+100 {
		return fmt.Errorf("%d entries were kept, the journal: %+v, %w", kept+100, r, err)
	}
	return nil
}

// fillUp appends until there is no room, first large entries and then small ones. A failed write may leave
// free pages for one more, so it takes several refusals in a row.
func fillUp(t testing.TB, j *Journal) (kept uint64, err error) {
	d := entry.Draft{Kind: entry.KindFault, Stamp: entry.Stamp{Wall: day}, Body: make([]byte, entry.MaxSize-100)}
	for refused := 0; refused < 10; {
		e, err := j.Append(context.Background(), d)
		switch {
		case err == nil:
			kept, refused = e.Seq, 0
		case errors.Is(err, ErrFull):
			refused++
			d = draft(t, day, 1)
		default:
			return kept, err
		}
	}
	return kept, nil
}

func TestLimitOfFileSize(t *testing.T) { runChild(t, "limit", t.TempDir()) }

func TestMaxSizeLeavesRoomToShrink(t *testing.T) {
	dir := t.TempDir()
	j, err := Open(dir, Options{Device: device, MaxSize: 4 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	kept, err := fillUp(t, j)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.PutReceipt(receipt(t, j, kept)); err != nil {
		t.Fatalf("receipt for a full journal: %v", err)
	}
	n, err := j.Prune(t.Context(), day.Add(time.Hour), entry.Stamp{Wall: day})
	if err != nil || n != int(kept) {
		t.Fatalf("%d deleted of %d, %v", n, kept, err)
	}
	fill(t, j, 1000)
	info, err := os.Stat(j.path)
	if err != nil || info.Size() > 5<<20 {
		t.Fatalf("%d bytes, %v", info.Size(), err)
	}
	t.Logf("%d entries in 4 MiB", kept)
}
