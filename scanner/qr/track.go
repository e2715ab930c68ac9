package qr

import (
	"slices"

	"gatepost/scanner/luma"
)

// A Tracker reads one lane's frames, each knowing what came before. A code is looked for where it was first; a picture in
// which nothing has moved since nothing was found in it is not searched again at once; and where a code cannot be read from one
// frame, what several frames show of it is put together. It is not safe for concurrent use.
//
// It promises the same texts as a Reader, a few frames later where a code comes into view beside another one.
type Tracker struct {
	r      *Reader
	codes  []code // of the last frame
	whole  int    // frames since the whole picture was searched
	coarse []byte
	unread []blurred
}

// blurred is a code that was not read, as the sum of what frames showed of it.
type blurred struct {
	view   view
	n      int
	size   float32
	light  bool
	sum    []float32 // of each module's brightness over its frame's
	frames int
}

const (
	searchEach = 4 // frames with codes: the whole picture is searched in one of them,
	lookEach   = 8 // and in one of so many in which nothing moves
	maxFused   = 6 // frames
	maxBlurred = 4 // codes
)

// NewTracker returns one that has seen nothing yet.
func NewTracker() *Tracker { return &Tracker{r: &Reader{fuses: true}} }

// Panics is as of Reader.
func (t *Tracker) Panics() uint64 { return t.r.Panics() }

// Read returns the texts of the codes in p, as Reader.Read does.
func (t *Tracker) Read(p *luma.Plane) []string {
	t.r.guard(func() { t.look(p) })
	t.codes = append(t.codes[:0], t.r.found...)
	return texts(t.codes)
}

// look finds the codes in p with as little work as it takes.
func (t *Tracker) look(p *luma.Plane) {
	t.r.begin(p)
	still := t.still()
	t.whole++
	switch {
	case len(t.codes) == 0 && still && t.whole < lookEach:
		return
	case len(t.codes) > 0 && t.whole < searchEach && t.follow():
		return
	}
	t.whole = 0
	t.r.forget() // what following has found
	t.r.searchAll()
	t.fuse()
}

// still tells whether nothing has moved since the last call, by the coarsest level that shows a hand.
func (t *Tracker) still() bool {
	i := len(t.r.used) - 1
	for i > 0 && t.r.used[i].w < 60 {
		i--
	}
	if i < 0 {
		return false
	}
	l := &t.r.used[i]
	now := l.pix[:l.w*l.h]
	if i == 0 || len(t.coarse) != len(now) { // a picture so small is read at once
		t.coarse = append(t.coarse[:0], now...)
		return false
	}
	moved := 0
	for k, v := range now {
		if d := int(v) - int(t.coarse[k]); d > stir || d < -stir {
			moved++
		}
	}
	copy(t.coarse, now)
	return moved*500 < len(now)
}

// stir is by how much a pixel changes, of 255, where something moves.
const stir = 6

// follow reads every code again near where it was. It tells whether all of them were.
func (t *Tracker) follow() bool {
	for _, c := range t.codes {
		far := float32(c.n) - 3.5
		var fs [3]finder
		for i, m := range [3]point{{3.5, 3.5}, {far, 3.5}, {3.5, far}} {
			o, u, v := c.view.at(m.x, m.y), c.view.at(m.x+1, m.y), c.view.at(m.x, m.y+1)
			u, v = point{u.x - o.x, u.y - o.y}, point{v.x - o.x, v.y - o.y}
			at, ok := t.r.pattern(o, u, v, strayed, t.r.lens(c.size, c.light))
			if !ok {
				return false
			}
			fs[i] = finderOf(at, u, v, c.light)
		}
		corner, ok := fit(fs[:], [3]int{0, 1, 2})
		if !ok || !t.r.attempt(fs[:], &corner) {
			return false
		}
	}
	return true
}

// finderOf returns the finder at a place whose modules go along u and v: what a row and a column of the picture cut of it.
func finderOf(at, u, v point, light bool) finder {
	cut := func(a, b float32) float32 { return 1 / max(abs(a), abs(b)) }
	det := u.x*v.y - u.y*v.x
	return finder{at.x, at.y, cut(v.y/det, u.y/det), cut(v.x/det, u.x/det), light, 1, false}
}

// strayed is how many modules a code may have moved from one frame to the next.
const strayed = 6

// fuse adds what this frame shows of codes that were not read to what frames before have shown of them, and tries again.
func (t *Tracker) fuse() {
	var next []blurred
	for _, b := range t.r.unread {
		i := slices.IndexFunc(t.unread, func(o blurred) bool {
			return o.n == b.n && o.frames < maxFused && hypot(o.view.at(0, 0), b.view.at(0, 0)) < strayed*b.size
		})
		if i >= 0 {
			for k, v := range t.unread[i].sum {
				b.sum[k] += v
			}
			b.frames += t.unread[i].frames
			if s, ok := t.r.fused(b); ok {
				t.r.found = append(t.r.found, code{s, b.view, b.n, b.size, b.light})
				continue
			}
		}
		if len(next) < maxBlurred {
			next = append(next, b)
		}
	}
	t.unread = next
}

// keep notes the grid of a code that could not be read.
func (r *Reader) keep(v *view, k lens) {
	if len(r.unread) == maxBlurred {
		return
	}
	r.grid.sample(v, r.grid.n, k, 9)
	mean := r.grid.sums[len(r.grid.sums)-1] / float32(len(r.grid.levels))
	b := blurred{*v, r.grid.n, hypot(v.at(0, 0), v.at(1, 0)), k.light, slices.Clone(r.grid.levels), 1}
	for i := range b.sum {
		b.sum[i] *= 128 / max(mean, 1)
	}
	r.unread = append(r.unread, b)
}

// fused reads what several frames showed of a code.
func (r *Reader) fused(b blurred) (symbol, bool) {
	g := &r.grid
	g.n, g.levels = b.n, append(g.levels[:0], b.sum...)
	g.add()
	for _, reach := range []int{4, 2, 7} {
		for _, sharp := range []float32{.15, .25} {
			g.part(reach, sharp)
			if s, ok, _ := r.solve(); ok {
				return s, true
			}
		}
	}
	return symbol{}, false
}
