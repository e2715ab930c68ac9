package input

import (
	"context"
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strings"
	"time"
	"unsafe"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// From linux/input-event-codes.h.
const (
	kindAbs = 3

	touched      = 330 // BTN_TOUCH
	singleX      = 0   // ABS_X
	singleY      = 1
	severalX     = 53 // ABS_MT_POSITION_X
	severalY     = 54
	getAbs       = 0x80184540 // EVIOCGABS(0), 24 bytes; the axis is added to it
	syncReport   = 0
	maxNamedNode = 64
)

// A Panel is a touch panel, for one goroutine; Close is for any. It tells where a finger was put down, no gestures.
type Panel struct {
	file          *os.File
	width, height int
	x, y          axis
	touch         touch
	ready         []event
	block         []byte
}

// An axis runs from min to max.
type axis struct{ min, max int32 }

// OpenPanel opens the event node of a touch panel that lies over a screen of so many pixels. A node that is not there is
// device.ErrGone.
func OpenPanel(path string, width, height int) (*Panel, error) {
	file, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("open touch panel: %w: %w", device.ErrGone, err)
	}
	p := &Panel{file: file, width: width, height: height, block: make([]byte, 64*eventSize)}
	if p.x, err = readAxis(file, singleX); err == nil {
		p.y, err = readAxis(file, singleY)
	}
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s is no touch panel: %w", path, err)
	}
	return p, nil
}

func readAxis(file *os.File, code uintptr) (axis, error) {
	var info [6]int32 // struct input_absinfo: value, minimum, maximum, …
	c, err := file.SyscallConn()
	if err != nil {
		return axis{}, err
	}
	var failed error
	err = c.Control(func(fd uintptr) {
		if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, getAbs+code, uintptr(unsafe.Pointer(&info))); e != 0 {
			failed = e
		}
	})
	if err := errors.Join(err, failed); err != nil {
		return axis{}, err
	}
	a := axis{info[1], info[2]}
	if a.max <= a.min {
		return a, fmt.Errorf("its axis %d runs from %d to %d", code, a.min, a.max)
	}
	return a, nil
}

// pixel scales v to n pixels.
func (a axis) pixel(v int32, n int) int {
	return int(int64(min(max(v, a.min), a.max)-a.min) * int64(n-1) / int64(a.max-a.min))
}

// Next returns the next point at which a finger was put down. Besides ctx.Err() its errors are device.ErrGone, wrapped.
func (p *Panel) Next(ctx context.Context) (image.Point, error) {
	stop := context.AfterFunc(ctx, func() { p.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	for {
		for i, e := range p.ready {
			if p.touch.take(e) {
				p.ready = p.ready[i+1:]
				return image.Pt(p.x.pixel(p.touch.x, p.width), p.y.pixel(p.touch.y, p.height)), nil
			}
		}
		n, err := p.file.Read(p.block)
		if ctx.Err() != nil {
			return image.Point{}, ctx.Err()
		}
		if err != nil {
			return image.Point{}, fmt.Errorf("read touch panel: %w: %w", device.ErrGone, err)
		}
		p.ready = events(p.block[:n])
	}
}

// Close ends a Next that waits.
func (p *Panel) Close() error { return p.file.Close() }

// touch gathers the events of one report.
type touch struct {
	x, y int32
	down bool // a finger was put down in this report
}

// take takes one event and tells whether it ends a report with which a finger was put down.
func (t *touch) take(e event) bool {
	switch {
	case e.kind == kindAbs && (e.code == singleX || e.code == severalX):
		t.x = e.value
	case e.kind == kindAbs && (e.code == singleY || e.code == severalY):
		t.y = e.value
	case e.kind == kindKey && e.code == touched:
		t.down = e.value == 1
	case e.kind == kindSync && e.code == syncReport && t.down:
		t.down = false
		return true
	}
	return false
}

// FindNode returns the path of the first event node, by number, whose device's name matches a pattern as path.Match takes
// it, such as "*Barcode*". Without one the error is device.ErrGone. A pattern that begins with a slash is a node's path,
// in which the same signs may stand.
func FindNode(pattern string) (string, error) {
	return findNode(pattern, "/sys/class/input", "/dev/input")
}

func findNode(pattern, sys, dev string) (string, error) {
	if strings.HasPrefix(pattern, "/") {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			return "", fmt.Errorf("no node %s: %w", pattern, errors.Join(device.ErrGone, err))
		}
		return paths[0], nil
	}
	for i := range maxNamedNode {
		node := fmt.Sprintf("event%d", i)
		name, err := os.ReadFile(filepath.Join(sys, node, "device/name"))
		if err != nil {
			continue
		}
		ok, err := filepath.Match(pattern, strings.ReplaceAll(strings.TrimSpace(string(name)), "/", " "))
		if err != nil {
			return "", err
		}
		if ok {
			return filepath.Join(dev, node), nil
		}
	}
	return "", fmt.Errorf("no input named %q: %w", pattern, device.ErrGone)
}
