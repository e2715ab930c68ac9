// Package serial reads a barcode scanner that speaks over a serial line: /dev/ttyACM0 of one that plugs in by USB, or a
// UART's.
//
// A text ends with CR or LF, or, where the scanner adds none, when nothing comes for a tenth of a second. Its bytes are
// UTF-8, so nothing of a name is lost as it is with a keyboard wedge; what is no UTF-8 becomes U+FFFD.
package serial

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// maxText is as many bytes as any QR code holds, had each of its 4,296 characters two of them.
const maxText = 2 * 4296

// pause is the silence that ends a text.
const pause = 100 * time.Millisecond

// ErrLost means that a scan was too long. It is given up to its end, and the next one is read as usual.
var ErrLost = errors.New("a scan was too long")

// A Reader is one scanner. Next is for one goroutine; Close is for any.
type Reader struct {
	file  *os.File
	lines lines
	ready []string // ended but not yet told
	block [512]byte
}

// Open opens the first node that path names, which may be a pattern such as /dev/ttyACM*, and takes it for itself. baud is
// a UART's speed; by USB it means nothing. A node that is not there, or that is taken, is device.ErrGone.
func Open(path string, baud uint32) (*Reader, error) {
	paths, err := filepath.Glob(path)
	if err != nil {
		return nil, err
	}
	failed := []error{fmt.Errorf("serial line %s: %w", path, device.ErrGone)}
	for _, p := range paths {
		file, err := open(p, baud)
		if err == nil {
			return &Reader{file: file}, nil
		}
		failed = append(failed, err)
	}
	return nil, errors.Join(failed...)
}

func open(path string, baud uint32) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, err
	}
	if err := setUp(file, baud); err != nil {
		file.Close()
		return nil, fmt.Errorf("set up %s: %w", path, err)
	}
	return file, nil
}

// setUp makes the line raw, 8N1, and keeps other programs from opening it.
func setUp(file *os.File, baud uint32) error {
	c, err := file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		t := unix.Termios{
			Cflag: unix.BOTHER | unix.CS8 | unix.CREAD | unix.CLOCAL, Ispeed: baud, Ospeed: baud, Iflag: unix.IGNBRK | unix.IGNPAR,
		}
		t.Cc[unix.VMIN] = 1
		failed = errors.Join(unix.IoctlSetInt(int(fd), unix.TIOCEXCL, 0), unix.IoctlSetTermios(int(fd), unix.TCSETS2, &t))
	})
	return errors.Join(err, failed)
}

// Next returns the next text that was scanned. Besides ctx.Err() its errors are ErrLost, after which the scanner works on,
// and device.ErrGone (wrapped) when it was unplugged or closed: then Close, and open it again.
func (r *Reader) Next(ctx context.Context) (string, error) {
	stop := context.AfterFunc(ctx, func() { r.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for len(r.ready) == 0 {
		if err := r.fill(ctx); err != nil {
			return "", err
		}
	}
	text := r.ready[0]
	r.ready = r.ready[1:]
	if text == "" {
		return "", ErrLost
	}
	return text, nil
}

// fill reads once, and waits no longer than a pause for the rest of a text.
func (r *Reader) fill(ctx context.Context) error {
	var until time.Time
	if r.lines.begun() {
		until = time.Now().Add(pause)
	}
	err := r.file.SetReadDeadline(until)
	if ctx.Err() != nil { // its own deadline may have been overwritten
		return ctx.Err()
	}
	var n int
	if err == nil {
		n, err = r.file.Read(r.block[:])
	}
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.Is(err, os.ErrDeadlineExceeded):
		r.ready = r.lines.take([]byte{'\n'})
	case err != nil:
		return fmt.Errorf("read serial line: %w: %w", device.ErrGone, err)
	default:
		r.ready = r.lines.take(r.block[:n])
	}
	return nil
}

// Close gives the line back and ends a Next that waits.
func (r *Reader) Close() error { return r.file.Close() }

// lines parts bytes into texts.
type lines struct {
	text []byte
	lost bool // drop everything up to the next end
}

func (l *lines) begun() bool { return len(l.text) > 0 || l.lost }

// take returns the texts that end in block; an empty one stands for a text that was too long.
func (l *lines) take(block []byte) (ended []string) {
	for _, b := range block {
		switch {
		case b != '\r' && b != '\n' && len(l.text) == maxText:
			l.text, l.lost = nil, true
		case b != '\r' && b != '\n' && !l.lost:
			l.text = append(l.text, b)
		case b != '\r' && b != '\n':
		case l.lost:
			ended, l.lost = append(ended, ""), false
		case len(l.text) > 0: // else it is the second half of a CR LF
			ended = append(ended, strings.ToValidUTF8(string(l.text), "\ufffd"))
			l.text = l.text[:0]
		}
	}
	return ended
}
