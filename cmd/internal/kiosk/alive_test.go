package kiosk

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/device"
	"gatepost/scanner"
	"gatepost/storage/entry"
)

const maxStill = 30 * time.Second

// stuck is a Source that can be made to hang.
type stuck struct {
	hang chan struct{} // closed: it hangs no more
	beat time.Time
}

func (s *stuck) Next(ctx context.Context) (scanner.Sighting, error) {
	<-s.hang
	<-ctx.Done()
	return scanner.Sighting{}, ctx.Err()
}
func (s *stuck) Close() error              { return nil }
func (s *stuck) Seen() (uint64, time.Time) { return 1, s.beat }
func (s *stuck) Trouble() string           { return "" }
func (s *stuck) Beat() time.Time           { return s.beat }

// hungIs waits until the kiosk says that a part hangs, or until two minutes have gone.
func hungIs(b *bench, want string) bool {
	for range 120 {
		if b.hung(time.Now(), maxStill) == want {
			return true
		}
		time.Sleep(time.Second)
	}
	return false
}

func TestHung(t *testing.T) {
	for want, arrange := range map[string]func(b *bench) (undo func()){
		"lane gate-1": func(b *bench) func() { // its camera gives neither frame nor error
			hang := make(chan struct{})
			b.lane.Open = func(context.Context) (Source, error) { return &stuck{hang: hang, beat: time.Now()}, nil }
			return func() { close(hang) }
		},
		"decision loop": func(b *bench) func() {
			b.turn.Lock()
			return b.turn.Unlock
		},
	} {
		t.Run(want, func(t *testing.T) {
			b := newBench(t)
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				undo := arrange(b)
				ended := make(chan struct{})
				if want == "decision loop" {
					b.decided = time.Now()
				}
				go func() { defer close(ended); b.runLanes(ctx) }()
				if !hungIs(b, want) {
					t.Errorf("nothing hangs: %q", b.hung(time.Now(), maxStill))
				}
				stop()
				undo()
				<-ended
			})
		})
	}
}

func TestAJournalThatHangsIsTheCause(t *testing.T) {
	b := newBench(t)
	long := time.Now().Add(-time.Minute)
	b.queued, b.writing, b.decided = 1, long, long
	if got := b.hung(time.Now(), maxStill); got != "journal" {
		t.Errorf("%q hangs", got)
	}
}

// One lane's entry that is kept must not hide that another's never is.
func TestOneWriteHidesNoOther(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		b.writes(1)
		time.Sleep(maxStill / 2)
		b.writes(1)
		b.writes(-1)
		b.decided = time.Now().Add(time.Hour)
		time.Sleep(maxStill / 2)
		if got := b.hung(time.Now(), maxStill); got != "" {
			t.Errorf("%q hangs, and an entry was kept %v ago", got, maxStill/2)
		}
		time.Sleep(maxStill)
		if got := b.hung(time.Now(), maxStill); got != "journal" {
			t.Errorf("%q hangs, want the journal", got)
		}
		b.writes(-1)
		if got := b.hung(time.Now(), maxStill); got != "" {
			t.Errorf("%q hangs, and nothing is written", got)
		}
	})
}

// A lane that is gone is no lane that hangs: no reset brings a camera back.
func TestGoneIsNotHung(t *testing.T) {
	b := newBench(t)
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		b.lane.Open = func(context.Context) (Source, error) { return nil, device.ErrGone }
		ended := make(chan struct{})
		go func() { defer close(ended); b.runLanes(ctx) }()
		for range 90 {
			time.Sleep(time.Second)
			if got := b.hung(time.Now(), maxStill); got != "" {
				t.Fatalf("%q hangs", got)
			}
		}
		stop()
		<-ended
	})
}

// dog counts its food.
type dog int

func (d *dog) Feed() error {
	*d++
	return nil
}

// A gate that hangs starves the dog, and the boot entry after the reset says what hung.
func TestNextBootNamesWhatHung(t *testing.T) {
	b := newBench(t)
	b.Note = filepath.Join(b.dir, "hung")
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var d dog
		ended := make(chan struct{})
		go func() { defer close(ended); b.Guarded(ctx, &d, time.Second, maxStill) }()
		time.Sleep(10 * time.Second)
		synctest.Wait()
		fed := d
		b.writes(1)
		time.Sleep(2 * time.Minute)
		synctest.Wait()
		if fed < 10 || d > fed+dog(maxStill/time.Second)+1 {
			t.Errorf("fed %d times while well, %d in all", fed, d)
		}
		stop()
		<-ended
	})
	for _, want := range []string{`hung: "journal"`, ""} {
		ctx, stop := context.WithCancel(t.Context())
		stop()
		b.lanes = nil
		b.Run(ctx)
		raws, err := b.Journal.Range(b.Journal.Head().Seq-1, 1, entry.MaxSize)
		if err != nil || len(raws) != 1 {
			t.Fatal(len(raws), err)
		}
		e, err := entry.Parse(raws[0])
		if err != nil {
			t.Fatal(err)
		}
		if boot, err := entry.Decode[entry.Boot](e); boot.Before != want || err != nil {
			t.Errorf("boot entry %+v, %v, want %s", boot, err, want)
		}
	}
}

// A part that wakes up before the reset leaves no note.
func TestWokenUpLeavesNoNote(t *testing.T) {
	b := newBench(t)
	b.Note = filepath.Join(b.dir, "hung")
	b.tellHung("lane gate-1")
	if b.before() == "" {
		t.Error("no note")
	}
	b.tellHung("")
	if _, err := os.Stat(b.Note); err == nil || b.before() != "" {
		t.Error("the note stays")
	}
}
