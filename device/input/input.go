// Package input reads a barcode scanner that plugs in as a USB keyboard, from its /dev/input/event node.
//
// The scanner must be set to the US keyboard layout and to end each code with Enter or Tab, as most are when new.
// Only what that layout types is received: letters, digits and signs of ASCII. For letters beyond it scanners differ:
// many drop them, some type Alt and a number on the keypad, which depends on the host's code page and is not decoded
// here: what is typed with Alt or Ctrl held is left out. So a name in a card's code may arrive without its accented
// letters, while codes in base45 (HC1:, HD1:), digits and web addresses arrive whole. A camera has no such limit.
package input

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"
	"unsafe"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// A Wedge is one scanner. Next is for one goroutine; Close is for any.
type Wedge struct {
	file  *os.File
	keys  decoder
	ready []event // read but not yet decoded
	block []byte
}

// Open opens an event node and takes it for itself, so that what is scanned is typed into no console. A node that is
// not there, or that another program holds, is device.ErrGone: wait and open it again.
func Open(path string) (*Wedge, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open scanner: %w: %w", device.ErrGone, err)
	}
	if err := grab(file); err != nil {
		file.Close()
		return nil, fmt.Errorf("take scanner for ourselves: %w: %w", device.ErrGone, err)
	}
	return newWedge(file), nil
}

func newWedge(file *os.File) *Wedge {
	return &Wedge{file: file, block: make([]byte, 64*eventSize)}
}

// grab keeps the keyboard's events from every other reader until file is closed: EVIOCGRAB, _IOW('E', 0x90, int).
func grab(file *os.File) error {
	const eviocgrab = 0x40044590
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := c.Control(func(fd uintptr) { failed = unix.IoctlSetInt(int(fd), eviocgrab, 1) }); err != nil {
		return err
	}
	return failed
}

// Next returns the next text that was scanned. Besides ctx.Err() its errors are ErrLost, after which the scanner works
// on, and device.ErrGone (wrapped) when it was unplugged or closed: then Close, and open it again.
func (w *Wedge) Next(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, func() { w.file.SetReadDeadline(time.Unix(1, 0)) }) // in the past: ends a Read that waits
	defer stop()
	for {
		for i, e := range w.ready {
			text, err := w.keys.press(e)
			if text != "" || err != nil {
				w.ready = w.ready[i+1:]
				return text, err
			}
		}
		w.ready = nil
		if err := w.fill(ctx); err != nil {
			return "", err
		}
	}
}

// fill reads at least one event.
func (w *Wedge) fill(ctx context.Context) error {
	n, err := w.file.Read(w.block)
	switch {
	case ctx.Err() != nil:
		w.ready = events(w.block[:max(0, n)])
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded): // left over from a context of before
		if err = w.file.SetReadDeadline(time.Time{}); err == nil {
			return nil
		}
	}
	if err != nil {
		return fmt.Errorf("read scanner: %w: %w", device.ErrGone, err)
	}
	w.ready = events(w.block[:n])
	return nil
}

// Close gives the scanner back and ends a Next that waits.
func (w *Wedge) Close() error { return w.file.Close() }

// event is the kernel's struct input_event less its time: 24 bytes on a 64-bit system, 16 on a 32-bit one.
type event struct {
	kind, code uint16
	value      int32
}

const (
	timeSize  = int(unsafe.Sizeof(unix.Timeval{}))
	eventSize = timeSize + 8
)

// events takes events from what was read. The kernel hands out whole ones; a rest is dropped.
func events(block []byte) []event {
	var all []event
	for ; len(block) >= eventSize; block = block[eventSize:] {
		b := block[timeSize:]
		all = append(all, event{
			kind:  binary.NativeEndian.Uint16(b),
			code:  binary.NativeEndian.Uint16(b[2:]),
			value: int32(binary.NativeEndian.Uint32(b[4:])),
		})
	}
	return all
}
