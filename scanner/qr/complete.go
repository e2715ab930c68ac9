package qr

import "math"

// Where two finders were found and the third was not, for it is blurred, scratched or in glare, it is looked for where it
// must be by its whole pattern instead of by lines through it.
const (
	maxPairs   = 4
	maxReach   = 14  // modules around the place where a third finder would be without a tilt
	minPattern = .45 // likeness of a third finder's pattern
)

// pairs reads a code of which two finders were found and the third was not.
func (r *Reader) pairs(fs []finder) {
	tried := 0
	for i := range fs {
		for j := range fs[:i] {
			a, b := fs[j], fs[i]
			m := (a.size() + b.size()) / 2
			far := hypot(a.point(), b.point())
			if a.seen+b.seen < 3 || a.light != b.light || a.size() > 1.8*b.size() || b.size() > 1.8*a.size() || far < 12*m || far > 180*m {
				continue
			}
			if tried++; tried > maxPairs {
				return
			}
			if r.third(a, b) {
				return
			}
		}
	}
}

// third tries the six places at which the third finder can be.
func (r *Reader) third(a, b finder) bool {
	x, y := b.x-a.x, b.y-a.y
	r.three = [3]finder{a, b}
	for _, p := range [6]struct {
		at     point
		corner [3]int
		u, v   point // the code's sides
	}{
		{point{a.x - y, a.y + x}, [3]int{0, 1, 2}, point{x, y}, point{-y, x}},
		{point{a.x + y, a.y - x}, [3]int{0, 1, 2}, point{x, y}, point{y, -x}},
		{point{b.x - y, b.y + x}, [3]int{1, 0, 2}, point{x, y}, point{-y, x}},
		{point{b.x + y, b.y - x}, [3]int{1, 0, 2}, point{x, y}, point{y, -x}},
		{point{(a.x + b.x - y) / 2, (a.y + b.y + x) / 2}, [3]int{2, 0, 1}, point{x + y, y - x}, point{x - y, x + y}},
		{point{(a.x + b.x + y) / 2, (a.y + b.y - x) / 2}, [3]int{2, 0, 1}, point{x + y, y - x}, point{x - y, x + y}},
	} {
		long := float32(math.Hypot(float64(p.u.x), float64(p.u.y)))
		u, v := point{p.u.x / long, p.u.y / long}, point{p.v.x / long, p.v.y / long}
		m := (a.size() + b.size()) / 2 * max(abs(u.x), abs(u.y)) // the row cuts a turned finder in more
		at, ok := r.pattern(p.at, point{u.x * m, u.y * m}, point{v.x * m, v.y * m}, .16*long/m, r.lens(m, a.light))
		if !ok {
			continue
		}
		r.three[2] = finder{at.x, at.y, (a.wide + b.wide) / 2, (a.high + b.high) / 2, a.light, 1, false}
		if r.corner, ok = fit(r.three[:], p.corner); ok && r.attempt(r.three[:], &r.corner) {
			return true
		}
	}
	return false
}

// pattern looks for a finder around a point, as far as reach modules off, whose modules go along u and v.
func (r *Reader) pattern(o, u, v point, reach float32, k lens) (p point, ok bool) {
	steps := 2 * min(int(max(reach, 3)), maxReach)
	side := r.look(k, o, u, v, steps+6)
	best, x, y := float32(minPattern), -1, 0
	for j := range 2*steps + 1 {
		for i := range 2*steps + 1 {
			p := r.patch[j*side+i:]
			// A cheap look first: the middle is darker than the light ring at each side.
			if c := p[6*side+6]; c >= p[6*side+2] || c >= p[6*side+10] || c >= p[2*side+6] || c >= p[10*side+6] {
				continue
			}
			if s := alike(p, 2, side, 7); s > best {
				best, x, y = s, i, j
			}
		}
	}
	a, b := float32(x-steps)/2, float32(y-steps)/2
	return point{o.x + a*u.x + b*v.x, o.y + a*u.y + b*v.y}, x >= 0
}
