// Package luma turns whatever a camera delivers into one plane of brightness, the only thing that reading a code needs.
//
// A Plane is as good as its frame: nothing is sharpened, scaled or turned here. A frame that lies about its sizes,
// a broken JPEG, or a picture beyond the limits is an error, and the plane's content is then unspecified.
package luma

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"

	"gatepost/device"
)

// The largest picture that is looked at, in pixels.
const (
	MaxSide = 8192
	MaxArea = 16 << 20
)

// A Plane holds one byte of brightness a pixel, 0 black and 255 white, rows from the top down.
// Row y starts at Pix[y*Stride]. The zero Plane is ready for Set.
type Plane struct {
	Width, Height int // pixels
	Stride        int // bytes from one row to the next
	Pix           []byte
}

// Set fills p with the brightness of f. It copies, so f.Data may be used again, and it re-uses p.Pix where that is large enough.
func (p *Plane) Set(f device.Frame) error {
	if err := checkSize(f.Width, f.Height); err != nil {
		return err
	}
	switch f.Format {
	case device.Grey:
		return p.setPacked(f, 1)
	case device.YUYV:
		return p.setPacked(f, 2)
	case device.MJPEG:
		return p.setJPEG(f)
	}
	return fmt.Errorf("frame in %v", f.Format)
}

// FromImage returns the brightness of any picture; what is transparent in it is taken as lying on white.
func FromImage(m image.Image) (*Plane, error) {
	p := new(Plane)
	if err := p.setImage(m); err != nil {
		return nil, err
	}
	return p, nil
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > MaxSide || h > MaxSide || w*h > MaxArea {
		return fmt.Errorf("picture of %d x %d pixels is out of bounds", w, h)
	}
	return nil
}

// resize makes p a packed plane of w x h pixels. Its content is left over from before.
func (p *Plane) resize(w, h int) {
	p.Width, p.Height, p.Stride = w, h, w
	if cap(p.Pix) < w*h {
		p.Pix = make([]byte, w*h)
	}
	p.Pix = p.Pix[:w*h]
}

// setPacked takes every step-th byte of each row: all of them for GREY, every other for YUYV, where luma comes first.
func (p *Plane) setPacked(f device.Frame, step int) error {
	row := f.Width * step
	if f.Stride < row {
		return fmt.Errorf("stride %d is too short for %d pixels of %v", f.Stride, f.Width, f.Format)
	}
	// Divided, not multiplied: no stride, however wild, overflows.
	if len(f.Data) < row || (len(f.Data)-row)/f.Stride < f.Height-1 {
		return fmt.Errorf("%d bytes are too few for %d x %d pixels of %v, stride %d", len(f.Data), f.Width, f.Height, f.Format, f.Stride)
	}
	p.resize(f.Width, f.Height)
	for y := range f.Height {
		takeEvery(step, p.Pix[y*p.Stride:][:f.Width], f.Data[y*f.Stride:][:row])
	}
	return nil
}

func takeEvery(step int, to, from []byte) {
	if step == 1 {
		copy(to, from)
		return
	}
	for x := range to {
		to[x] = from[x*step]
	}
}

// setJPEG decodes the picture and takes its Y. The size that its header states must be the frame's,
// and is checked before anything is allocated for it.
func (p *Plane) setJPEG(f device.Frame) error {
	c, err := jpeg.DecodeConfig(bytes.NewReader(f.Data))
	if err != nil {
		return fmt.Errorf("read header of JPEG frame: %w", err)
	}
	if c.Width != f.Width || c.Height != f.Height {
		return fmt.Errorf("JPEG of %d x %d pixels in a frame of %d x %d", c.Width, c.Height, f.Width, f.Height)
	}
	m, err := jpeg.Decode(bytes.NewReader(withTables(f.Data)))
	if err != nil {
		return fmt.Errorf("decode JPEG frame: %w", err)
	}
	return p.setImage(m)
}

func (p *Plane) setImage(m image.Image) error {
	if m == nil {
		return errors.New("no picture")
	}
	b := m.Bounds()
	if err := checkSize(b.Dx(), b.Dy()); err != nil {
		return err
	}
	p.resize(b.Dx(), b.Dy())
	switch m := m.(type) {
	case *image.YCbCr:
		p.copyRows(m.Y[m.YOffset(b.Min.X, b.Min.Y):], m.YStride)
	case *image.Gray:
		p.copyRows(m.Pix[m.PixOffset(b.Min.X, b.Min.Y):], m.Stride)
	default:
		g := &image.Gray{Pix: p.Pix, Stride: p.Stride, Rect: image.Rect(0, 0, p.Width, p.Height)}
		draw.Draw(g, g.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
		draw.Draw(g, g.Rect, m, b.Min, draw.Over)
	}
	return nil
}

func (p *Plane) copyRows(from []byte, stride int) {
	for y := range p.Height {
		copy(p.Pix[y*p.Stride:][:p.Width], from[y*stride:])
	}
}
