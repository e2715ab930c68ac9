package kiosk

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf16"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"

	"golang.org/x/sys/unix"
)

// A stickBench is a kiosk whose USB port looks at a folder in the place of the kernel's, and whose mount takes a folder
// in the place of a stick.
type stickBench struct {
	*bench
	port  *USB
	key   ed25519.PrivateKey
	stick string // its contents
	fail  error  // of the next mount
}

func newStickBench(t *testing.T) *stickBench {
	b := &bench{t: t, dir: t.TempDir(), now: morning}
	s := &stickBench{bench: b, stick: t.TempDir(), key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))}
	var err error
	device := entry.DeviceID(s.key.Public().(ed25519.PublicKey))
	b.Kiosk = newBench(t).Kiosk
	if b.Journal, err = journal.Open(b.dir, journal.Options{Device: device}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Journal.Close() })
	b.Device = device
	s.port = fakeUSB(t)
	s.port.mount = func(_, dir, _ string) error {
		if s.fail != nil {
			return s.fail
		}
		return errors.Join(os.Remove(dir), os.Symlink(s.stick, dir))
	}
	s.port.unmount = func(dir string, _ int) error {
		if _, err := os.Readlink(dir); err != nil {
			return unix.EINVAL
		}
		return os.Remove(dir)
	}
	return s
}

// fakeUSB returns a port that looks at folders in the place of the kernel's, in which there is one disk that is no stick.
func fakeUSB(t *testing.T) *USB {
	t.Helper()
	root := t.TempDir()
	u := NewUSB(filepath.Join(root, "mnt"), os.Getuid(), nil)
	u.sys, u.dev, u.every = filepath.Join(root, "sys", "class", "block"), filepath.Join(root, "dev"), time.Millisecond
	for _, dir := range []string{u.sys, u.dev} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	plug(t, u, "mmcblk0", "mmc0", fat32("GATEPOST"))
	return u
}

// plug puts a device with these first bytes into a port's folders.
func plug(t *testing.T, u *USB, name, bus string, image []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(u.dev, name), image, 0o600); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(u.sys, "..", "..", "devices", bus, name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "size"), []byte("2048\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(dir, filepath.Join(u.sys, name)); err != nil {
		t.Fatal(err)
	}
}

func unplug(t *testing.T, u *USB, name string) {
	t.Helper()
	if err := os.Remove(filepath.Join(u.sys, name)); err != nil {
		t.Fatal(err)
	}
}

// fat32 returns the beginning of a FAT32 file system with a label in its root folder and none in its boot sector, as
// Windows leaves it when it renames a stick.
func fat32(label string) []byte {
	b := make([]byte, 8192)
	le := binary.LittleEndian
	le.PutUint16(b[11:], 512) // bytes of a sector
	b[13] = 8                 // sectors of a cluster
	le.PutUint16(b[14:], 1)   // reserved
	b[16] = 1                 // tables
	le.PutUint32(b[36:], 1)   // sectors of one
	le.PutUint32(b[44:], 2)   // root
	copy(b[71:], "NO NAME    ")
	b[510], b[511] = 0x55, 0xaa
	root := b[2*512:]
	copy(root, "\xe5LD NAME   \x08") // deleted
	copy(root[32:], "A long name\x0f")
	copy(root[64:], fmt.Sprintf("%-11s\x08", label))
	return b
}

func exfat(label string) []byte {
	b := make([]byte, 8192)
	copy(b[3:], "EXFAT   ")
	binary.LittleEndian.PutUint32(b[88:], 2) // sectors before the clusters
	binary.LittleEndian.PutUint32(b[96:], 3) // root
	b[108], b[109] = 9, 3
	b[510], b[511] = 0x55, 0xaa
	root := b[(2+8)*512 : 8192]
	root[0] = 0x81 // the bitmap comes first here
	text := utf16.Encode([]rune(label))
	root[32], root[33] = 0x83, byte(len(text))
	for i, u := range text {
		binary.LittleEndian.PutUint16(root[34+2*i:], u)
	}
	return b
}

func TestFatLabel(t *testing.T) {
	broken := func(b []byte, at int, v byte) []byte { b[at] = v; return b }
	for name, c := range map[string]struct {
		image       []byte
		kind, label string
	}{
		"FAT32":            {fat32("GATEPOST"), "vfat", "GATEPOST"},
		"FAT32, two words": {fat32("MY STICK"), "vfat", "MY STICK"},
		"FAT32, none":      {fat32("")[:1024], "vfat", ""},
		"exFAT":            {exfat("Gatepost"), "exfat", "Gatepost"},
		"exFAT, Việt":      {exfat("Cổng"), "exfat", "Cổng"},
		"no boot sector":   {broken(fat32("GATEPOST"), 510, 0), "", ""},
		"sectors of 3":     {broken(fat32("GATEPOST"), 11, 3), "", ""},
		"root cluster 0":   {broken(fat32("GATEPOST"), 44, 0), "", ""},
		"exFAT, far away":  {broken(exfat("GATEPOST"), 99, 0xff), "exfat", ""},
		"exFAT, 2^200":     {broken(exfat("GATEPOST"), 109, 200), "", ""},
		"short":            {fat32("GATEPOST")[:100], "", ""},
	} {
		if kind, label := fatLabel(bytes.NewReader(c.image)); kind != c.kind || label != c.label {
			t.Errorf("%s: %q %q, want %q %q", name, kind, label, c.kind, c.label)
		}
	}
}

// The label that mkfs.vfat writes is found in each of the three kinds of FAT.
func TestFatLabelOfRealImages(t *testing.T) {
	mkfs, err := exec.LookPath("/usr/sbin/mkfs.vfat")
	if err != nil {
		t.Skip("needs mkfs.vfat (dosfstools)")
	}
	for bits, size := range map[string]int64{"12": 1 << 20, "16": 32 << 20, "32": 64 << 20} {
		path := filepath.Join(t.TempDir(), "image")
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(path, size); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(mkfs, "-F", bits, "-n", StickLabel, path).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if kind, label := fatLabel(f); kind != "vfat" || label != StickLabel {
			t.Errorf("FAT%s: %q %q", bits, kind, label)
		}
	}
}

func FuzzFatLabel(f *testing.F) {
	f.Add(fat32("GATEPOST"))
	f.Add(exfat("GATEPOST"))
	f.Add(fat32("")[:600])
	f.Fuzz(func(t *testing.T, image []byte) {
		if kind, label := fatLabel(bytes.NewReader(image)); kind == "" && label != "" || len(label) > 33 {
			t.Errorf("%q %q", kind, label)
		}
	})
}

// run lets the port be served for as long as f takes. Time stands still but for the polling.
func (s *stickBench) run(receiptKey ed25519.PublicKey, f func()) {
	synctest.Test(s.t, func(*testing.T) {
		ctx, cancel := context.WithCancel(context.Background())
		var ended sync.WaitGroup
		s.changed = make(chan struct{}) // of this bubble
		ended.Go(func() { s.Sticks(ctx, s.port, s.key, receiptKey) })
		f()
		cancel()
		ended.Wait()
	})
}

// settle lets the port look around.
func (s *stickBench) settle() {
	time.Sleep(100 * time.Millisecond)
	synctest.Wait()
}

func (s *stickBench) pass(n int) {
	for range n {
		if _, err := s.keep(s.t.Context(), entry.Fault{Part: "test", Text: "x"}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// answer is what an import leaves on the stick.
func (s *stickBench) answer(key ed25519.PrivateKey, head entry.Head) {
	if err := os.MkdirAll(filepath.Join(s.stick, "GATEPOST", s.Device), 0o700); err != nil {
		s.t.Fatal(err)
	}
	stick, err := uplink.OpenStick(s.stick)
	if err != nil {
		s.t.Fatal(err)
	}
	defer stick.Close()
	r := entry.NewReceipt(key, s.Device, head, morning)
	if err := stick.Answer(wire.State{Device: s.Device, Seq: head.Seq, Receipt: &r}, false); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stickBench) onStick() (names []string) {
	all, err := filepath.Glob(filepath.Join(s.stick, "GATEPOST", s.Device, "*"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, n := range all {
		names = append(names, filepath.Base(n))
	}
	return names
}

func TestStickComesAndGoes(t *testing.T) {
	s := newStickBench(t)
	hub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32))
	s.pass(3)
	s.run(hub.Public().(ed25519.PublicKey), func() {
		s.settle()
		if s.onStick() != nil || s.State().Stick != "" {
			t.Fatalf("without a stick: %v, %q", s.onStick(), s.State().Stick)
		}
		plug(t, s.port, "sdb1", "usb1", fat32("HOLIDAY"))
		plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
		s.settle()
		if got := s.onStick(); fmt.Sprint(got) != "[0000000000000001-0000000000000003.batch]" {
			t.Errorf("on the stick: %q", got)
		}
		if text := s.State().Stick; text != "USB: đã chép 3, có thể rút ra · 3 entries copied, may be pulled out" {
			t.Errorf("the page says %q", text)
		}
		if _, err := os.Lstat(s.port.dir); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("still mounted: %v", err)
		}
		s.pass(2)
		s.settle()
		if got := s.onStick(); len(got) != 1 {
			t.Errorf("written while unmounted: %q", got)
		}
		unplug(t, s.port, "sda1")
		s.settle()
		if text := s.State().Stick; text != "" {
			t.Errorf("without a stick the page says %q", text)
		}
		s.answer(hub, s.Journal.Head())
		plug(t, s.port, "sda1", "usb1", exfat("Gatepost"))
		s.settle()
		if s.Journal.Receipted() != 5 || fmt.Sprint(s.onStick()) != "[receipt.json]" {
			t.Errorf("receipted %d, on the stick %q", s.Journal.Receipted(), s.onStick())
		}
	})
	if f := s.State().Faults; strings.Contains(fmt.Sprint(f), "USB") {
		t.Errorf("faults %q", f)
	}
}

// The kernel shows a device before its node is there, and a card reader before it has a card.
func TestStickComesSlowly(t *testing.T) {
	u := fakeUSB(t)
	plug(t, u, "sda1", "usb1", fat32("GATEPOST"))
	node, late := filepath.Join(u.dev, "sda1"), filepath.Join(u.dev, "late")
	size := filepath.Join(u.sys, "sda1", "size")
	for _, step := range []func() error{
		func() error { return os.Rename(node, late) },
		func() error { return errors.Join(os.Rename(late, node), os.WriteFile(size, []byte("0\n"), 0o600)) },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
		if name := u.find(); name != "" {
			t.Errorf("found %q", name)
		}
	}
	if err := os.WriteFile(size, []byte("2048\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if name := u.find(); name != "sda1" {
		t.Errorf("found %q", name)
	}
	if kind, err := u.Kind("sda1"); kind != "vfat" || err != nil {
		t.Errorf("%q, %v", kind, err)
	}
	u.mount = func(device, _, _ string) error { t.Errorf("%s is mounted", device); return nil }
	for _, name := range []string{"mmcblk0", "../dev/sda1", "", "sdz1"} { // a disk that is labelled as a stick is none
		if err := u.Mount(name); err == nil {
			t.Errorf("%q is a stick", name)
		}
	}
	if name := u.find(); name != "" {
		t.Errorf("found %q twice", name)
	}
	u.name = "sda1"
	unplug(t, u, "sda1")
	u.Removed(t.Context())
	plug(t, u, "sda1", "usb2", fat32("GATEPOST")) // before anybody looked again
	if name := u.find(); name != "sda1" {
		t.Errorf("found %q", name)
	}
}

// What goes wrong with a stick is told, harms nothing, and is over with the next stick.
func TestStickFails(t *testing.T) {
	hub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{4}, 32))
	for name, c := range map[string]struct {
		harm     func(s *stickBench)
		says     string
		exported bool
		entry    bool // it is recorded
	}{
		"not to be mounted": {func(s *stickBench) { s.fail = unix.EIO }, "mount stick as vfat: input/output error", false, false},
		"no folder": {func(s *stickBench) {
			if err := os.WriteFile(filepath.Join(s.stick, "GATEPOST"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "not a directory", false, false},
		"forged receipt": {func(s *stickBench) { s.answer(s.key, s.Journal.Head()) }, "signature", true, false},
		"cloned card":    {func(s *stickBench) { s.answer(hub, entry.Head{Seq: 3}) }, "was the card cloned?", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStickBench(t)
			s.pass(3)
			c.harm(s)
			s.run(hub.Public().(ed25519.PublicKey), func() {
				plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
				s.settle()
				if f := fmt.Sprint(s.State().Faults); !strings.Contains(f, c.says) || s.State().Stick != "" {
					t.Errorf("faults %s, %q", f, s.State().Stick)
				}
				if exported := strings.Contains(fmt.Sprint(s.onStick()), ".batch"); exported != c.exported {
					t.Errorf("on the stick: %q", s.onStick())
				}
				if recorded := s.Journal.Head().Seq > 3; recorded != c.entry || s.Journal.Receipted() != 0 {
					t.Errorf("the journal ends at %d, receipted %d", s.Journal.Head().Seq, s.Journal.Receipted())
				}
				unplug(t, s.port, "sda1")
				s.settle()
				s.fail, s.stick = nil, t.TempDir()
				plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
				s.settle()
				if f := fmt.Sprint(s.State().Faults); strings.Contains(f, "USB") || !strings.Contains(s.State().Stick, "may be pulled out") {
					t.Errorf("a good stick: faults %s, %q", f, s.State().Stick)
				}
			})
		})
	}
}

// A real file system on a loop device: FAT, or ext4 where the kernel knows no FAT. One stick is full, and one is pulled
// out in the middle, so that what is written cannot reach it.
func TestStickMounted(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("mounting needs root")
	}
	for name, c := range map[string]struct {
		entries int
		gone    bool
		says    string
	}{
		"whole":      {3, false, ""},
		"full":       {wire.MaxEntries + 3, false, "is full"},
		"pulled out": {3, true, "USB: "},
	} {
		t.Run(name, func(t *testing.T) {
			s, image := newStickBench(t), format(t)
			s.pass(c.entries)
			s.port.unmount = unix.Unmount
			s.port.mount = func(_, dir, _ string) error {
				if err := loop(image, dir); err != nil {
					return err
				}
				if c.gone {
					return os.Truncate(image, 8<<10)
				}
				if c.entries > 3 {
					return fill(dir)
				}
				return nil
			}
			t.Cleanup(func() { unix.Unmount(s.port.dir, unix.MNT_DETACH) })
			s.run(nil, func() {
				plug(t, s.port, "sda1", "usb1", fat32("GATEPOST"))
				s.settle()
				told := fmt.Sprint(s.State().Faults)
				if c.says == "" && !strings.Contains(s.State().Stick, "may be pulled out") || !strings.Contains(told, c.says) {
					t.Errorf("faults %s, %q", told, s.State().Stick)
				}
			})
			if err := unix.Unmount(s.port.dir, 0); !errors.Is(err, unix.EINVAL) {
				t.Errorf("still mounted: %v", err)
			}
			if s.Journal.Head().Seq != uint64(c.entries) {
				t.Errorf("the journal ends at %d", s.Journal.Head().Seq)
			}
		})
	}
}

// format returns an image of a small file system.
func format(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(image, make([]byte, 2<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	tool := exec.Command("mkfs.ext4", "-q", "-O", "^has_journal", image)
	if known, err := os.ReadFile("/proc/filesystems"); err == nil && strings.Contains(string(known), "\tvfat\n") {
		tool = exec.Command("mkfs.vfat", "-n", StickLabel, image)
	}
	if out, err := tool.CombinedOutput(); err != nil {
		t.Skipf("%v: %s", err, out)
	}
	dir := t.TempDir()
	if err := loop(image, dir); err != nil {
		t.Skip(err)
	}
	if err := unix.Unmount(dir, 0); err != nil {
		t.Fatal(err)
	}
	return image
}

func loop(image, dir string) error {
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// fill leaves room for little on a stick.
func fill(dir string) error {
	const left = 16 << 10
	f, err := os.Create(filepath.Join(dir, "pictures"))
	if err != nil {
		return err
	}
	defer f.Close()
	size, block := int64(0), make([]byte, 4096)
	for {
		n, err := f.Write(block)
		if size += int64(n); errors.Is(err, unix.ENOSPC) {
			return errors.Join(f.Truncate(size-left), f.Sync())
		}
		if err := errors.Join(err, f.Sync()); err != nil {
			return err
		}
	}
}
