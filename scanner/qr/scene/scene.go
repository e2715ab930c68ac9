// Package scene draws what a camera at a gate sees: a code on a card, a phone or a print, held askew in changing light, and
// frames without a code. The same seed gives the same frames on one kind of processor.
//
// A scene is a model: a pinhole camera, a flat code, one blur for all of the frame, noise of one strength. It does not know
// rolling shutters, lens distortion, bent paper or the compression of a camera's video.
package scene

import (
	"math"
	"math/rand"

	"gatepost/scanner/luma"
	"gatepost/scanner/qr/gauss"
)

// A Shot says how one code is seen. The zero value but for Module is a perfect view.
type Shot struct {
	Module          float64 // pixels a module in the code's middle
	Tilt, Pan, Roll float64 // radians about the picture's rows, its columns and the line of sight
	Blur            float64 // sigma in pixels
	Motion, Heading float64 // pixels that the code moves while a frame is taken, and the direction in radians
	Noise           float64 // sigma of 255
	Contrast        float64 // between dark and light of 255; 0: ink on white paper
	Glare           float64 // radius of a lamp's reflection in pixels
	Moire           float64 // strength of the beat between a phone's pixels and the camera's, 0 to 1
	Shade           float64 // fall of light across the picture, 0 to 1
	Light           bool    // the code is light on dark
	Scratches       int     // and creases across the code
	Level           string  // of error correction, L, M or Q; "" any
	Least, Most     int     // characters of a certificate; 0: as an EU DCC has
	Text            func(*rand.Rand) string
}

// A Frame is a shot's picture.
type Frame struct {
	Plane   luma.Plane
	Text    string     // "" where there is no code
	Modules int        // a side
	View    [9]float64 // homography from modules to pixels, rows first
}

// focal is the camera's focal length over the picture's width: 45 degrees across.
const focal = 1.2

// Draw draws a shot in a picture of w x h pixels. What a shot leaves open, such as the code's place, r decides.
func (s Shot) Draw(r *rand.Rand, w, h int) Frame {
	text, code := s.code(r, h)
	p := newPicture(w, h)
	p.background(r, r.Intn(2))
	n := float64(len(code))
	half := (n/2 + quiet) * s.Module
	middle := func(size float64) float64 { return size/2 + (r.Float64()-.5)*math.Max(0, size-2*half)*.6 }
	cx := middle(float64(w))
	cy := middle(float64(h))
	back, view := s.views(n, cx, cy, focal*float64(w))
	light, dark := 225., 25.
	if s.Contrast > 0 {
		mid := 110 + r.Float64()*40
		light, dark = mid+s.Contrast/2, mid-s.Contrast/2
	}
	if s.Light {
		light, dark = dark, light
	}
	beat := [3]float64{.9 + r.Float64()*.25, .9 + r.Float64()*.25, r.Float64() * .1}
	for y := range h {
		for x := range w {
			c, share := cover(code, back, x, y, light, dark)
			if share == 0 {
				continue
			}
			if s.Moire > 0 {
				c *= s.moire(beat, float64(x), float64(y))
			}
			at := &p.v[y*w+x]
			*at = *at*(1-share) + c*share
		}
	}
	s.scratch(r, p, cx, cy, half, light, dark)
	s.light(r, p)
	return Frame{p.plane(r, s.Noise), text, len(code), view}
}

// quiet is the light border of a code in modules (ISO/IEC 18004, 6.3.8).
const quiet = 4

// views returns the homographies from pixels to modules and back, for a code whose middle is seen at (cx, cy).
func (s Shot) views(n, cx, cy, focus float64) (back, view [9]float64) {
	var modules, pixels [4][2]float64
	cos, sin := math.Cos(s.Roll), math.Sin(s.Roll)
	for i, c := range [4][2]float64{{-.5, -.5}, {.5, -.5}, {.5, .5}, {-.5, .5}} {
		x, y := c[0]*n*s.Module, c[1]*n*s.Module
		x, y = x*cos-y*sin, x*sin+y*cos
		y1, z := y*math.Cos(s.Tilt), y*math.Sin(s.Tilt)
		x1 := x*math.Cos(s.Pan) + z*math.Sin(s.Pan)
		z = -x*math.Sin(s.Pan) + z*math.Cos(s.Pan)
		k := focus / (focus + z)
		modules[i] = [2]float64{(c[0] + .5) * n, (c[1] + .5) * n}
		pixels[i] = [2]float64{cx + x1*k, cy + y1*k}
	}
	return homography(pixels, modules), homography(modules, pixels)
}

// cover returns the brightness that a pixel has of the code and its quiet zone, and which share of the pixel they cover.
func cover(code [][]bool, back [9]float64, x, y int, light, dark float64) (c, share float64) {
	const fine = 4 // points a pixel, each way
	n := float64(len(code))
	if u, v := apply(back, float64(x)+.5, float64(y)+.5); u < -6 || v < -6 || u > n+6 || v > n+6 {
		return 0, 0
	}
	sum, points := 0., 0.
	for j := range fine {
		for i := range fine {
			u, v := apply(back, float64(x)+(float64(i)+.5)/fine, float64(y)+(float64(j)+.5)/fine)
			if u < -quiet || v < -quiet || u >= n+quiet || v >= n+quiet {
				continue
			}
			points++
			if u >= 0 && v >= 0 && u < n && v < n && code[int(v)][int(u)] {
				sum += dark
			} else {
				sum += light
			}
		}
	}
	if points == 0 {
		return 0, 0
	}
	return sum / points, points / (fine * fine)
}

func apply(h [9]float64, x, y float64) (u, v float64) {
	d := h[6]*x + h[7]*y + 1
	return (h[0]*x + h[1]*y + h[2]) / d, (h[3]*x + h[4]*y + h[5]) / d
}

// moire is the beat's factor at a pixel: two waves of nearly the pixels' own length, across and down.
func (s Shot) moire(beat [3]float64, x, y float64) float64 {
	wave := func(phase float64) float64 { return 1 - s.Moire*(.5+.5*math.Sin(2*math.Pi*phase)) }
	return wave(beat[0]*x+beat[2]*y) * wave(beat[1]*y-beat[2]*x)
}

// scratch draws lines across the code, dark ones and light ones.
func (s Shot) scratch(r *rand.Rand, p *picture, cx, cy, half, light, dark float64) {
	for range s.Scratches {
		angle, long, thick := r.Float64()*math.Pi, half*(.5+r.Float64()), .6+r.Float64()*1.4
		x0 := cx + (r.Float64()-.5)*half*1.6
		y0 := cy + (r.Float64()-.5)*half*1.6
		v := [2]float64{dark + 30, light - 10}[r.Intn(2)]
		for t := -long; t < long; t += .5 {
			for d := -thick / 2; d <= thick/2; d += .5 {
				x, y := int(x0+t*math.Cos(angle)-d*math.Sin(angle)), int(y0+t*math.Sin(angle)+d*math.Cos(angle))
				if x >= 0 && y >= 0 && x < p.w && y < p.h {
					p.v[y*p.w+x] = p.v[y*p.w+x]*.25 + v*.75
				}
			}
		}
	}
}

// light adds what light, hand and lens do to the whole picture.
func (s Shot) light(r *rand.Rand, p *picture) {
	if s.Shade > 0 {
		p.shade(s.Shade, r.Float64()*6.283)
	}
	p.move(s.Motion, s.Heading)
	p.blur(s.Blur)
	if s.Glare > 0 {
		x := float64(p.w) * (.35 + .3*r.Float64())
		y := float64(p.h) * (.35 + .3*r.Float64())
		p.glare(x, y, s.Glare)
	}
}

// homography returns the one that maps four points to four others. Its last number is 1.
func homography(from, to [4][2]float64) (h [9]float64) {
	var m [8][9]float64
	for i := range 4 {
		x, y, u, v := from[i][0], from[i][1], to[i][0], to[i][1]
		m[2*i] = [9]float64{x, y, 1, 0, 0, 0, -u * x, -u * y, u}
		m[2*i+1] = [9]float64{0, 0, 0, x, y, 1, -v * x, -v * y, v}
	}
	x, _ := gauss.Solve(&m) // the corners of a code lie on no line
	copy(h[:], x[:])
	h[8] = 1
	return h
}
