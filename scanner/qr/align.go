package qr

import (
	"math"

	"github.com/makiuchi-d/gozxing/qrcode/decoder"
)

// refine moves v onto the code's alignment patterns (6.3.6): first onto the one at the bottom right, then onto all of them.
func (r *Reader) refine(v view, n int, k lens) view {
	if n < 25 {
		return v
	}
	far := float32(n) - 6.5
	r.marks = r.marks[:0]
	for _, m := range [3]point{{3.5, 3.5}, {float32(n) - 3.5, 3.5}, {3.5, float32(n) - 3.5}} {
		r.marks = append(r.marks, mark{m.x, m.y, v.at(m.x, m.y), 2})
	}
	if p, ok := r.align(&v, far, far, 2+float32(n)/20, k); ok {
		v = least(append(r.marks, mark{far, far, p, 1}), v)
	}
	version, err := decoder.Version_GetVersionForNumber((n - 17) / 4)
	if n < 45 || err != nil {
		return v
	}
	at := version.GetAlignmentPatternCenters()
	last := at[len(at)-1]
	for _, j := range at {
		for _, i := range at {
			if i == 6 && (j == 6 || j == last) || j == 6 && i == last { // a finder is there
				continue
			}
			if p, ok := r.align(&v, float32(i)+.5, float32(j)+.5, 1, k); ok {
				r.marks = append(r.marks, mark{float32(i) + .5, float32(j) + .5, p, 1})
			}
		}
	}
	if len(r.marks) >= 5 {
		v = least(r.marks, v)
	}
	return v
}

const (
	minAlignment = .6  // likeness of an alignment pattern
	afar         = .02 // is taken off it for a place that is far off, times the square of the modules over the reach
)

// align looks for an alignment pattern around where v has (u, w), as far as reach modules off.
func (r *Reader) align(v *view, u, w, reach float32, k lens) (p point, ok bool) {
	steps := int(2*reach + .5) // half modules each way
	o, across, down := v.at(u, w), v.at(u+1, w), v.at(u, w+1)
	across, down = point{across.x - o.x, across.y - o.y}, point{down.x - o.x, down.y - o.y}
	side := r.look(k, o, across, down, steps+4)
	wide := 2*steps + 1
	r.scores = grow(r.scores, wide*wide)
	best, at := float32(minAlignment), -1
	for j := range wide {
		for i := range wide {
			a, b := float32(i-steps)/2, float32(j-steps)/2
			s := alike(r.patch[j*side+i:], 2, side, 5) - afar*(a*a+b*b)/reach
			if r.scores[j*wide+i] = s; s > best {
				best, at = s, j*wide+i
			}
		}
	}
	if at < 0 {
		return p, false
	}
	i, j := at%wide, at/wide
	a, b := float32(i-steps), float32(j-steps)
	if i > 0 && i < wide-1 {
		a += peak(r.scores[at-1], best, r.scores[at+1])
	}
	if j > 0 && j < wide-1 {
		b += peak(r.scores[at-wide], best, r.scores[at+wide])
	}
	return point{o.x + (a*across.x+b*down.x)/2, o.y + (a*across.y+b*down.y)/2}, true
}

// look fills r.patch with points half a module apart around o, reach of them to each side, and returns how many are in a row.
// across and down are a module's way.
func (r *Reader) look(k lens, o, across, down point, reach int) (side int) {
	side = 2*reach + 1
	r.patch = grow(r.patch, side*side)
	for j := range side {
		b := float32(j-reach) / 2
		for i := range side {
			a := float32(i-reach) / 2
			r.patch[j*side+i] = k.at(o.x+a*across.x+b*down.x, o.y+a*across.y+b*down.y)
		}
	}
	return side
}

// peak returns where between -.5 and .5 a parabola through three values at -1, 0 and 1 has its top.
func peak(a, b, c float32) float32 {
	if d := a - 2*b + c; d < 0 {
		return min(max((a-c)/(2*d), -.5), .5)
	}
	return 0
}

// alike returns how much n x n modules look like a finder, where n is 7, or an alignment pattern, where n is 5: all dark but for
// the second ring from without. It is 1 for one without a fault, whatever the contrast. Modules are step points apart, and
// rows of points stride.
func alike(p []float32, step, stride, n int) float32 {
	var sum, bright, squares float32
	m := n / 2
	for j := range n {
		row := p[j*step*stride:]
		for i := range n {
			g := row[i*step]
			sum += g
			squares += g * g
			if max(i-m, m-i, j-m, m-j) == m-1 {
				bright += g
			}
		}
	}
	all, light := float32(n*n), float32(8*(m-1))
	dark := all - light
	spread := squares/all - sum*sum/(all*all)
	return (bright/light - (sum-bright)/dark) * float32(math.Sqrt(float64(light*dark/max(spread, 1)))) / all
}
