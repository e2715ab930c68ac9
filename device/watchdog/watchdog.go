// Package watchdog feeds the board's watchdog (Linux's /dev/watchdog), which resets the board when it is not fed.
//
// Whether the gate is well enough to be fed is decided above. A watchdog that is closed sleeps; one whose program dies
// does not, unless the kernel was built to let it.
package watchdog

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"
	"unsafe"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// Requests and flags of linux/watchdog.h.
const (
	getBootStatus = 0x80045702 // WDIOC_GETBOOTSTATUS
	setTimeout    = 0xc0045706 // WDIOC_SETTIMEOUT
	cardReset     = 0x0020     // WDIOF_CARDRESET: the last reset was the watchdog's
)

// A Dog is an open watchdog, for one goroutine.
type Dog struct {
	file  io
	bit   bool
	Bound time.Duration // without food for so long the board is reset
}

// io is what of an *os.File the dog needs.
type io interface {
	Write([]byte) (int, error)
	Close() error
}

// Open wakes the watchdog at path, which from now on wants food every timeout, or as near to that as it can count. A
// board without one is device.ErrGone.
func Open(path string, timeout time.Duration) (*Dog, error) {
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("watchdog %s: %w", path, device.ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open watchdog: %w", err)
	}
	seconds := int32(max(1, timeout/time.Second))
	if err := ioctl(file, setTimeout, &seconds); err != nil && !errors.Is(err, unix.EOPNOTSUPP) { // one that cannot be set keeps its own
		file.WriteString("V")
		file.Close()
		return nil, fmt.Errorf("set watchdog to %v: %w", timeout, err)
	}
	var status int32
	if ioctl(file, getBootStatus, &status) != nil {
		status = 0 // not every watchdog remembers
	}
	return &Dog{file, status&cardReset != 0, time.Duration(seconds) * time.Second}, nil
}

// Bit reports whether this watchdog remembers that it made the last reset. Not every one remembers.
func (d *Dog) Bit() bool { return d.bit }

// Feed keeps the board from being reset for another Bound.
func (d *Dog) Feed() error {
	if _, err := d.file.Write([]byte{0}); err != nil {
		return fmt.Errorf("feed watchdog: %w", err)
	}
	return nil
}

// Close puts the watchdog to sleep: a V before the end tells it that the end is meant.
func (d *Dog) Close() error {
	_, err := d.file.Write([]byte("V"))
	return errors.Join(err, d.file.Close())
}

func ioctl(f *os.File, request uintptr, arg *int32) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(arg))); e != 0 {
			failed = e
		}
	})
	return errors.Join(err, failed)
}
