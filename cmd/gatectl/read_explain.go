package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"

	"gatepost/scanner/luma"
	"gatepost/scanner/qr"
	"gatepost/storage/durable"
)

// Colours of a drawing.
var (
	inkFinder = color.RGBA{255, 160, 0, 255}
	inkLight  = color.RGBA{0, 160, 255, 255} // a finder that is light on dark
	inkRead   = color.RGBA{0, 200, 0, 255}
	inkUnread = color.RGBA{230, 0, 0, 255}
	inkDark   = color.RGBA{230, 0, 200, 255}
	inkBright = color.RGBA{0, 230, 230, 255}
)

// explainPicture draws what the reader saw of the picture in a file, and says it in a few words.
func explainPicture(e env, drawing, file string) int {
	p, err := loadPlane(file)
	if err != nil {
		return fail(e, "read", err)
	}
	x := qr.New().Explain(p)
	var out bytes.Buffer
	if err := png.Encode(&out, draw(p, x)); err != nil {
		return fail(e, "read", err)
	}
	if err := durable.Write(drawing, out.Bytes(), 0o644); err != nil {
		return fail(e, "read", err)
	}
	fmt.Fprintf(e.out, "%d look like a corner's square; three belong to a code.\n", len(x.Finders))
	for _, c := range x.Codes {
		what := "not read: too many modules are taken for what they are not"
		if c.Read {
			what = "read"
		}
		fmt.Fprintf(e.out, "a code of %d x %d modules: %s\n", c.Size, c.Size, what)
	}
	for _, t := range x.Texts {
		fmt.Fprintf(e.out, "%q\n", t)
	}
	return exitOK
}

// draw draws over the picture, at least 1000 pixels wide, so that modules can be told apart.
func draw(p *luma.Plane, x qr.Explanation) image.Image {
	k := max(1, (1000+p.Width-1)/p.Width)
	m := image.NewRGBA(image.Rect(0, 0, k*p.Width, k*p.Height))
	for y := range k * p.Height {
		for xx := range k * p.Width {
			v := 128 + p.Pix[y/k*p.Stride+xx/k]/2 // pale, so that the ink shows
			m.SetRGBA(xx, y, color.RGBA{v, v, v, 255})
		}
	}
	at := func(p [2]float32) (x, y float64) { return float64(p[0]) * float64(k), float64(p[1]) * float64(k) }
	for _, c := range x.Codes {
		ink := inkUnread
		if c.Read {
			ink = inkRead
		}
		for i, a := range c.Corners {
			x0, y0 := at(a)
			x1, y1 := at(c.Corners[(i+1)%4])
			line(m, x0, y0, x1, y1, ink)
		}
		for i, dark := range c.Dark {
			x0, y0 := at(c.Modules[i])
			dot := inkBright
			if dark {
				dot = inkDark
			}
			line(m, x0-1, y0, x0+1, y0, dot)
		}
	}
	for _, f := range x.Finders {
		ink := inkFinder
		if f.Light {
			ink = inkLight
		}
		cx, cy := at([2]float32{f.X, f.Y})
		for i := range 64 {
			sin, cos := math.Sincos(float64(i) * math.Pi / 32)
			r := 3.5 * float64(f.Size) * float64(k)
			line(m, cx+r*cos, cy+r*sin, cx+r*cos, cy+r*sin, ink)
		}
		line(m, cx-4, cy, cx+4, cy, ink)
		line(m, cx, cy-4, cx, cy+4, ink)
	}
	return m
}

// line draws one of two pixels' width.
func line(m *image.RGBA, x0, y0, x1, y1 float64, ink color.RGBA) {
	steps := math.Max(1, math.Max(math.Abs(x1-x0), math.Abs(y1-y0)))
	for i := 0.; i <= steps; i++ {
		x, y := int(x0+(x1-x0)*i/steps), int(y0+(y1-y0)*i/steps)
		for d := range 4 {
			m.SetRGBA(x+d%2, y+d/2, ink) // outside it does nothing
		}
	}
}
