package qr

import "math"

// timing is the line from one finder to another along the timing pattern between them (6.3.5), as its brightness. It tells how
// many modules a code has and how it is tilted.
type timing [512]float32

// tilts are how much farther away one end of a line may be than it seems.
var tilts = func() (all [31]float32) {
	for i := range all {
		all[i] = float32(math.Exp(float64(i-len(all)/2) * .02))
	}
	return all
}()

// unlikely is taken off a score for each step of tilts: few modules fit many of them.
const unlikely = .008

// read reads the line from p to q.
func (t *timing) read(k lens, p, q point) {
	dx, dy := (q.x-p.x)/float32(len(t)), (q.y-p.y)/float32(len(t))
	x, y := p.x+dx/2, p.y+dy/2
	for i := range t {
		t[i] = k.at(x, y)
		x, y = x+dx, y+dy
	}
}

// fit returns how well the line shows n-16 modules that are dark and light by turns, 1 for perfectly, and at which tilt near
// about that is.
func (t *timing) fit(n int, about float32) (score, tilt float32) {
	score = -1
	k := 1 / float32(n-7)
	for i, w := range tilts {
		w *= about
		var sum, all, p, q float32 // p and q are the two modules before
		for u := 7; u <= n-8; u++ {
			a := (float32(u) - 3) * k
			v := t[int(float32(len(t))*a*w/(1-a+a*w))]
			if u >= 9 {
				d := 2*q - p - v // positive where module u-1 is lighter than its neighbours
				all += abs(d)
				if u%2 == 0 {
					sum += d
				} else {
					sum -= d
				}
			}
			p, q = q, v
		}
		off := float32(max(i-len(tilts)/2, len(tilts)/2-i))
		if s := sum/(all+1) - unlikely*off; s > score {
			score, tilt = s, w
		}
	}
	return score, tilt
}

const (
	sureTiming = 1.7 // of both lines together: other sizes are not tried
	minTiming  = .5
)

// A fitting is how a code may lie.
type size struct {
	n             int // modules a side
	wa, wb, score float32
}

// locate calls try with the most likely views of a code at a corner, best first, until it says that one is good.
func (r *Reader) locate(fs []finder, c *corner, try func(v view, n int) bool) bool {
	k := r.lens(c.size, fs[c.at[0]].light)
	if !c.framed(fs, k) {
		return false
	}
	o, a, b := fs[c.at[0]].point(), fs[c.at[1]].point(), fs[c.at[2]].point()
	// Row and column 6 run three modules beside the lines between the middles.
	beside := func(p, way point) point { return point{p.x + 3*way.x, p.y + 3*way.y} }
	r.top.read(k, beside(o, c.b[0]), beside(a, c.b[1]))
	r.left.read(k, beside(o, c.a[0]), beside(b, c.a[2]))
	all := r.sizesAt(c)
	for range min(len(all), 2) {
		best := 0
		for i, g := range all {
			if g.score > all[best].score {
				best = i
			}
		}
		g := all[best]
		if g.score < minTiming {
			break
		}
		if try(through(o, a, b, g.n, g.wa, g.wb), g.n) {
			return true
		}
		all[best].score = -1
	}
	return false
}

// sizesAt scores the sizes that a code at a corner may have, the nearest ones first.
func (r *Reader) sizesAt(c *corner) []size {
	// How far away the ends are shows in their modules.
	wa := float32(math.Sqrt(float64(c.modules[0].x / c.modules[1].x)))
	wb := float32(math.Sqrt(float64(c.modules[0].y / c.modules[2].y)))
	near := int(math.Round(float64((c.sides[0]+c.sides[1])/2+7-17)/4))*4 + 17
	r.sizes = r.sizes[:0]
	for _, d := range [9]int{0, 4, -4, 8, -8, 12, -12, 16, -16} {
		n := near + d
		if n < 21 || n > 177 || d*d > n*n/36+36 {
			continue
		}
		top, a := r.top.fit(n, wa)
		left, b := r.left.fit(n, wb)
		r.sizes = append(r.sizes, size{n, a, b, top + left})
		if top+left > sureTiming {
			break
		}
	}
	return r.sizes
}
