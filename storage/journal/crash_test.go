package journal

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/storage/entry"
)

// childAppend appends from four lanes for ever and prints each acknowledged sequence in one write. Files are small, and
// what is receipted is deleted, so that a kill may hit any of that, too.
func childAppend(t child, dir string) error {
	j := openWith(t, dir, Options{Device: device, Entries: 20})
	go func() {
		for {
			<-j.Changed()
			if err := j.PutReceipt(receipt(t, j, j.Head().Seq)); err != nil {
				t.Fatal(err)
			}
			if _, err := j.Prune(context.Background(), day.Add(time.Hour), entry.Stamp{Wall: day.Add(2 * time.Hour), Trust: entry.TrustClock}); err != nil {
				t.Fatal(err)
			}
		}
	}()
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
	for round := range 20 {
		last := killed(t, dir, 1+random.IntN(120), time.Duration(random.IntN(3000))*time.Microsecond)
		acknowledged = max(acknowledged, last)
		r, err := Check(dir, hubPub)
		if err != nil || len(r.Damage) > 0 {
			t.Fatalf("round %d: %+v, %v", round, r, err)
		}
		if r.Last < acknowledged || r.Boots < uint32(round) || r.Lost > 0 {
			t.Fatalf("round %d: entry %d was acknowledged, the journal: %+v", round, acknowledged, r)
		}
	}
	t.Logf("%d entries over 20 kills", acknowledged)
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
	j := open(t, dir)
	rested(t, j)
	// The runtime ignores SIGXFSZ, so that a write beyond the limit fails with EFBIG, after a short one.
	if err := setLimit(256<<10 + 1000); err != nil {
		return err
	}
	kept, err := fillUp(t, j, passage(t, 1))
	if err != nil {
		return err
	}
	return goesOn(t, j, dir, kept, func() error { return setLimit(1 << 30) })
}

func setLimit(size uint64) error {
	l := syscall.Rlimit{Cur: size, Max: 1 << 30}
	return syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l)
}

// childFull fills a small file system and then makes room on it.
func childFull(t child, dir string) error {
	ballast := filepath.Join(filepath.Dir(dir), "ballast")
	j := open(t, dir)
	kept, err := fillUp(t, j, passage(t, 1))
	if err != nil {
		return err
	}
	if kept, err = usesReserve(t, j, kept); err != nil {
		return err
	}
	return goesOn(t, j, dir, kept, func() error { return os.Remove(ballast) })
}

// usesReserve checks that a full journal still takes what tells of it, and no passage, until the reserve is used up.
func usesReserve(t testing.TB, j *Journal, kept uint64) (uint64, error) {
	if err := j.Ready(entry.Stamp{Wall: day}); !errors.Is(err, ErrFull) {
		return 0, fmt.Errorf("ready for a passage: %w", err)
	}
	for n := range 100 {
		e, err := j.Append(context.Background(), fault(t, "journal is full"))
		if err != nil {
			return 0, fmt.Errorf("fault %d of a full journal: %w", n, err)
		}
		if kept++; e.Seq != kept {
			return 0, fmt.Errorf("entry %d after %d", e.Seq, kept-1)
		}
		if _, err := j.Append(context.Background(), passage(t, 2)); !errors.Is(err, ErrFull) {
			return 0, fmt.Errorf("a passage in the reserve: %w", err)
		}
	}
	return fillUp(t, j, fault(t, "journal is full"))
}

// goesOn checks a full journal that kept so many entries, makes room, and checks that it goes on.
func goesOn(t child, j *Journal, dir string, kept uint64, makeRoom func() error) error {
	if j.Head().Seq != kept {
		return fmt.Errorf("head %d, %d entries were kept", j.Head().Seq, kept)
	}
	if got, err := j.Range(0, 1<<20, 1<<30); err != nil || len(got) != int(kept) {
		return fmt.Errorf("%d entries can be read of %d: %w", len(got), kept, err)
	}
	if err := makeRoom(); err != nil {
		return err
	}
	if err := j.Ready(entry.Stamp{Wall: day}); err != nil {
		return fmt.Errorf("not ready when there is room again: %w", err)
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

// fillUp appends d until there is no room. A failed write may leave free pages for one more, so it takes several refusals
// in a row.
func fillUp(t testing.TB, j *Journal, d entry.Draft) (kept uint64, err error) {
	kept = j.Head().Seq
	for refused := 0; refused < 10; {
		e, err := j.Append(context.Background(), d)
		switch {
		case err == nil && e.Seq == kept+1:
			kept, refused = e.Seq, 0
		case err == nil:
			return kept, fmt.Errorf("entry %d after %d", e.Seq, kept)
		case errors.Is(err, ErrFull):
			refused++
		default:
			return kept, err
		}
	}
	return kept, nil
}

// passage makes a large passage, fault a small fault.
func passage(t testing.TB, n int) entry.Draft {
	t.Helper()
	d, err := entry.NewDraft(entry.Stamp{Wall: day}, entry.Passage{Lane: "gate", Sealed: bytes.Repeat([]byte{byte(n)}, 7000)})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func fault(t testing.TB, text string) entry.Draft {
	t.Helper()
	d, err := entry.NewDraft(entry.Stamp{Wall: day}, entry.Fault{Part: "journal", Text: text})
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestLimitOfFileSize(t *testing.T) { runChild(t, "limit", t.TempDir()) }

func TestMaxSizeLeavesRoomToShrink(t *testing.T) {
	dir := t.TempDir()
	j := openWith(t, dir, Options{Device: device, MaxSize: 3 * fileSize})
	kept, err := fillUp(t, j, passage(t, 1))
	if err != nil {
		t.Fatal(err)
	}
	if kept, err = usesReserve(t, j, kept); err != nil {
		t.Fatal(err)
	}
	if err := j.PutReceipt(receipt(t, j, kept)); err != nil {
		t.Fatalf("receipt for a full journal: %v", err)
	}
	n, err := j.Prune(t.Context(), day, entry.Stamp{Wall: day, Trust: entry.TrustClock})
	if err != nil || n != 0 {
		t.Fatalf("%d deleted, %v; no clock ever told how old they are", n, err)
	}
	if err := j.Ready(entry.Stamp{Wall: day}); !errors.Is(err, ErrFull) {
		t.Fatalf("ready: %v", err)
	}
}
