package update

import (
	"archive/tar"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/order"
	"gatepost/device/slot"

	"github.com/klauspost/compress/zstd"
)

// bundleOf returns a bundle with these members.
func bundleOf(t testing.TB, members ...string) []byte {
	t.Helper()
	var out bytes.Buffer
	z, err := zstd.NewWriter(&out)
	if err != nil {
		t.Fatal(err)
	}
	w := tar.NewWriter(z)
	for i := 0; i < len(members); i += 2 {
		if err := w.WriteHeader(&tar.Header{Name: members[i], Mode: 0o644, Size: int64(len(members[i+1]))}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, members[i+1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), z.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// noise returns n bytes that cannot be compressed.
func noise(n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return string(b)
}

var (
	kernel   = strings.Repeat("kernel ", 400_000) // of several chunks
	programs = noise(300_000)
)

// A board is a card with two slots and the firmware that starts it.
type board struct {
	dir     string
	def     slot.Slot
	booted  slot.Slot
	tried   bool
	restart chan bool
}

func (b *board) Booted() (slot.Slot, bool)    { return b.booted, b.tried }
func (b *board) Default() (slot.Slot, error)  { return b.def, nil }
func (b *board) SetDefault(s slot.Slot) error { b.def = s; return nil }
func (b *board) Try(slot.Slot) error          { b.restart <- true; return nil }
func (b *board) path(s slot.Slot, name string) string {
	return filepath.Join(b.dir, fmt.Sprint(s, "-", name))
}

func (b *board) open(s slot.Slot) (boot, root *os.File, err error) {
	boot, err1 := os.OpenFile(b.path(s, "boot"), os.O_RDWR|os.O_CREATE, 0o600)
	root, err2 := os.OpenFile(b.path(s, "root"), os.O_RDWR|os.O_CREATE, 0o600)
	return boot, root, errors.Join(err1, err2)
}

// A bench is a board, a hub that has a bundle, and a gate.
type bench struct {
	*testing.T
	board  *board
	hub    *httptest.Server
	bundle []byte
	serve  http.HandlerFunc // in the place of the hub's own
	order  order.Update
	asked  []string // ranges

	mu       sync.Mutex
	lacks    string
	online   bool
	recorded []string
	shown    []string
}

func (b *bench) Healthy() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lacks
}

func (b *bench) Online() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.online
}
func (b *bench) Idle(context.Context) {}

func (b *bench) SetUpdate(t *guard.Text) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if t != nil {
		b.shown = append(b.shown, t.EN)
	}
}

func (b *bench) Record(_ context.Context, text string, _ bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.recorded = append(b.recorded, text)
}

func (b *bench) told() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.recorded, "; ")
}

func newBench(t *testing.T) *bench {
	b := &bench{T: t, board: &board{dir: t.TempDir(), restart: make(chan bool, 1)}, bundle: bundleOf(t, BootFile, kernel, RootFile, programs)}
	b.hub = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b.mu.Lock()
		b.asked = append(b.asked, r.Header.Get("Range"))
		b.mu.Unlock()
		if b.serve != nil {
			b.serve(w, r)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(b.bundle))
	}))
	t.Cleanup(b.hub.Close)
	sum := sha256.Sum256(b.bundle)
	b.order = order.Update{Version: 2, Reads: 1, Writes: 1, Size: int64(len(b.bundle)), SHA256: hex.EncodeToString(sum[:]), URL: b.hub.URL + "/2.bundle"}
	return b
}

// start is a start of the board with a system of that version.
func (b *bench) start(version uint64) *Updater {
	b.Helper()
	m, err := slot.Open(b.board, filepath.Join(b.board.dir, "slots.json"), slot.Image{Version: version, Reads: 1, Writes: 1})
	if err != nil {
		b.Fatal(err)
	}
	u := New(Options{
		Dir: filepath.Join(b.board.dir, "update"), Machine: m, Open: b.board.open, Probation: time.Minute, Log: slog.New(slog.DiscardHandler),
		Restart: func() error { b.board.restart <- false; return nil },
	})
	u.SetClient(b.hub.Client())
	return u
}

// run runs the updater until the board is to start again, and reports whether that is for a try.
func (b *bench) run(u *Updater, until func() bool) (try bool) {
	b.Helper()
	ctx, stop := context.WithTimeout(b.Context(), 2*time.Minute)
	ended := make(chan error)
	go func() { ended <- u.Run(ctx, b) }()
	defer func() {
		stop()
		if err := <-ended; err != nil {
			b.Error(err)
		}
	}()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case try = <-b.board.restart:
			return try
		case <-ctx.Done():
			b.Fatalf("nothing happens; recorded %q", b.told())
		case <-tick.C:
			if until != nil && until() {
				return false
			}
		}
	}
}

// slotHolds makes sure of what lies in the slot that an update was written to.
func (b *bench) slotHolds() {
	b.Helper()
	for name, want := range map[string]string{"boot": kernel, "root": programs} {
		if got, err := os.ReadFile(b.board.path(slot.B, name)); err != nil || string(got) != want {
			b.Errorf("%s holds %d bytes, %v", name, len(got), err)
		}
	}
}

// The whole way: fetched, written, tried, proved, and then the default; and never again by the same order.
func TestUpdate(t *testing.T) {
	b := newBench(t)
	b.online = true
	u := b.start(1)
	if err := u.Check(b.order); err != nil {
		t.Fatal(err)
	}
	u.SetOrder(&b.order)
	if !b.run(u, nil) {
		t.Fatal("it is not tried")
	}
	b.slotHolds()
	b.board.booted, b.board.tried = slot.B, true
	u = b.start(2)
	u.SetOrder(&b.order)
	b.run(u, func() bool { return strings.Contains(b.told(), "version 2 stands") })
	if b.board.def != slot.B {
		t.Error("it is not the default")
	}
	b.board.tried = false
	u = b.start(2)
	u.SetOrder(&b.order)
	if _, wanted := u.waiting(); wanted {
		t.Error("it is wanted again")
	}
	b.run(u, func() bool { left, err := os.ReadDir(u.Dir); return err == nil && len(left) == 0 }) // its bundle goes
	if s := strings.Join(b.shown, "; "); !strings.Contains(s, "fetching version 2: 100 percent") || !strings.Contains(s, "writing version 2") || !strings.Contains(s, "trying version 2") {
		t.Errorf("shown: %s", s)
	}
}

// A system that is not healthy in time, or does not reach the hub that was reached before, is given up and told.
func TestNotHealthy(t *testing.T) {
	for name, harm := range map[string]func(*bench){
		"camera": func(b *bench) { b.lacks = "lane gate-1: the camera gives no frames" },
		"hub":    func(b *bench) { b.online = false },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.online = true
			u := b.start(1)
			u.SetOrder(&b.order)
			b.run(u, nil)
			b.board.booted, b.board.tried = slot.B, true
			harm(b)
			u = b.start(2)
			u.Probation = time.Second
			if b.run(u, nil) {
				t.Error("it tries again")
			}
			b.board.booted, b.board.tried = slot.A, false
			u = b.start(1)
			u.SetOrder(&b.order)
			b.run(u, func() bool { return strings.Contains(b.told(), "version 2 was tried and did not prove itself") })
			if _, wanted := u.waiting(); wanted || b.board.def != slot.A {
				t.Error("it is wanted again")
			}
		})
	}
}

// What breaks off goes on where it was, also behind a start, and a hub that knows no ranges begins anew.
func TestFetchGoesOn(t *testing.T) {
	for _, ranges := range []bool{true, false} {
		b := newBench(t)
		half := len(b.bundle) / 2
		b.serve = func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(b.bundle)))
			w.Write(b.bundle[:half])
			panic(http.ErrAbortHandler)
		}
		u := b.start(1)
		if _, err := u.obtain(t.Context(), b.order, func(int64) {}); err == nil {
			t.Fatal("half a bundle")
		}
		b.serve = nil
		if !ranges {
			b.serve = func(w http.ResponseWriter, _ *http.Request) { w.Write(b.bundle) }
		}
		f, err := b.start(1).obtain(t.Context(), b.order, func(int64) {})
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err != nil || !bytes.Equal(got, b.bundle) {
			t.Errorf("%d bytes, %v", len(got), err)
		}
		f.Close()
		if want := fmt.Sprintf("bytes=%d-", half); b.asked[1] != want {
			t.Errorf("asked %q, want %q", b.asked, want)
		}
	}
}

// A bundle that is not the order's changes nothing and is fetched anew the next time.
func TestTampered(t *testing.T) {
	b := newBench(t)
	good := bytes.Clone(b.bundle)
	b.bundle[len(b.bundle)/2] ^= 1
	u := b.start(1)
	u.SetOrder(&b.order)
	b.run(u, func() bool { return strings.Contains(b.told(), "tampered") })
	if _, err := os.Stat(b.board.path(slot.B, "boot")); err == nil {
		t.Error("the slot was written")
	}
	b.bundle = good
	u.SetOrder(&b.order) // wakes it before its time
	if !b.run(u, nil) {
		t.Error("it is not tried")
	}
	b.slotHolds()
}

// What the card does not take is refused before anything is fetched.
func TestCheck(t *testing.T) {
	b := newBench(t)
	u := b.start(2)
	for want, change := range map[error]func(*order.Update){
		slot.ErrOlder:   func(*order.Update) {},
		slot.ErrJournal: func(o *order.Update) { o.Version, o.Reads, o.Writes = 3, 2, 2 },
	} {
		o := b.order
		change(&o)
		if err := u.Check(o); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
		u.SetOrder(&o)
		if _, wanted := u.waiting(); wanted {
			t.Error("it is wanted all the same")
		}
	}
}

// A gate without a line gets its bundle from a stick.
func TestStick(t *testing.T) {
	b := newBench(t)
	u := b.start(1)
	u.SetClient(nil)
	stick := t.TempDir()
	if err := u.TakeFile(stick); err != nil {
		t.Error(err)
	}
	u.SetOrder(&b.order)
	if err := u.TakeFile(stick); err != nil { // a stick without it
		t.Error(err)
	}
	if err := os.WriteFile(filepath.Join(stick, b.order.SHA256+Suffix), b.bundle, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := u.TakeFile(stick); err != nil {
		t.Fatal(err)
	}
	if !b.run(u, nil) {
		t.Error("it is not tried")
	}
	b.slotHolds()
	if len(b.asked) > 0 {
		t.Errorf("the hub was asked %q", b.asked)
	}
}

func TestNoBundle(t *testing.T) {
	for name, raw := range map[string][]byte{
		"nothing":      nil,
		"no zstd":      []byte("PK\x03\x04"),
		"no tar":       func() []byte { z, _ := zstd.NewWriter(nil); return z.EncodeAll([]byte(noise(2000)), nil) }(),
		"other member": bundleOf(t, "kernel", kernel, RootFile, programs),
		"no root":      bundleOf(t, BootFile, kernel),
		"empty root":   bundleOf(t, BootFile, kernel, RootFile, ""),
		"one more":     bundleOf(t, BootFile, kernel, RootFile, programs, "more", "x"),
		"cut":          bundleOf(t, BootFile, kernel, RootFile, programs)[:200_000],
	} {
		if err := Inspect(bytes.NewReader(raw)); err == nil {
			t.Errorf("%s is a bundle", name)
		}
	}
	good := bundleOf(t, BootFile, kernel, RootFile, programs)
	for _, raw := range [][]byte{good, append(good, 0x50, 0x2a, 0x4d, 0x18, 1, 0, 0, 0, 7)} { // a frame that zstd skips
		if err := Inspect(bytes.NewReader(raw)); err != nil {
			t.Error(err)
		}
	}
}

// A bundle larger than the partition ends with an error, and what it fits into is written only where it differs.
func TestInstall(t *testing.T) {
	dir := t.TempDir()
	dev := func(name string) *counted {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { f.Close() })
		return &counted{File: f}
	}
	boot, root := dev("boot"), dev("root")
	raw := bundleOf(t, BootFile, kernel, RootFile, programs)
	for i, want := range []int{4, 0} {
		boot.writes, root.writes = 0, 0
		if err := install(t.Context(), bytes.NewReader(raw), boot, root, func(int64) {}); err != nil || boot.writes+root.writes != want {
			t.Errorf("%d: %d writes, %v", i, boot.writes+root.writes, err)
		}
	}
	boot.lies = true
	if err := install(t.Context(), bytes.NewReader(raw), boot, root, func(int64) {}); err == nil || !strings.Contains(err.Error(), "does not hold") {
		t.Errorf("a card that lies: %v", err)
	}
	root.most = 1000
	boot.lies = false
	if err := install(t.Context(), bytes.NewReader(bundleOf(t, BootFile, kernel, RootFile, noise(2000)+"other")), boot, root, func(int64) {}); err == nil {
		t.Error("it fits into less")
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := install(ctx, bytes.NewReader(raw), boot, root, func(int64) {}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// counted is a device that counts writes, has an end, or lies.
type counted struct {
	*os.File
	writes int
	most   int64
	lies   bool
}

func (c *counted) WriteAt(p []byte, at int64) (int, error) {
	c.writes++
	if c.most > 0 && at+int64(len(p)) > c.most {
		return 0, errors.New("no space left on device")
	}
	return c.File.WriteAt(p, at)
}

func (c *counted) ReadAt(p []byte, at int64) (int, error) {
	n, err := c.File.ReadAt(p, at)
	if c.lies && n > 0 {
		p[0] ^= 1
	}
	return n, err
}

func FuzzBundle(f *testing.F) {
	f.Add(bundleOf(f, BootFile, "kernel", RootFile, "programs"))
	f.Add(bundleOf(f, BootFile, "kernel"))
	f.Add([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, 0})
	f.Fuzz(func(t *testing.T, raw []byte) { Inspect(bytes.NewReader(raw)) })
}
