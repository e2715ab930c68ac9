package journal

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
)

func TestAppendSurvivesReopening(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kiosk")
	var all [][]byte
	for boot := uint32(1); boot <= 3; boot++ {
		j := open(t, dir)
		if j.Boot() != boot {
			t.Fatalf("boot %d, want %d", j.Boot(), boot)
		}
		for i := range 100 {
			e, err := j.Append(t.Context(), draft(t, day, i))
			if err != nil {
				t.Fatal(err)
			}
			raw, err := e.Marshal()
			if err != nil || e.Boot != boot || e.Seq != uint64(len(all)+1) || j.Head() != (entry.Head{Seq: e.Seq, Hash: entry.HashOf(raw)}) {
				t.Fatalf("entry %d of boot %d, head %v, %v", e.Seq, e.Boot, j.Head(), err)
			}
			all = append(all, raw)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
	}
	j := open(t, dir)
	got, err := j.Range(0, 1000, 1<<20)
	if err != nil || !slices.EqualFunc(got, all, bytes.Equal) {
		t.Fatalf("%d entries came back of %d, or others: %v", len(got), len(all), err)
	}
	j.Close()
	whole(t, dir, 1, 300)
	info, err := os.Stat(filepath.Join(dir, fileName(entry.Head{})))
	if err != nil || info.Mode() != 0o600 {
		t.Fatalf("mode %v, %v", info.Mode(), err)
	}
}

func TestRangeKeepsItsLimits(t *testing.T) {
	j := open(t, t.TempDir())
	fill(t, j, 20)
	one, err := j.Range(0, 1, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	size := len(one[0])
	for _, c := range []struct {
		after       uint64
		max, bytes  int
		first, want int
	}{
		{0, 100, 1 << 20, 1, 20},
		{5, 3, 1 << 20, 6, 3},
		{5, 100, 3 * size, 6, 3},
		{5, 100, 3*size - 1, 6, 2},
		{5, 100, 1, 6, 1},
		{20, 100, 1 << 20, 0, 0},
		{99, 100, 1 << 20, 0, 0},
	} {
		got, err := j.Range(c.after, c.max, c.bytes)
		if err != nil || len(got) != c.want {
			t.Fatalf("after %d: %d entries, %v; want %d", c.after, len(got), err, c.want)
		}
		for i, raw := range got {
			if e, err := entry.Parse(raw); err != nil || e.Seq != uint64(c.first+i) {
				t.Fatalf("after %d: entry %d, %v", c.after, e.Seq, err)
			}
		}
	}
}

func TestWaitingCallersShareATransaction(t *testing.T) {
	j := open(t, t.TempDir())
	const callers = maxMerge + 1
	j.writing.Lock() // the writer takes one and must wait, the others queue behind it
	before := txID(t, j)
	var wg sync.WaitGroup
	call := func() {
		if _, err := j.Append(t.Context(), draft(t, day, 1)); err != nil {
			t.Error(err)
		}
	}
	wg.Go(call)
	waitTaken(t)
	for range callers - 1 {
		wg.Go(call)
	}
	waitQueued(t, callers)
	j.writing.Unlock()
	wg.Wait()
	if got := txID(t, j) - before; got > 2 {
		t.Errorf("%d entries took %d transactions", callers, got)
	}
	if h := j.Head(); h.Seq != callers {
		t.Errorf("head %d, want %d", h.Seq, callers)
	}
}

func TestCancelledWhileQueued(t *testing.T) {
	j := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := j.Append(ctx, draft(t, day, 1)); !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want a cancelled context", err)
	}
	if j.Head().Seq != 0 {
		t.Fatal("an entry was kept whose caller had gone")
	}
	// The writer has taken the first caller's entry; the second still waits for its turn.
	ctx, cancel = context.WithCancel(t.Context())
	j.writing.Lock()
	taken, waiting := make(chan error, 1), make(chan error, 1)
	go func() { _, err := j.Append(ctx, draft(t, day, 1)); taken <- err }()
	waitTaken(t)
	go func() { _, err := j.Append(ctx, draft(t, day, 2)); waiting <- err }()
	waitQueued(t, 2)
	cancel()
	if err := <-waiting; !errors.Is(err, context.Canceled) {
		t.Errorf("the one in the queue: %v", err)
	}
	j.writing.Unlock()
	if err := <-taken; err != nil || j.Head().Seq != 1 {
		t.Errorf("the one whose transaction ran: %v, head %d", err, j.Head().Seq)
	}
}

func TestTooLargeAnEntryHarmsNoOther(t *testing.T) {
	j := open(t, t.TempDir())
	if _, err := j.Append(t.Context(), entry.Draft{Kind: entry.KindFault, Body: make([]byte, entry.MaxSize)}); err == nil {
		t.Fatal("kept")
	}
	fill(t, j, 1)
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	j := open(t, dir)
	fill(t, j, 3)
	if _, err := Open(dir, Options{Device: device, Lock: 50 * time.Millisecond}); !errors.Is(err, ErrLocked) {
		t.Errorf("second opening: %v", err)
	}
	if _, err := Check(dir, nil); !errors.Is(err, ErrLocked) {
		t.Errorf("check of an open journal: %v", err)
	}
	j.Close()
	if _, err := Open(dir, Options{Device: "7766554433221100"}); !errors.Is(err, ErrDevice) {
		t.Errorf("another device: %v", err)
	}
	whole(t, dir, 1, 3)
	if _, err := Check(t.TempDir(), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("check of nothing: %v", err)
	}
	if _, err := j.Append(t.Context(), draft(t, day, 1)); !errors.Is(err, ErrClosed) {
		t.Errorf("append after close: %v", err)
	}
	if _, err := j.Range(0, 1, 1); !errors.Is(err, ErrClosed) {
		t.Errorf("read after close: %v", err)
	}
}

func TestChangedWakes(t *testing.T) {
	j := open(t, t.TempDir())
	select {
	case <-j.Changed():
		t.Fatal("woken by nothing")
	default:
	}
	fill(t, j, 2)
	<-j.Changed()
}

func TestLast(t *testing.T) {
	j := open(t, t.TempDir())
	fill(t, j, 1200) // more than one read
	for n, first := range map[uint64]uint64{0: 1201, 1: 1200, 700: 501, 1200: 1, 5000: 1} {
		want := first
		for e, err := range j.Last(n) {
			if err != nil || e.Seq != want {
				t.Fatalf("last %d: entry %d, want %d, %v", n, e.Seq, want, err)
			}
			want++
		}
		if want != 1201 {
			t.Errorf("last %d: ended before entry %d", n, want)
		}
	}
	for range j.Last(1200) {
		break // who has seen enough may leave
	}
}
