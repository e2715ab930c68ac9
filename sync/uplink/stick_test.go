package uplink

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// export exports the rig's journal and returns the last progress.
func (r *rig) export(dir string) (done, total uint64, err error) {
	err = Export(r.t.Context(), r.journal, r.options.Key, r.options.Aside, dir, func(d, t uint64) {
		if d < done || d > t {
			r.t.Errorf("progress went from %d to %d of %d", done, d, t)
		}
		done, total = d, t
	})
	return done, total, err
}

func (r *rig) mustExport(dir string) {
	r.t.Helper()
	if done, total, err := r.export(dir); err != nil || done != total {
		r.t.Fatalf("%d of %d, %v", done, total, err)
	}
}

func (r *rig) device() string { return entry.DeviceID(r.hub.device) }

// fill appends n entries by many at once, which is quicker than add.
func (r *rig) fill(n int) {
	r.t.Helper()
	d, err := entry.NewDraft(entry.Stamp{Wall: time.Now(), Trust: entry.TrustClock}, entry.Fault{Part: "test", Text: "x"})
	if err != nil {
		r.t.Fatal(err)
	}
	var all errgroup.Group
	all.SetLimit(64)
	for range n {
		all.Go(func() error { _, err := r.journal.Append(r.t.Context(), d); return err })
	}
	if err := all.Wait(); err != nil {
		r.t.Fatal(err)
	}
}

func newFullRig(t *testing.T, entries int) *rig {
	t.Helper()
	r := newBareRig(t, 0)
	r.fill(entries)
	return r
}

// folder returns where the rig's files lie on a stick.
func (r *rig) folder(dir string) string { return filepath.Join(dir, stickTop, r.device()) }

// files returns every file below dir with its contents.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		found[name] = string(raw)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// spans returns the names of the rig's batches on a stick in short: "1-500 501-600".
func (r *rig) spans(dir string) string {
	r.t.Helper()
	s := open(r.t, dir)
	list, err := s.Batches(r.device())
	if err != nil {
		r.t.Fatal(err)
	}
	var short []string
	for _, p := range list {
		short = append(short, fmt.Sprintf("%d-%d", p.First, p.Last))
	}
	return strings.Join(short, " ")
}

func open(t *testing.T, dir string) *Stick {
	t.Helper()
	s, err := OpenStick(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// load gives the stick's batches to the rig's hub as an import does: in order, each checked, what does not fit left out.
// It returns how many went on from the hub's head.
func (r *rig) load(dir string) (taken int) {
	r.t.Helper()
	s := open(r.t, dir)
	list, err := s.Batches(r.device())
	if err != nil {
		r.t.Fatal(err)
	}
	for _, p := range list {
		raw, err := s.Batch(r.device(), p)
		if err != nil {
			continue
		}
		b, err := wire.Parse(raw)
		if err != nil || b.Verify(r.hub.device) != nil {
			continue
		}
		if _, err := r.hub.head.Follow(b.Entries[0]); err == nil {
			r.hub.entries, r.hub.head = append(r.hub.entries, b.Entries...), b.After()
			taken++
		}
	}
	return taken
}

// answer leaves the hub's receipt on the stick, and the kiosk takes it.
func (r *rig) answer(dir string) {
	r.t.Helper()
	if err := open(r.t, dir).Answer(r.hub.state(), false); err != nil {
		r.t.Fatal(err)
	}
	if err := TakeReceipts(r.journal, r.options.ReceiptKey, r.device(), dir); err != nil {
		r.t.Fatal(err)
	}
}

// A stick goes to and fro as its only network, and at the end the hub holds what the journal holds.
func TestStickToAndFro(t *testing.T) {
	r, dir := newFullRig(t, 1234), t.TempDir()
	r.mustExport(dir)
	if s := r.spans(dir); s != "1-500 501-1000 1001-1234" {
		t.Fatalf("batches %s", s)
	}
	before := files(t, dir)
	for name := range before {
		if base := filepath.Base(name); len(base) > 60 || !regexp.MustCompile(`^[0-9a-z.-]+$`).MatchString(base) {
			t.Errorf("name %q", base)
		}
	}
	r.mustExport(dir)
	if !maps.Equal(before, files(t, dir)) {
		t.Error("a second export changed the stick")
	}
	r.fill(400)
	r.mustExport(dir)
	if s := r.spans(dir); s != "1-500 501-1000 1001-1234 1235-1634" {
		t.Errorf("batches %s: what is there must not be written again", s)
	}
	if n := r.load(dir); n != 4 || r.load(dir) != 0 {
		t.Errorf("%d batches", n)
	}
	r.whole()
	r.answer(dir)
	if r.journal.Receipted() != 1634 {
		t.Errorf("receipted %d", r.journal.Receipted())
	}
	r.add(3)
	r.mustExport(dir)
	if s := r.spans(dir); s != "1635-1637" {
		t.Errorf("batches %s: what is receipted must go", s)
	}
	r.load(dir)
	r.whole()
}

// The network moved on in between, so that batches of the stick overlap what the hub holds.
func TestStickAfterTheNetwork(t *testing.T) {
	r, dir := newFullRig(t, 1100), t.TempDir()
	r.mustExport(dir)
	raws, err := r.journal.Range(0, 700, 1<<20)
	if err != nil || len(raws) != 700 {
		t.Fatal(len(raws), err)
	}
	r.hub.entries, r.hub.head = raws, entry.Head{Seq: 700, Hash: entry.HashOf(raws[699])}
	if err := r.journal.PutReceipt(*r.hub.state().Receipt); err != nil {
		t.Fatal(err)
	}
	r.mustExport(dir)
	if s := r.spans(dir); s != "501-1000 701-1100 1001-1100" {
		t.Errorf("batches %s", s)
	}
	r.load(dir)
	r.whole()
}

// A card lost entries; the gap that says so travels like any other entry.
func TestStickCarriesGaps(t *testing.T) {
	r, home, dir := newBareRig(t, 0), t.TempDir(), t.TempDir()
	reopen := func() {
		r.journal.Close()
		j, err := journal.Open(home, journal.Options{Device: r.device()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { j.Close() })
		r.journal = j
	}
	reopen()
	r.add(12)
	r.mustExport(dir)
	r.journal.Close()
	if err := os.Truncate(filepath.Join(home, "0000000000000001.db"), 0); err != nil {
		t.Fatal(err)
	}
	reopen()
	r.add(2)
	if len(r.journal.Repairs()) != 1 {
		t.Fatalf("repairs %+v", r.journal.Repairs())
	}
	if _, _, err := r.export(dir); err != nil {
		t.Fatal(err)
	}
	r.load(dir)
	if r.hub.head != r.journal.Head() {
		t.Errorf("the hub stands at %d, the journal at %d", r.hub.head.Seq, r.journal.Head().Seq)
	}
}

func TestDamagedBatchIsWrittenAgain(t *testing.T) {
	r := newFullRig(t, 600)
	for name, harm := range map[string]func(raw []byte) []byte{
		"flipped":   func(raw []byte) []byte { raw[len(raw)/2] ^= 1; return raw },
		"cut short": func(raw []byte) []byte { return raw[:len(raw)/2] },
		"empty":     func([]byte) []byte { return nil },
		"endless":   func(raw []byte) []byte { return append(raw, make([]byte, wire.MaxBatch)...) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			r.mustExport(dir)
			want := files(t, dir)
			path := filepath.Join(r.folder(dir), Span{1, 500}.String())
			raw, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, harm(raw), 0o644); err != nil {
				t.Fatal(err)
			}
			r.mustExport(dir)
			if !maps.Equal(files(t, dir), want) {
				t.Error("the stick is not mended")
			}
		})
	}
}

// Whatever moment a stick is pulled out at: what has its name is whole, what has not is ignored and cleared away.
func TestPulledOut(t *testing.T) {
	r := newFullRig(t, 1600)
	for after := range uint64(4) {
		r.hub.entries, r.hub.head = nil, entry.Head{}
		dir := t.TempDir()
		gone := dir + "-gone"
		t.Cleanup(func() { os.RemoveAll(gone) })
		err := Export(t.Context(), r.journal, r.options.Key, "", dir, func(done, total uint64) {
			if done != after*500 {
				return
			}
			s := open(t, dir) // hold the folder as the export does, and take everything away
			if err := s.root.Rename(stickTop, "elsewhere"); err != nil {
				t.Error(err)
			}
			if err := os.Rename(dir, gone); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, os.ErrNotExist) {
			t.Errorf("after %d batches: %v", after, err)
		}
		if err := os.Rename(filepath.Join(gone, "elsewhere"), filepath.Join(gone, stickTop)); err != nil {
			t.Fatal(err)
		}
		if n := r.load(gone); n != int(after) {
			t.Errorf("%d batches came, want %d", n, after)
		}
		part := filepath.Join(r.folder(gone), Span{after*500 + 1, after*500 + 500}.String()+stickPart)
		if err := os.WriteFile(part, []byte("half"), 0o644); err != nil {
			t.Fatal(err)
		}
		r.mustExport(gone)
		if _, err := os.Stat(part); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("what was unfinished is still there: %v", err)
		}
		r.load(gone)
		r.whole()
	}
}

// A stick of any size gets whole batches and a clear error.
func TestFullStick(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	r := newFullRig(t, 1500)
	want := t.TempDir()
	r.mustExport(want)
	whole := files(t, want)
	fulls := 0
	for pages := 4; pages < 60; pages += 2 {
		dir := mount(t, pages)
		done, total, err := r.export(dir)
		got := files(t, dir)
		for name, raw := range got {
			if whole[name] != raw {
				t.Errorf("%d pages: %s is not whole", pages, name)
			}
		}
		switch {
		case errors.Is(err, ErrStickFull):
			if fulls++; uint64(len(got))*500 != done || done == total {
				t.Errorf("%d pages: %d files, %d of %d", pages, len(got), done, total)
			}
		case err != nil || len(got) != 3:
			t.Errorf("%d pages: %d files, %v", pages, len(got), err)
		}
		unmount(t, dir)
	}
	if fulls < 10 {
		t.Errorf("%d of the sticks were full", fulls)
	}
}

// A receipt for which there is no room leaves the older one as it was.
func TestFullStickKeepsItsReceipt(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	r := newBareRig(t, 2)
	dir := mount(t, 8)
	r.mustExport(dir)
	r.load(dir)
	r.answer(dir)
	receipt := filepath.Join(r.folder(dir), stickReceipt)
	want, err := os.ReadFile(receipt)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "pictures"), make([]byte, 8*os.Getpagesize()), 0o600); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
	err = open(t, dir).Answer(r.hub.state(), false)
	if got, _ := os.ReadFile(receipt); !errors.Is(err, ErrStickFull) || string(got) != string(want) {
		t.Errorf("%v, receipt %q", err, got)
	}
}

// mount returns a file system of so many pages in memory.
func mount(t *testing.T, pages int) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("stick", dir, "tmpfs", 0, fmt.Sprintf("size=%d", pages*os.Getpagesize())); err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	return dir
}

func unmount(t *testing.T, dir string) {
	t.Helper()
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
}

// A stick with entries of a card's other life is not written over.
func TestStickOfAnotherChain(t *testing.T) {
	r, other, dir := newBareRig(t, 5), newBareRig(t, 5), t.TempDir()
	j, err := journal.Open(t.TempDir(), journal.Options{Device: r.device()})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	r.mustExport(dir)
	want := files(t, dir)
	other.journal, other.options.Key, other.hub.device = j, r.options.Key, r.hub.device
	other.add(4)
	other.add(1)
	if _, _, err := other.export(dir); !errors.Is(err, journal.ErrFork) || !maps.Equal(files(t, dir), want) {
		t.Errorf("%v", err)
	}
	other.hub.head = j.Head()
	if err := j.PutReceipt(*other.hub.state().Receipt); err != nil {
		t.Fatal(err)
	}
	if other.mustExport(dir); !maps.Equal(files(t, dir), want) {
		t.Error("what is receipted here was removed, but it is of another chain")
	}
}
