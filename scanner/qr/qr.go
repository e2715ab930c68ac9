// Package qr reads the QR codes in a plane of brightness: every code in view, turned any way, mirrored, light on dark.
//
// A picture goes through stages, a file each: pyramid.go makes it smaller step by step and finds thresholds; finder.go finds
// the squares in a code's corners, and group.go puts three together, or complete.go two and where the third must be; timing.go
// tells size and tilt by the timing patterns, align.go makes that exact by the alignment patterns, and geometry.go has what both
// calculate with; sample.go reads the modules; decode.go corrects them, by gozxing's decoder; text.go makes text of them. track.go
// does all this with what earlier frames showed, and explain.go tells what was seen.
//
// The text of a code is UTF-8: its bytes are read in the charset that the code declares (ECI), else as UTF-8 if they
// are valid in it, else as Shift-JIS if valid, else as ISO 8859-1, all segments in order. A code whose error correction
// does not come out even, or whose segments are malformed, is no code: nothing is guessed.
//
// It does not promise to read Micro QR or the first model of QR, nor a code with less than two of its finders in view. A Reader
// remembers nothing of an earlier picture.
package qr

import (
	"slices"

	"gatepost/scanner/luma"
)

// A Reader reads one plane after the other. It is not safe for concurrent use: a lane has its own.
type Reader struct {
	panics uint64
	tries  int          // codes that were sampled in this picture
	trace  *Explanation // nil but for Explain

	levels, used []level
	small        bool // the picture was doubled
	doubled      []byte
	row          []uint64
	edges        []int32
	finders      []finder
	found        []code // in this picture
	areas        []area // where those are
	corners      []corner
	three        [3]finder // two of them and one that was not found by itself,
	corner       corner    // and their corner
	top, left    timing
	sizes        []size
	marks        []mark
	patch        []float32
	scores       []float32
	grid         grid
	fuses        bool // unread codes are kept
	unread       []blurred
}

// New returns a Reader.
func New() *Reader { return new(Reader) }

// Panics returns how many times the code below this package panicked. Such a frame holds no code.
func (r *Reader) Panics() uint64 { return r.panics }

// Read returns the texts of the codes in p, each once, none of them empty. A text that several codes share out
// (structured append) is joined where all of them are in view; otherwise each code's piece is a text.
func (r *Reader) Read(p *luma.Plane) []string {
	r.guard(func() {
		r.begin(p)
		r.searchAll()
	})
	return texts(r.found)
}

// guard calls do, and takes what panics in it for a picture without a code: a plane may lie about its size.
func (r *Reader) guard(do func()) {
	defer func() {
		if recover() != nil {
			r.panics++
			r.found = r.found[:0]
		}
	}()
	do()
}

// begin makes r ready for another picture.
func (r *Reader) begin(p *luma.Plane) {
	r.forget()
	r.used = r.pyramid(p)
}

// forget drops what was found in the picture.
func (r *Reader) forget() {
	r.found, r.finders, r.areas, r.unread, r.tries = r.found[:0], r.finders[:0], r.areas[:0], r.unread[:0], 0
}

// searchAll finds the codes in the picture. It begins on the coarsest level: what is read there need not be looked at on a finer
// one, which takes longer.
func (r *Reader) searchAll() {
	for i := len(r.used) - 1; i >= 0; i-- {
		before := len(r.finders)
		r.search(&r.used[i], float32(int(1)<<i))
		if len(r.finders) == before {
			continue
		}
		fs := r.best(bestFinders)
		r.corners = group(fs, r.corners)
		for i := range r.corners {
			if c := &r.corners[i]; !fs[c.at[0]].taken && !fs[c.at[1]].taken && !fs[c.at[2]].taken {
				r.attempt(fs, c)
			}
		}
	}
	if len(r.found) == 0 {
		r.pairs(r.best(bestFinders))
	}
}

// attempt reads the code at a corner, if there is one.
func (r *Reader) attempt(fs []finder, c *corner) bool {
	light := fs[c.at[0]].light
	return r.locate(fs, c, func(v view, n int) bool {
		s, ok := r.decode(&v, n, r.lens(c.size, light))
		if ok {
			r.found = append(r.found, code{s, v, n, c.size, light})
			r.cover(v, n, c.size)
		}
		return ok
	})
}

// A code is one that was read, and how it lies.
type code struct {
	symbol
	view  view
	n     int     // modules a side
	size  float32 // pixels a module
	light bool    // light on dark
}

// maxTries bounds how many codes are sampled in a picture, since a poster may be full of what looks like one.
const maxTries = 100

// ways are how a grid's modules are parted into dark and light, the likeliest first.
var ways = [...]struct {
	points, reach int
	sharp         float32
	coarse        bool // on the next level, where moiré and noise are weaker
}{
	{1, 4, .15, false},
	{9, 4, .15, false},
	{9, 2, .15, false},
	{9, 7, .15, false},
	{9, 4, 0, false},
	{9, 4, .25, false},
	{9, 2, 0, false},
	{9, 7, .25, false},
	{9, 4, .15, true},
	{9, 4, .3, true},
}

// moves are by how many modules the fourth corner of a code without alignment patterns is moved, the nearest first.
var moves = [...]point{
	{.5, 0},
	{-.5, 0},
	{0, .5},
	{0, -.5},
	{.5, .5},
	{-.5, -.5},
	{.5, -.5},
	{-.5, .5},
	{1, 0},
	{-1, 0},
	{0, 1},
	{0, -1},
	{1, 1},
	{-1, -1},
	{1, -1},
	{-1, 1},
}

// decode reads the code of n modules a side that lies as v says, which it makes more exact.
func (r *Reader) decode(v *view, n int, k lens) (s symbol, ok bool) {
	if r.tries++; r.tries > maxTries {
		return s, false
	}
	*v = r.refine(*v, n, k)
	if r.trace != nil {
		defer func() { r.trace.note(v, &r.grid, ok) }()
	}
	promising := false
	for i, way := range ways {
		if i == 0 || way.points != ways[i-1].points || way.coarse != ways[i-1].coarse {
			from := k
			if way.coarse {
				from = r.coarser(k)
			}
			r.grid.sample(v, n, from, way.points)
		}
		r.grid.part(way.reach, way.sharp)
		var likely bool
		if s, ok, likely = r.solve(); ok {
			return s, true
		}
		promising = promising || likely
	}
	if promising && n == 21 {
		s, ok = r.shift(*v, n, k)
	}
	if promising && !ok && r.fuses {
		r.keep(v, k)
	}
	return s, ok
}

// shift reads a code that has no alignment pattern, so that its fourth corner is where the others say, or near.
func (r *Reader) shift(v view, n int, k lens) (symbol, bool) {
	far := float32(n) - 3.5
	var marks [4]mark
	for i, m := range [4]point{{3.5, 3.5}, {far, 3.5}, {3.5, far}, {far, far}} {
		marks[i] = mark{m.x, m.y, v.at(m.x, m.y), 1}
	}
	for _, move := range moves {
		marks[3].p = v.at(far+move.x, far+move.y)
		moved := least(marks[:], v)
		r.grid.sample(&moved, n, k, 9)
		r.grid.part(4, .15)
		if s, ok, _ := r.solve(); ok {
			return s, true
		}
	}
	return symbol{}, false
}

// solve decodes the grid as it is parted. likely tells that it is a code all the same.
func (r *Reader) solve() (s symbol, ok, likely bool) {
	m := r.grid.matrix()
	if m == nil {
		return s, false, false
	}
	s, err := r.correct(m)
	return s, err == nil, true
}

func texts(found []code) []string {
	var all []string
	for _, s := range found {
		parts := s.parts
		if whole := s.whole(found); whole != nil {
			parts = whole
		}
		if t := text(parts); t != "" && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// whole returns the parts of all codes of s's set in their order, or nil where one is missing or s stands alone.
func (s symbol) whole(found []code) []part {
	var all []part
	for index := range s.set.count {
		want := set{index, s.set.count, s.set.parity}
		i := slices.IndexFunc(found, func(o code) bool { return o.set == want })
		if i < 0 {
			return nil
		}
		all = join(all, found[i].parts...)
	}
	return all
}
