// Package screen shows pictures on a Linux framebuffer (/dev/fb0) of 16 or 32 bits a pixel, of any size, hung any way
// round.
//
// What is drawn is seen at the next Flush and not before, so that nobody sees a half-drawn face. There is no
// double-buffering in the hardware: a flush may tear. A screen that was taken away is noticed by nobody.
package screen

import (
	"errors"
	"fmt"
	"image"
	"image/draw"
	"io/fs"
	"os"
	"unsafe"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// A Screen is one framebuffer, for one goroutine.
type Screen struct {
	layout layout
	turn   int
	canvas *image.RGBA
	mem    []byte
	close  func() error
}

// maxSide is the most pixels a side that is believed.
const maxSide = 8192

// Open opens the framebuffer at path. turn is by how many degrees clockwise the picture is turned on it: 0, 90, 180 or 270,
// for a screen that hangs turned the other way. A board without a screen is device.ErrGone.
func Open(path string, turn int) (*Screen, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("screen %s: %w", path, device.ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open screen: %w", err)
	}
	s, err := mapScreen(file, turn)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("screen %s: %w", path, err)
	}
	return s, nil
}

// mapScreen keeps the file open: a driver that copies what was drawn (virtio, SPI panels) does so only for an open one.
func mapScreen(file *os.File, turn int) (*Screen, error) {
	l, err := query(file)
	if err != nil {
		return nil, err
	}
	if err := l.check(); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(int(file.Fd()), 0, l.offset+l.stride*l.height, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map: %w", err)
	}
	s, err := newScreen(l, mem, turn)
	if err != nil {
		return nil, errors.Join(err, unix.Munmap(mem))
	}
	s.close = func() error { return errors.Join(unix.Munmap(mem), file.Close()) }
	return s, nil
}

func newScreen(l layout, mem []byte, turn int) (*Screen, error) {
	if err := l.check(); err != nil {
		return nil, err
	}
	w, h := l.width, l.height
	switch turn {
	case 0, 180:
	case 90, 270:
		w, h = h, w
	default:
		return nil, fmt.Errorf("a screen turned by %d degrees: want 0, 90, 180 or 270", turn)
	}
	return &Screen{layout: l, turn: turn, canvas: image.NewRGBA(image.Rect(0, 0, w, h)), mem: mem[l.offset:]}, nil
}

// Canvas is where to draw: always the same picture, upright, its corner at (0, 0). It is an *image.RGBA, for which
// image/draw is quick.
func (s *Screen) Canvas() draw.Image { return s.canvas }

// Flush shows what was drawn in r.
func (s *Screen) Flush(r image.Rectangle) {
	from, to := s.rows(r.Intersect(s.canvas.Rect))
	for y := from; y < to; y++ {
		start, step := s.row(y)
		s.layout.write(s.mem[y*s.layout.stride:], s.canvas.Pix, start, step)
	}
}

// rows returns which rows of the framebuffer, to but not with the second, hold r.
func (s *Screen) rows(r image.Rectangle) (from, to int) {
	h := s.layout.height
	switch s.turn {
	case 90:
		return r.Min.X, r.Max.X
	case 180:
		return h - r.Max.Y, h - r.Min.Y
	case 270:
		return h - r.Max.X, h - r.Min.X
	}
	return r.Min.Y, r.Max.Y
}

// row returns where in the canvas's pixels row y of the framebuffer begins, and how far it is to the next pixel.
func (s *Screen) row(y int) (start, step int) {
	stride, w, h := s.canvas.Stride, s.layout.width, s.layout.height
	switch s.turn {
	case 90:
		return (w-1)*stride + 4*y, -stride
	case 180:
		return (h-1-y)*stride + 4*(w-1), -4
	case 270:
		return 4 * (h - 1 - y), stride
	}
	return y * stride, 4
}

// Place returns where on the canvas the point (x, y) of the framebuffer lies, as a touch panel that is glued to it tells
// it.
func (s *Screen) Place(x, y int) image.Point {
	w, h := s.layout.width, s.layout.height
	switch s.turn {
	case 90:
		return image.Pt(y, w-1-x)
	case 180:
		return image.Pt(w-1-x, h-1-y)
	case 270:
		return image.Pt(h-1-y, x)
	}
	return image.Pt(x, y)
}

// Size returns the framebuffer's own size, not turned.
func (s *Screen) Size() (width, height int) { return s.layout.width, s.layout.height }

// Close makes the screen black, for no verdict outlives its program, and closes it.
func (s *Screen) Close() error {
	clear(s.mem[:s.layout.stride*s.layout.height])
	if s.close == nil {
		return nil
	}
	return s.close()
}

// A layout says how pixels lie in memory.
type layout struct {
	width, height, stride, offset int // pixels, and bytes
	bits                          int // a pixel: 16 or 32
	red, green, blue              field
}

// A field is where a colour's bits lie in a pixel.
type field struct{ shift, length uint }

func (l layout) check() error {
	switch {
	case l.bits != 16 && l.bits != 32:
		return fmt.Errorf("a screen of %d bits a pixel, want 16 or 32", l.bits)
	case l.width < 1 || l.height < 1 || l.width > maxSide || l.height > maxSide:
		return fmt.Errorf("a screen of %d x %d pixels", l.width, l.height)
	case l.stride < l.width*l.bits/8 || l.stride > 4*maxSide+4096 || l.offset < 0 || l.offset > l.stride*4*maxSide:
		return fmt.Errorf("a screen with %d bytes a row from %d on", l.stride, l.offset)
	}
	for _, f := range []field{l.red, l.green, l.blue} {
		if f.length < 1 || f.length > 8 || f.shift+f.length > uint(l.bits) {
			return fmt.Errorf("a colour of %d bits at bit %d of %d", f.length, f.shift, l.bits)
		}
	}
	return nil
}

// write writes one row, whose pixels lie step bytes apart in pix from start on.
func (l layout) write(row, pix []byte, start, step int) {
	if l.bits == 16 {
		for x, at := 0, start; x < l.width; x, at = x+1, at+step {
			v := l.pixel(pix[at : at+3 : at+3])
			row[2*x], row[2*x+1] = byte(v), byte(v>>8)
		}
		return
	}
	for x, at := 0, start; x < l.width; x, at = x+1, at+step {
		v := l.pixel(pix[at : at+3 : at+3])
		p := row[4*x : 4*x+4 : 4*x+4]
		p[0], p[1], p[2], p[3] = byte(v), byte(v>>8), byte(v>>16), byte(v>>24)
	}
}

func (l *layout) pixel(rgb []byte) uint32 {
	return uint32(rgb[0])>>(8-l.red.length)<<l.red.shift |
		uint32(rgb[1])>>(8-l.green.length)<<l.green.shift |
		uint32(rgb[2])>>(8-l.blue.length)<<l.blue.shift
}

// Requests and structures of linux/fb.h.
const (
	getVariable = 0x4600 // FBIOGET_VSCREENINFO
	getFixed    = 0x4602 // FBIOGET_FSCREENINFO
)

type bitfield struct{ offset, length, _ uint32 }

type variable struct {
	width, height, _, _, offsetX, offsetY uint32
	bits, _                               uint32
	red, green, blue, _                   bitfield
	_                                     [20]uint32
}

type fixed struct {
	_      [16]byte // its name
	_      uintptr
	_      [4]uint32
	_      [3]uint16
	stride uint32
	_      uintptr
	_      [2]uint32
	_      [3]uint16
}

func query(f *os.File) (layout, error) {
	var v variable
	var x fixed
	raw, err := f.SyscallConn()
	if err != nil {
		return layout{}, err
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = errors.Join(ioctl(fd, getVariable, unsafe.Pointer(&v)), ioctl(fd, getFixed, unsafe.Pointer(&x)))
	})
	if err := errors.Join(err, failed); err != nil {
		return layout{}, fmt.Errorf("it is no framebuffer: %w", err)
	}
	l := layout{
		width: int(v.width), height: int(v.height), stride: int(x.stride), bits: int(v.bits),
		red: colour(v.red), green: colour(v.green), blue: colour(v.blue),
	}
	l.offset = int(v.offsetY)*l.stride + int(v.offsetX)*l.bits/8
	return l, nil
}

func colour(b bitfield) field { return field{uint(b.offset), uint(b.length)} }

func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}
