package qr

import (
	"cmp"
	"math"
	"slices"
)

// A corner is three finders that may be those of one code: its top left, top right and bottom left, or for a mirrored code
// with the last two exchanged.
type corner struct {
	at   [3]int // indices of the finders
	odd  float32
	size float32 // pixels a module

	a, b    [3]point   // a module's way along the two sides, at each finder, in pixels
	modules [3]point   // its length
	sides   [2]float32 // modules between the finders
}

const (
	bestFinders = 24
	maxCorners  = 24 // that are looked at on a level
	minFinder   = .3 // likeness of a finder's pattern
)

// group returns the corners that look best, best first.
func group(fs []finder, out []corner) []corner {
	out = out[:0]
	for i := range fs {
		for j := range fs[:i] {
			for k := range fs[:j] {
				if fs[i].light != fs[j].light || fs[i].light != fs[k].light {
					continue
				}
				for _, at := range [][3]int{{i, j, k}, {j, k, i}, {k, i, j}} {
					if c, ok := fit(fs, at); ok {
						out = append(out, c)
					}
				}
			}
		}
	}
	slices.SortStableFunc(out, func(a, b corner) int { return cmp.Compare(a.odd, b.odd) })
	return out[:min(len(out), maxCorners)]
}

// fit tells how well three finders are the corners of a square that may be tilted, the first one where the sides meet.
func fit(fs []finder, at [3]int) (corner, bool) {
	o, a, b := fs[at[0]], fs[at[1]], fs[at[2]]
	small, large := min(o.size(), a.size(), b.size()), max(o.size(), a.size(), b.size())
	ax, ay, bx, by := a.x-o.x, a.y-o.y, b.x-o.x, b.y-o.y
	la, lb := ax*ax+ay*ay, bx*bx+by*by
	least, most := 64*small*small, 200*200*large*large
	if large > 3*small || la < least || lb < least || la > most || lb > most || la > 9*lb || lb > 9*la {
		return corner{}, false
	}
	cross, dot := ax*by-ay*bx, ax*bx+ay*by
	if 4*cross*cross < la*lb { // under 30 degrees
		return corner{}, false
	}
	if cross < 0 {
		at[1], at[2] = at[2], at[1]
	}
	c := corner{at: at}
	c.measure(fs)
	cosine := float64(dot) / math.Sqrt(float64(la)*float64(lb))
	odd := math.Abs(cosine) + .8*math.Abs(math.Log(float64(c.sides[0]/c.sides[1])))
	if odd > 1.5 {
		return corner{}, false
	}
	rows := float64(o.seen+a.seen+b.seen) / 3
	c.odd = float32(odd - .02*math.Min(rows, 20))
	return c, true
}

// measure works out the modules' size along both sides at each finder: the picture's row and column cut it there.
func (c *corner) measure(fs []finder) {
	o, a, b := fs[c.at[0]], fs[c.at[1]], fs[c.at[2]]
	la, lb := hypot(a.point(), o.point()), hypot(b.point(), o.point())
	da, db := point{(a.x - o.x) / la, (a.y - o.y) / la}, point{(b.x - o.x) / lb, (b.y - o.y) / lb}
	det := da.x*db.y - da.y*db.x
	for i, f := range [3]finder{o, a, b} {
		// f.wide along the row is so much of da and of db together, and f.high along the column.
		p, q := f.wide*db.y/det, f.wide*da.y/det
		r, s := f.high*db.x/det, f.high*da.x/det
		u, v := abs(p), abs(s)
		if abs(r)*abs(q) > u*v {
			u, v = abs(r), abs(q)
		}
		c.a[i], c.b[i] = point{da.x * u, da.y * u}, point{db.x * v, db.y * v}
		c.modules[i] = point{u, v}
	}
	c.sides[0] = 2 * la / (c.modules[0].x + c.modules[1].x)
	c.sides[1] = 2 * lb / (c.modules[0].y + c.modules[2].y)
	c.size = 0
	for _, m := range c.modules {
		c.size += (m.x + m.y) / 6
	}
}

// framed tells whether the three finders look like finders in the directions that they give each other.
func (c *corner) framed(fs []finder, k lens) bool {
	for i, at := range c.at {
		f, a, b := fs[at], c.a[i], c.b[i]
		var p [7 * 7]float32
		for j := range p {
			u, v := float32(j%7-3), float32(j/7-3)
			p[j] = k.at(f.x+u*a.x+v*b.x, f.y+u*a.y+v*b.y)
		}
		if alike(p[:], 1, 7, 7) < minFinder {
			return false
		}
	}
	return true
}
