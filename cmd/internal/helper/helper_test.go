package helper

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/device/slot"

	"golang.org/x/sys/unix"
)

// A fake is a Host that remembers what was asked of it.
type fake struct {
	mu    sync.Mutex
	asked []string
	fail  error
	dir   string
}

func (f *fake) note(format string, a ...any) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, fmt.Sprintf(format, a...))
	return f.fail
}

func (f *fake) Kind(name string) (string, error) { return "vfat", f.note("kind %s", name) }
func (f *fake) Mount(name string) error          { return f.note("mount %s", name) }
func (f *fake) Unmount(force bool) error         { return f.note("unmount %v", force) }
func (f *fake) SetClock(at time.Time) error      { return f.note("clock %v", at.UTC()) }
func (f *fake) SetDefault(s slot.Slot) error     { return f.note("default %v", s) }
func (f *fake) Restart(try bool) error           { return f.note("restart %v", try) }

func (f *fake) OpenSlot(s slot.Slot) (boot, root *os.File, err error) {
	if err := f.note("slot %v", s); err != nil {
		return nil, nil, err
	}
	boot, err1 := os.Create(filepath.Join(f.dir, "boot"))
	root, err2 := os.Create(filepath.Join(f.dir, "root"))
	return boot, root, errors.Join(err1, err2)
}

// bind returns a client, and what of its requests for a restart the helper has heard.
func bind(t *testing.T, host Host) (*Client, <-chan bool) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	c, err1 := newClient(os.NewFile(uintptr(pair[0]), "gate"))
	h, err2 := newClient(os.NewFile(uintptr(pair[1]), "helper"))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	restart, ended := make(chan bool, 1), make(chan struct{})
	go func() {
		serve(h.conn, host, restart, slog.New(slog.DiscardHandler))
		close(ended)
	}()
	t.Cleanup(func() {
		c.Close()
		<-ended // the helper ends with the gate
		h.Close()
	})
	return c, restart
}

func TestList(t *testing.T) {
	f := &fake{dir: t.TempDir()}
	c, restart := bind(t, f)
	kind, err := c.Kind("sda1")
	if kind != "vfat" {
		t.Errorf("kind %q", kind)
	}
	err = errors.Join(err, c.Mount("sda1"), c.Unmount(true), c.SetClock(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)), c.SetDefault(slot.B), c.Restart(true))
	if err != nil || !<-restart {
		t.Error(err)
	}
	boot, root, err := c.OpenSlot(slot.B)
	if err != nil {
		t.Fatal(err)
	}
	for f, text := range map[*os.File]string{boot: "kernel", root: "programs"} {
		if _, err := io.WriteString(f, text); err != nil {
			t.Error(err)
		}
		f.Close()
	}
	for name, want := range map[string]string{"boot": "kernel", "root": "programs"} {
		if got, err := os.ReadFile(filepath.Join(f.dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v", name, got, err)
		}
	}
	want := "kind sda1; mount sda1; unmount true; clock 2026-01-02 03:04:05 +0000 UTC; default b; slot b"
	if got := strings.Join(f.asked, "; "); got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
}

// What fails is told, what is not on the list is not done, and the next request is served all the same.
func TestRefusals(t *testing.T) {
	f := &fake{dir: t.TempDir(), fail: errors.New(strings.Repeat("no ", 5000))}
	c, _ := bind(t, f)
	for name, err := range map[string]error{
		"no no no": c.Mount("sda1"), "is not on the list": c.do(request{Do: "shell"}),
	} {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%v, want %q", err, name)
		}
	}
	if _, _, err := c.OpenSlot(slot.A); err == nil {
		t.Error("a slot that cannot be opened")
	}
	for _, err := range []error{c.SetDefault(2), c.SetDefault(-1), c.do(request{Do: doSlot, Slot: 2})} {
		if err == nil || !strings.Contains(err.Error(), "is no slot") {
			t.Errorf("a third slot: %v", err)
		}
	}
	if _, err := c.conn.Write([]byte("{")); err != nil {
		t.Fatal(err)
	}
	if n, err := c.conn.Read(make([]byte, maxMessage)); err != nil || n == 0 {
		t.Error(err)
	}
	f.mu.Lock()
	f.fail = nil
	f.mu.Unlock()
	if err := c.Unmount(false); err != nil {
		t.Error(err)
	}
}

func TestPartitions(t *testing.T) {
	for cmdline, want := range map[string]string{
		"root=/dev/mmcblk0p5 rootfstype=squashfs ro": "/dev/mmcblk0p3 /dev/mmcblk0p6 false <nil>",
		"quiet root=/dev/vda6\n":                     "/dev/vda3 /dev/vda6 true <nil>",
		"root=/dev/sda1":                             "  false this machine does not start from slots",
		"xroot=/dev/vda5":                            "  false this machine does not start from slots",
	} {
		boot, sys, runs, err := partitions(cmdline, slot.B)
		if got := fmt.Sprint(boot, " ", sys, " ", runs, " ", err); got != want {
			t.Errorf("%q: %s, want %s", cmdline, got, want)
		}
	}
}

// Only the one sector of a file that is there already is written.
func TestAutoboot(t *testing.T) {
	path := filepath.Join(t.TempDir(), "autoboot.txt")
	if err := writeAutoboot(path, slot.B); err == nil {
		t.Error("it was made")
	}
	if err := os.WriteFile(path, slot.Autoboot(slot.A), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeAutoboot(path, slot.B); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(path); err != nil || !bytes.Equal(got, slot.Autoboot(slot.B)) {
		t.Errorf("%q, %v", got, err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := writeAutoboot(path, slot.A); err == nil {
		t.Error("a file of another size")
	}
}

const childVar = "GATEPOST_HELPER_TEST"

func TestMain(m *testing.M) {
	if os.Getenv(childVar) == "" {
		os.Exit(m.Run())
	}
	if err := gate(); err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	os.Exit(0)
}

// gate is what runs without privileges in TestRun. It does what a gate does and tries what it must not be able to.
func gate() error {
	c, err := Inherited()
	if err != nil || c == nil {
		return fmt.Errorf("no helper: %w", err)
	}
	if err := Confine(); err != nil {
		return err
	}
	data := os.Getenv(childVar)
	if os.Getuid() == 0 || os.Geteuid() == 0 {
		return errors.New("root")
	}
	for name, err := range map[string]error{
		"mount":   unix.Mount("none", data, "tmpfs", 0, ""),
		"trace":   unix.PtraceAttach(os.Getppid()),
		"unshare": unix.Unshare(unix.CLONE_NEWUSER),
		"clock":   unix.ClockSettime(unix.CLOCK_REALTIME, &unix.Timespec{}),
		"root":    unix.Setuid(0),
		"bpf":     func() error { _, _, no := unix.Syscall(unix.SYS_BPF, 0, 0, 0); return no }(),
		"keys":    func() error { _, err := unix.KeyctlInt(0, 0, 0, 0, 0); return err }(),
	} {
		if !errors.Is(err, unix.EPERM) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if err := os.WriteFile("/etc/gatepost-test", nil, 0o600); err == nil {
		return errors.New("wrote to /etc")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	if conn, err := net.Dial("tcp", l.Addr().String()); err != nil {
		return err
	} else if err := conn.Close(); err != nil {
		return err
	}
	if err := exec.Command("/bin/true").Run(); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "inner", "file"), []byte("mine"), 0o600); err != nil {
		return err
	}
	boot, root, err := c.OpenSlot(slot.B)
	if err != nil {
		return err
	}
	if err := errors.Join(boot.Close(), root.Close(), c.Restart(true)); err != nil {
		return err
	}
	select {} // until it is told to end
}

// The whole way: root starts the gate as nobody, who can do what a gate does and nothing else, and ends it for a restart.
func TestRun(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	data := t.TempDir()
	for _, dir := range []string{filepath.Dir(data), data} { // nobody must get there
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(data, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(data, "inner", "file"), []byte("root's"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv(childVar, data)
	f := &fake{dir: t.TempDir()}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	code, err := Run(ctx, Options{User: "nobody", Data: data, Host: f, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil || code != 0 {
		t.Errorf("status %d, %v", code, err)
	}
	if got := strings.Join(f.asked, "; "); got != "slot b; restart true" {
		t.Errorf("asked %q", got)
	}
	if got, err := os.ReadFile(filepath.Join(data, "inner", "file")); err != nil || string(got) != "mine" {
		t.Errorf("%q, %v", got, err)
	}
	info, err := os.Stat(filepath.Join(data, "inner"))
	if err != nil || info.Sys().(*syscall.Stat_t).Uid == 0 {
		t.Error("the folder is root's", err)
	}
}

func TestNoSuchUser(t *testing.T) {
	if _, err := Run(t.Context(), Options{User: "no-such-user", Data: t.TempDir()}); err == nil {
		t.Error("it ran")
	}
}
