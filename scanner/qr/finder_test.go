package qr

import (
	"math"
	"testing"

	"gatepost/scanner/luma"
)

// drawFinder puts a finder with modules of m pixels, turned by angle, into p around (cx, cy), with soft edges.
func drawFinder(p *luma.Plane, cx, cy, m, angle float64) {
	sin, cos := math.Sincos(angle)
	const fine = 4
	for y := range p.Height {
		for x := range p.Width {
			dark := 0
			for k := range fine * fine {
				dx := float64(x) + (float64(k%fine)+.5)/fine - cx
				dy := float64(y) + (float64(k/fine)+.5)/fine - cy
				ring := math.Max(math.Abs(dx*cos+dy*sin), math.Abs(dy*cos-dx*sin)) / m
				if ring < 1.5 || ring > 2.5 && ring < 3.5 {
					dark++
				}
			}
			p.Pix[y*p.Stride+x] -= byte(180 * dark / (fine * fine))
		}
	}
}

func TestFinder(t *testing.T) {
	for _, m := range []float64{2.2, 3, 4.7, 9, 22} {
		for turn := range 7 {
			p := blank(340, 320)
			cx, cy, angle := 160.3+float64(turn)/3, 150.7-float64(turn)/5, float64(turn)*math.Pi/12
			drawFinder(p, cx, cy, m, angle)
			r := New()
			r.Read(p)
			if len(r.finders) != 1 {
				t.Errorf("modules of %v pixels, turned %d times: %d finders", m, turn, len(r.finders))
				continue
			}
			// The row through a square that is turned is longer.
			side := m / math.Max(math.Abs(math.Cos(angle)), math.Abs(math.Sin(angle)))
			f := r.finders[0]
			if math.Hypot(float64(f.x)-cx, float64(f.y)-cy) > .25*m || math.Abs(float64(f.size())-side) > .12*side || f.light {
				t.Errorf("modules of %v pixels, turned %d times: %+v instead of (%.1f, %.1f) with %.1f", m, turn, f, cx, cy, side)
			}
		}
	}
}

// What has the rings in one direction alone is none.
func TestNoFinder(t *testing.T) {
	p := blank(200, 200)
	for y := range p.Height {
		for _, x := range []int{60, 61, 62, 63, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 84, 85, 86, 87} {
			p.Pix[y*p.Stride+x] = 20
		}
	}
	r := New()
	if r.Read(p); len(r.finders) > 0 {
		t.Errorf("bars are taken for %+v", r.finders)
	}
}
