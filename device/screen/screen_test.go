package screen

import (
	"errors"
	"image"
	"image/color"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"gatepost/device"
)

var (
	rgb565 = layout{bits: 16, red: field{11, 5}, green: field{5, 6}, blue: field{0, 5}}
	xrgb   = layout{bits: 32, red: field{16, 8}, green: field{8, 8}, blue: field{0, 8}}
	xbgr   = layout{bits: 32, red: field{0, 8}, green: field{8, 8}, blue: field{16, 8}}
)

func sized(l layout, w, h, padding int) layout {
	l.width, l.height, l.stride, l.offset = w, h, w*l.bits/8+padding, 8
	return l
}

func open(t *testing.T, l layout, turn int) *Screen {
	t.Helper()
	s, err := newScreen(l, make([]byte, l.offset+l.stride*l.height), turn)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at returns the pixel of the framebuffer at (x, y).
func (s *Screen) at(x, y int) (v uint32) {
	n := s.layout.bits / 8
	for i := range n {
		v |= uint32(s.mem[y*s.layout.stride+x*n+i]) << (8 * i)
	}
	return v
}

func TestColours(t *testing.T) {
	for _, c := range []struct {
		l    layout
		c    color.RGBA
		want uint32
	}{
		{rgb565, color.RGBA{255, 255, 255, 255}, 0xffff},
		{rgb565, color.RGBA{255, 0, 0, 255}, 0xf800},
		{rgb565, color.RGBA{0x12, 0x34, 0x56, 255}, 0x12>>3<<11 | 0x34>>2<<5 | 0x56>>3},
		{xrgb, color.RGBA{0x12, 0x34, 0x56, 255}, 0x123456},
		{xbgr, color.RGBA{0x12, 0x34, 0x56, 255}, 0x563412},
	} {
		s := open(t, sized(c.l, 3, 2, 6), 0)
		s.Canvas().Set(2, 1, c.c)
		if s.at(2, 1) != 0 {
			t.Error("it is seen before the flush")
		}
		s.Flush(s.Canvas().Bounds())
		if got := s.at(2, 1); got != c.want || s.at(1, 1) != 0 || s.at(2, 0) != 0 {
			t.Errorf("%v at %d bits is %#x, want %#x", c.c, c.l.bits, got, c.want)
		}
	}
}

// However the screen hangs, a point of the canvas is where Place says, and its corner where it must be.
func TestTurns(t *testing.T) {
	for turn, corner := range map[int]image.Point{0: {0, 0}, 90: {4, 0}, 180: {4, 2}, 270: {0, 2}} {
		for _, l := range []layout{rgb565, xrgb} {
			s := open(t, sized(l, 5, 3, 4), turn)
			white, black := color.White, color.Black
			if got := s.Place(corner.X, corner.Y); got != (image.Point{}) {
				t.Errorf("turned by %d, the corner is %v", turn, got)
			}
			for y := range 3 {
				for x := range 5 {
					p := s.Place(x, y)
					if !p.In(s.Canvas().Bounds()) {
						t.Fatalf("turned by %d, %d,%d is %v", turn, x, y, p)
					}
					s.Canvas().Set(p.X, p.Y, white)
					s.Flush(image.Rectangle{p, p.Add(image.Pt(1, 1))})
					for i := range 15 {
						if got := s.at(i%5, i/5); got != 0 != (i == y*5+x) {
							t.Errorf("turned by %d, %v is %#x at %d,%d", turn, p, got, i%5, i/5)
						}
					}
					s.Canvas().Set(p.X, p.Y, black)
					s.Flush(s.Canvas().Bounds())
				}
			}
		}
	}
}

func TestCloseIsBlack(t *testing.T) {
	s := open(t, sized(xrgb, 4, 4, 0), 0)
	s.Canvas().Set(1, 1, color.White)
	s.Flush(image.Rect(-5, -5, 99, 99))
	if err := s.Close(); err != nil || s.at(1, 1) != 0 {
		t.Errorf("%#x stays, %v", s.at(1, 1), err)
	}
}

func TestWhatIsNoScreen(t *testing.T) {
	good := sized(xrgb, 4, 4, 0)
	for what, spoil := range map[string]func(*layout){
		"24 bits":         func(l *layout) { l.bits = 24 },
		"no width":        func(l *layout) { l.width = 0 },
		"far too high":    func(l *layout) { l.height = 1 << 20 },
		"too short rows":  func(l *layout) { l.stride = 15 },
		"a huge stride":   func(l *layout) { l.stride = 1 << 30 },
		"no green":        func(l *layout) { l.green.length = 0 },
		"a far away blue": func(l *layout) { l.blue.shift = 30 },
		"a huge offset":   func(l *layout) { l.offset = 1 << 40 },
	} {
		l := good
		spoil(&l)
		if _, err := newScreen(l, make([]byte, 1024), 0); err == nil {
			t.Errorf("%s was taken", what)
		}
	}
	if _, err := newScreen(good, make([]byte, 1024), 45); err == nil {
		t.Error("turned by 45 degrees")
	}
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "fb0"), 0); !errors.Is(err, device.ErrGone) {
		t.Errorf("no node: %v", err)
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, 0); err == nil || errors.Is(err, device.ErrGone) {
		t.Errorf("a file: %v", err)
	}
}

// The kernel fills the structures by their size.
func TestSizesAreTheKernels(t *testing.T) {
	word := unsafe.Sizeof(uintptr(0))
	if got, want := unsafe.Sizeof(variable{}), uintptr(160); got != want {
		t.Errorf("variable has %d bytes, want %d", got, want)
	}
	if got, want := unsafe.Sizeof(fixed{}), 48+4*word; word == 8 && got != want {
		t.Errorf("fixed has %d bytes, want %d", got, want)
	}
}

func BenchmarkFlush(b *testing.B) {
	for name, l := range map[string]layout{"16": rgb565, "32": xrgb} {
		for _, turn := range []int{0, 90} {
			b.Run(name+map[int]string{0: "", 90: "turned"}[turn], func(b *testing.B) {
				l := sized(l, 800, 480, 0)
				s, err := newScreen(l, make([]byte, l.offset+l.stride*l.height), turn)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					s.Flush(s.Canvas().Bounds())
				}
			})
		}
	}
}
