package qr

import (
	"math/bits"
	"slices"
)

// A finder is the middle of what looks like a finder pattern: rings of 1:1:3:1:1 in two directions (ISO/IEC 18004, 6.3.3).
type finder struct {
	x, y  float32 // on level 0
	wide  float32 // pixels a module along the picture's row through it, on level 0,
	high  float32 // and along the column
	light bool    // the code is light on dark
	seen  int     // rows on which it was found
	taken bool    // by a code that was read
}

const (
	maxFinders = 200 // beyond this many a frame is a pattern, and its search ends
	single     = .75 // how many modules a ring may be off,
	middle     = 1.2 // and the middle of three
	blunt      = .4  // pixels that are forgiven beside
)

// search adds the finders of one level, whose pixels are scale pixels of level 0.
func (r *Reader) search(l *level, scale float32) {
	r.row = grow(r.row, (l.w+63)/64)
	r.edges = grow(r.edges, l.w+8)
	step := 4
	if r.small {
		step = 2
	}
	if scale > 1 {
		step = 2
	}
	for y := step / 2; y < l.h && len(r.finders) < maxFinders; y += step {
		l.pack(y, r.row)
		n := transitions(r.row, l.w, r.edges)
		for i := 0; i+5 < n; i++ {
			e := (*[6]int32)(r.edges[i:])
			c := e[3] - e[2]
			if c < minMiddle || c <= e[2]-e[1] || c <= e[4]-e[3] || c <= e[1]-e[0] || c <= e[5]-e[4] {
				continue
			}
			whole := e[5] - e[0]
			if 7*c < 2*whole-9 || 7*c > 4*whole+9 || 28*max(e[1]-e[0], e[2]-e[1], e[4]-e[3], e[5]-e[4]) > 7*whole+39 {
				continue // rings would say so too, and takes longer
			}
			if r.known(float32(e[0])*scale, float32(e[5])*scale, (float32(y)+.5)*scale) {
				continue
			}
			if x, m, ok := l.rings(y, e); ok {
				r.check(l, x, y, m, i%2 == 1, scale)
			}
		}
	}
}

// known tells whether what may be a finder in a row of level 0 lies in a code that was read.
func (r *Reader) known(from, to, y float32) bool {
	for i := range r.areas {
		a := &r.areas[i]
		if !a.hides((to - from) / 7) {
			continue
		}
		if left, right := a.row(y); from >= left && to <= right {
			return true
		}
	}
	return false
}

// minMiddle is how many pixels the middle of a finder has at least.
const minMiddle = 4

// transitions writes where the bits of a row change and returns how many those are, the row's end with them. The run before
// the first is light.
func transitions(row []uint64, width int, to []int32) int {
	n := 0
	var carry uint64
	for i, w := range row {
		e := w ^ (w<<1 | carry)
		carry = w >> 63
		for ; e != 0; e &= e - 1 {
			to[n] = int32(i*64 + bits.TrailingZeros64(e))
			n++
		}
	}
	if n > 0 && to[n-1] >= int32(width) {
		n--
	}
	to[n] = int32(width)
	return n + 1
}

// rings tells whether five runs of row y are those of a finder: it measures their ends between the pixels.
func (l *level) rings(y int, e *[6]int32) (x, m float32, ok bool) {
	var at [6]float32
	row := l.pix[y*l.stride:][:l.w]
	limits := l.threshold[min(y/8, l.bh-1)*l.bw:][:l.bw]
	for i, e := range e {
		at[i] = float32(e)
		if e == 0 || int(e) == l.w {
			continue
		}
		a, b, t := int(row[e-1]), int(row[e]), int(limits[min(int(e)/8, l.bw-1)])
		if f := float32(2*(t-a)+1) / float32(2*(b-a)); f >= 0 && f <= 1 {
			at[i] += f - .5
		}
	}
	m = (at[5] - at[0]) / 7
	ok = near(at[1]-at[0], m, single*m) && near(at[2]-at[1], m, single*m) && near(at[3]-at[2], 3*m, middle*m) &&
		near(at[4]-at[3], m, single*m) && near(at[5]-at[4], m, single*m)
	return (at[2] + at[3]) / 2, m, ok
}

func near(a, b, by float32) bool { return a-b < by+blunt && b-a < by+blunt }

// size returns the pixels a module.
func (f finder) size() float32 { return (f.wide + f.high) / 2 }

func (f finder) point() point { return point{f.x, f.y} }

// check looks at a finder's other direction, and at the first one through the middle that this gives.
func (r *Reader) check(l *level, x float32, y int, m float32, light bool, scale float32) {
	for i := range r.finders {
		f := &r.finders[i]
		if f.light == light && f.seen > 2 && near(f.x, x*scale, 1.5*f.size()) && near(f.y, (float32(y)+.5)*scale, 1.5*f.size()) {
			f.seen++
			return
		}
	}
	t, ok := l.contrast(x, y, m, light)
	if !ok {
		return
	}
	dy, mv, ok := l.cross(int(x), y, 0, 1, m, t, light)
	if !ok || mv > 2.5*m || m > 2.5*mv {
		return
	}
	cy := float32(y) + .5 + dy
	dx, mh, ok := l.cross(int(x), int(cy), 1, 0, m, t, light)
	if !ok || mv > 2.5*mh || mh > 2.5*mv {
		return
	}
	// On the diagonals the same rings are seen, except that a tilt stretches one and shortens the other.
	for _, d := range [2]int{1, -1} {
		if _, _, ok := l.cross(int(float32(int(x))+.5+dx), int(cy), 1, d, max(mv, mh), t, light); !ok {
			return
		}
	}
	r.add(finder{(float32(int(x)) + .5 + dx) * scale, cy * scale, mh * scale, mv * scale, light, 1, false})
}

// contrast returns the brightness between the middle of a finder at (x, y) and its light ring.
func (l *level) contrast(x float32, y int, m float32, light bool) (t float32, ok bool) {
	mean := func(x float32) (s float32) {
		n := 0
		for yy := max(0, y-1); yy <= min(l.h-1, y+1); yy++ {
			for xx := max(0, int(x)-1); xx <= min(l.w-1, int(x)+1); xx++ {
				s += float32(l.pix[yy*l.stride+xx])
				n++
			}
		}
		return s / float32(n)
	}
	row := l.pix[y*l.stride:][:l.w]
	pixel := func(x float32) float32 { return float32(row[min(max(int(x), 0), l.w-1)]) }
	dark, bright := mean(x), (pixel(x-2*m)+pixel(x+2*m))/2
	if light {
		return (dark + bright) / 2, dark-bright >= minContrast
	}
	return (dark + bright) / 2, bright-dark >= minContrast
}

// minContrast is between dark and light modules, of 255.
const minContrast = 4

// cross measures the rings along one direction both ways: how far their middle is off, and the pixels of a module.
func (l *level) cross(x, y, dx, dy int, m, t float32, light bool) (off, size float32, ok bool) {
	if x < 0 || y < 0 || x >= l.w || y >= l.h {
		return 0, 0, false
	}
	a, ok := l.arm(x, y, -dx, -dy, m, t, light)
	if !ok {
		return 0, 0, false
	}
	b, ok := l.arm(x, y, dx, dy, m, t, light)
	if !ok {
		return 0, 0, false
	}
	size = (a[2] + b[2]) / 7
	ok = near(a[0]+b[0], 3*size, middle*size)
	for _, arm := range [][3]float32{a, b} {
		ok = ok && near(arm[1]-arm[0], size, single*size) && near(arm[2]-arm[1], size, single*size)
	}
	return (b[0] - a[0] + b[1] - a[1] + b[2] - a[2]) / 6, size, ok
}

// arm walks from a pixel of the middle outwards and returns how far its middle is from the ends of the middle, of the ring and
// of the outer ring, for modules of about m pixels. Each step is the mean of some pixels across.
func (l *level) arm(x, y, dx, dy int, m, t float32, light bool) (ends [3]float32, ok bool) {
	wide := int(.4 * m)
	room := min(l.room(x, dx, l.w, wide), l.room(y, dy, l.h, wide)) // steps to the picture's edge
	if room < 0 {
		return ends, false
	}
	limit := int(4.8*m) + 2
	at, step, across := y*l.stride+x, dy*l.stride+dx, dx*l.stride-dy
	sum := t * float32(2*wide+1)
	before, inside := float32(0), 0
	for i := 0; i <= limit; i++ {
		if i > room {
			if inside == 2 { // the picture's edge cuts the outer ring
				ends[2] = float32(i) - .5
			}
			return ends, inside == 2
		}
		s := 0
		for k := at - wide*across; k != at+(wide+1)*across; k += across {
			s += int(l.pix[k])
		}
		at += step
		v := float32(s) - sum
		if light {
			v = -v
		}
		if dark := v <= 0; dark != (inside%2 == 0) {
			if i == 0 {
				return ends, false
			}
			ends[inside] = float32(i) - v/(v-before)
			if inside++; inside == 3 {
				return ends, true
			}
			limit = i + int(2.6*m) + 2
		}
		before = v
	}
	return ends, false
}

// room returns how many steps of d fit between a place and the edge, if wide pixels fit beside it.
func (l *level) room(at, d, size, wide int) int {
	if at < wide || at >= size-wide {
		return -1
	}
	switch d {
	case 1:
		return size - 1 - wide - at
	case -1:
		return at - wide
	}
	return size
}

// add keeps a finder, once.
func (r *Reader) add(n finder) {
	for i := range r.finders {
		f := &r.finders[i]
		reach := min(f.size(), n.size()) * 1.5
		if f.light == n.light && near(f.x, n.x, reach) && near(f.y, n.y, reach) && f.size() < 1.7*n.size() && n.size() < 1.7*f.size() {
			k := float32(f.seen)
			f.x, f.y, f.wide, f.high = (f.x*k+n.x)/(k+1), (f.y*k+n.y)/(k+1), (f.wide*k+n.wide)/(k+1), (f.high*k+n.high)/(k+1)
			f.seen++
			return
		}
	}
	if len(r.finders) < maxFinders {
		r.finders = append(r.finders, n)
	}
}

// best sorts the finders by how often they were seen and returns the first of them.
func (r *Reader) best(n int) []finder {
	slices.SortStableFunc(r.finders, func(a, b finder) int { return b.seen - a.seen })
	return r.finders[:min(len(r.finders), n)]
}
