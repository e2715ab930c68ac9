package kiosk

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"

	"golang.org/x/sys/unix"
)

// A full journal is a fault and never green; it keeps an entry that says so, and what comes in besides does not make it
// look mended. When there is room again the gate goes on by itself.
func TestFullJournal(t *testing.T) {
	b := newBench(t)
	b.Journal.Close()
	b.Memory.Close()
	b.size = 4 << 20 // one file
	b.open()
	ballast, err := entry.NewDraft(b.Clock.Stamp(), entry.Passage{Lane: "gate-1", Sealed: make([]byte, 7000)})
	for err == nil {
		_, err = b.Journal.Append(t.Context(), ballast)
	}
	if !errors.Is(err, journal.ErrFull) {
		t.Fatal(err)
	}
	full := b.Journal.Head().Seq
	b.want("the first", b.show(b.declare(b.healthy(), b.clock())), entry.Failed, entry.ReasonJournal)
	if n := b.Journal.Head().Seq - full; n != 1 {
		t.Errorf("%d entries tell of the first refusal", n)
	}
	b.pass(time.Hour)
	b.want("the second", b.show(cardB), entry.Failed, entry.ReasonJournal)
	b.Alarm(t.Context(), "the hub says so")
	b.retryJournal(t.Context())
	if b.green() || !b.fault("journal is full") {
		t.Errorf("state %+v", b.State())
	}
	var texts []string
	for e, err := range b.Journal.Last(b.Journal.Head().Seq - full) {
		if err != nil {
			t.Fatal(err)
		}
		f, err := entry.Decode[entry.Fault](e)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, f.Part+": "+f.Text)
	}
	if len(texts) != 2 || !strings.Contains(texts[0], "journal is full") || texts[1] != "uplink: the hub says so" {
		t.Errorf("entries %q, want one that tells of the full journal, and the alarm", texts)
	}
	b.Journal.MaxSize = 1 << 30
	b.retryJournal(t.Context())
	if s := b.State(); b.fault("journal is full") || len(s.Shown) > 0 {
		t.Errorf("with room again: %+v", s)
	}
	b.want("with room again", b.show(cardB), entry.Look, entry.ReasonNeedsAnswers)
}

// A card is a small ext4 of its own, on which a bench keeps everything.
type card struct {
	t            *testing.T
	image, mount string
}

func newCard(t *testing.T) card {
	t.Helper()
	dir := t.TempDir()
	c := card{t, filepath.Join(dir, "image"), filepath.Join(dir, "mount")}
	if os.Getuid() != 0 {
		needs(t, errors.New("a file system to mount needs root"))
	}
	c.run("truncate", "-s", "48M", c.image)
	c.run("mkfs.ext4", "-q", "-F", "-m", "0", c.image)
	c.run("mkdir", c.mount)
	c.run("mount", "-o", "loop", c.image, c.mount)
	t.Cleanup(func() { c.run("umount", c.mount) })
	return c
}

func (c card) run(args ...string) {
	c.t.Helper()
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		needs(c.t, fmt.Errorf("%s: %w: %s", strings.Join(args, " "), err, out))
	}
}

// needs skips a test that cannot run here; where CI is set that is a failure.
func needs(t *testing.T, err error) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
}

// bench puts a kiosk on the card; it is closed before the card is unmounted.
func (c card) bench() *bench {
	b := newBenchIn(c.t, c.mount)
	c.t.Cleanup(func() { b.Journal.Close(); b.Memory.Close() })
	return b
}

func (b *bench) fault(words string) bool {
	return slices.ContainsFunc(b.State().Faults, func(f string) bool { return strings.Contains(f, words) })
}

func (b *bench) green() bool {
	s := b.State()
	return len(s.Shown) > 0 && s.Shown[0].Verdict == entry.Admit
}

func await(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("never came true: %s", what)
		}
	}
}

// A card that stops answering is said on the screen, and nothing is green until it has answered.
func TestSlowDisk(t *testing.T) {
	c := newCard(t)
	b := c.bench()
	text := b.declare(b.healthy(), b.clock())
	c.run("fsfreeze", "-f", c.mount)
	shown := make(chan struct{})
	go func() { defer close(shown); b.show(text) }()
	await(t, "the fault", func() bool { return b.fault("disk is slow") })
	if b.green() {
		t.Error("green before the entry is on the disk")
	}
	c.run("fsfreeze", "-u", c.mount)
	<-shown
	if !b.green() {
		t.Errorf("not green when it is: %+v", b.State().Shown)
	}
	b.pass(time.Hour)
	b.show(cardB)
	if b.fault("disk is slow") {
		t.Error("the fault stays when the disk is quick again")
	}
}

// A card that dies in the middle of the work is a fault and never green. What was green before is there when another
// reader gets it to work again.
func TestDyingDisk(t *testing.T) {
	c := newCard(t)
	b := c.bench()
	b.want("before", b.show(b.declare(b.healthy(), b.clock())), entry.Admit, entry.ReasonDeclared)
	saved := b.Journal.Head().Seq
	c.die()
	b.pass(time.Hour)
	b.want("on a dead card", b.show(cardB), entry.Failed, entry.ReasonJournal)
	if b.green() || !b.fault("cannot be written") {
		t.Errorf("state %+v", b.State())
	}
	b.retryJournal(t.Context())
	if !b.fault("cannot be written") {
		t.Error("the fault went though nothing can be written")
	}
	b.Journal.Close()
	b.Memory.Close()
	c.run("umount", c.mount)
	c.run("mount", "-o", "loop", c.image, c.mount)
	b.open()
	if got := b.Journal.Head().Seq; got != saved {
		t.Errorf("%d entries, %d were green", got, saved)
	}
	if r := b.Journal.Repairs(); len(r) > 0 {
		t.Errorf("repairs %+v", r)
	}
}

// die cuts the file system off its disk as the loss of the power does: nothing more is written, not even its own log.
func (c card) die() {
	c.t.Helper()
	const shutdown, withoutLog = 0x8004587d, 2 // EXT4_IOC_SHUTDOWN, EXT4_GOING_FLAGS_NOLOGFLUSH
	f, err := os.Open(c.mount)
	if err != nil {
		c.t.Fatal(err)
	}
	defer f.Close()
	if err := unix.IoctlSetPointerInt(int(f.Fd()), shutdown, withoutLog); err != nil {
		needs(c.t, fmt.Errorf("shut ext4 down: %w", err))
	}
}
