package qr

import (
	"math"

	"gatepost/scanner/qr/gauss"
)

// A view maps a code's modules, of which (0, 0) is the outer corner at the top left, to points on level 0: a homography.
// Source: R. Hartley and A. Zisserman, Multiple View Geometry, 2nd edition, 2.3 and 4.1.
type view [9]float32

type point struct{ x, y float32 }

// at returns where a point of the code is in the picture.
func (v *view) at(x, y float32) point {
	w := 1 / (v[6]*x + v[7]*y + v[8])
	return point{(v[0]*x + v[1]*y + v[2]) * w, (v[3]*x + v[4]*y + v[5]) * w}
}

// through returns the view of a code of n modules a side with its finders' middles at o, a and b. wa and wb are how much
// farther away a and b are than o, 1 for a code that is not tilted: with them three points make a homography.
func through(o, a, b point, n int, wa, wb float32) view {
	k := 1 / float32(n-7)
	var v view
	for row, p := range [3][3]float32{{o.x, a.x * wa, b.x * wb}, {o.y, a.y * wa, b.y * wb}, {1, wa, wb}} {
		dx, dy := (p[1]-p[0])*k, (p[2]-p[0])*k
		v[3*row], v[3*row+1], v[3*row+2] = dx, dy, p[0]-3.5*(dx+dy)
	}
	return v
}

func hypot(a, b point) float32 { return float32(math.Hypot(float64(a.x-b.x), float64(a.y-b.y))) }

func abs(x float32) float32 { return max(x, -x) }

// A mark is a place of the code that was found in the picture, and how much it counts.
type mark struct {
	u, v   float32
	p      point
	weight float32
}

// least returns the view that is nearest to the marks, by least squares, and old where they do not make one.
func least(marks []mark, old view) view {
	var m [8][9]float64
	var cx, cy, n float64
	for _, k := range marks {
		cx, cy, n = cx+float64(k.p.x), cy+float64(k.p.y), n+1
	}
	cx, cy = cx/n, cy/n
	const unit = 100. // so that all coefficients are of one size
	for _, k := range marks {
		x, y := float64(k.u)/unit, float64(k.v)/unit
		X, Y := (float64(k.p.x)-cx)/unit, (float64(k.p.y)-cy)/unit
		w := float64(k.weight) / math.Pow(float64(old[6]*k.u+old[7]*k.v+old[8]), 2)
		for _, e := range [2][9]float64{{x, y, 1, 0, 0, 0, -X * x, -X * y, X}, {0, 0, 0, x, y, 1, -Y * x, -Y * y, Y}} {
			for i := range 8 {
				for j := range 9 {
					m[i][j] += w * e[i] * e[j]
				}
			}
		}
	}
	h, ok := gauss.Solve(&m)
	if !ok {
		return old
	}
	// Back to modules and pixels: rows of X and Y were moved by the middle and scaled, columns scaled.
	var v view
	h8 := 1.
	row := func(i int, c float64) {
		v[3*i] = float32((h[3*i]*unit + c*h[6]) / unit)
		v[3*i+1] = float32((h[3*i+1]*unit + c*h[7]) / unit)
		v[3*i+2] = float32(h[3*i+2]*unit + c*h8)
	}
	row(0, cx)
	row(1, cy)
	v[6], v[7], v[8] = float32(h[6]/unit), float32(h[7]/unit), 1
	return v
}

// An area is what a code covers on level 0, and the pixels of its modules.
type area struct {
	corners [4]point
	size    float32
}

// cover notes what a code that was read covers, and takes the finders there, but for those that may be of a code within it.
func (r *Reader) cover(v view, n int, size float32) {
	far := float32(n)
	a := area{[4]point{v.at(0, 0), v.at(far, 0), v.at(far, far), v.at(0, far)}, size}
	r.areas = append(r.areas, a)
	for i := range r.finders {
		f := &r.finders[i]
		if from, to := a.row(f.y); f.x >= from && f.x <= to && a.hides(f.size()) {
			f.taken = true
		}
	}
}

// row returns from where to where a row of the picture lies in a, from > to where it does not.
func (a *area) row(y float32) (from, to float32) {
	from, to = math.MaxFloat32, -math.MaxFloat32
	for i, p := range a.corners {
		q := a.corners[(i+1)%4]
		if (p.y <= y) != (q.y <= y) {
			x := p.x + (q.x-p.x)*(y-p.y)/(q.y-p.y)
			from, to = min(from, x), max(to, x)
		}
	}
	return from, to
}

// hides tells whether a finder with modules of m pixels in a is nothing but a's modules.
func (a *area) hides(m float32) bool { return m > a.size/2 }
