package main

import (
	"context"
	"math/rand/v2"
	"time"

	"gatepost/device"
	"gatepost/scanner/qr/scene"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// variants is how many frames of noise there are; a real sensor never repeats one.
const variants = 16

// A room is a camera before which there is a cluttered wall, and now and then a code.
type room struct {
	w, h   int
	wall   []byte
	noise  [variants][]int8
	left   int              // frames until device.ErrEnd, where there is no tick
	tick   <-chan time.Time // when frames come
	n      int
	code   *gozxing.BitMatrix // in view now
	until  int                // the frame at which it goes
	next   <-chan string      // texts of codes to come
	coming func(text string, at time.Time)
}

func newRoom(w, h int) *room {
	r := &room{w: w, h: h}
	_, empty := scene.Degradations(0)
	for _, set := range empty {
		if p := set.Frame(0).Plane; p.Width*p.Height > 0 && r.wall == nil { // stretched to the size that is wanted
			r.wall = make([]byte, w*h)
			for i := range r.wall {
				r.wall[i] = p.Pix[(i/w*p.Height/h)*p.Stride+i%w*p.Width/w]
			}
		}
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	for i := range r.noise {
		r.noise[i] = make([]int8, w*h)
		for j := range r.noise[i] {
			r.noise[i][j] = int8(rnd.IntN(7) - 3)
		}
	}
	return r
}

// draw draws frame n, with the code where there is one in its middle.
func (r *room) draw(n int, code *gozxing.BitMatrix) []byte {
	pix := make([]byte, r.w*r.h)
	noise := r.noise[n%variants]
	for i, level := range r.wall {
		pix[i] = byte(min(max(int(level)/2+60+int(noise[i]), 0), 255))
	}
	if code == nil {
		return pix
	}
	const quiet = 4
	side := code.GetWidth() + 2*quiet
	module := r.h * 3 / 5 / side
	x0, y0 := (r.w-side*module)/2, (r.h-side*module)/2
	for y := range side * module {
		for x := range side * module {
			level := 215
			if m := x/module - quiet; m >= 0 && m < code.GetWidth() {
				if n := y/module - quiet; n >= 0 && n < code.GetHeight() && code.Get(m, n) {
					level = 45
				}
			}
			i := (y0+y)*r.w + x0 + x
			pix[i] = byte(level + int(noise[i]))
		}
	}
	return pix
}

// Next implements scanner.Camera. The time in which a frame is drawn is no part of what is measured: it stands before its At.
func (r *room) Next(ctx context.Context, f *device.Frame) error {
	if r.tick == nil {
		if r.left--; r.left < 0 {
			return device.ErrEnd
		}
	} else {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-r.tick:
		}
	}
	text := ""
	select {
	case text = <-r.next:
		m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 1, 1, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_MARGIN: 0})
		if err != nil {
			return err
		}
		r.code, r.until = m, r.n+12
	default:
		if r.n == r.until {
			r.code = nil
		}
	}
	*f = device.Frame{Format: device.Grey, Width: r.w, Height: r.h, Stride: r.w, Data: r.draw(r.n, r.code)}
	f.At = time.Now()
	r.n++
	if text != "" {
		r.coming(text, f.At)
	}
	return nil
}

func (r *room) Close() error { return nil }
