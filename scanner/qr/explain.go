package qr

import "gatepost/scanner/luma"

// An Explanation is what the stages saw of a picture, for whoever wonders why a code is not read. Places are in pixels of the
// picture.
type Explanation struct {
	Finders []Spot
	Codes   []Attempt
	Texts   []string // as of Read
}

// A Spot is what looks like a finder.
type Spot struct {
	X, Y  float32
	Size  float32 // of a module in the picture's rows and columns
	Light bool    // light on dark
	Rows  int     // on which it was seen
}

// An Attempt is a code that was looked at, with one finder in each of three corners.
type Attempt struct {
	Corners [4][2]float32 // of the modules, from its top left on
	Size    int           // modules a side
	Modules [][2]float32  // their middles, row by row
	Dark    []bool        // what they were taken for last
	Read    bool
}

// Explain reads p as Read does and tells what it saw. It costs more.
func (r *Reader) Explain(p *luma.Plane) Explanation {
	e := new(Explanation)
	r.trace = e
	e.Texts = r.Read(p)
	r.trace = nil
	unit := float32(1)
	if r.small {
		unit = .5
	}
	for _, f := range r.finders {
		e.Finders = append(e.Finders, Spot{f.x * unit, f.y * unit, f.size() * unit, f.light, f.seen})
	}
	for k := range e.Codes {
		a := &e.Codes[k]
		for i := range a.Corners {
			a.Corners[i] = [2]float32{a.Corners[i][0] * unit, a.Corners[i][1] * unit}
		}
		for i, m := range a.Modules {
			a.Modules[i] = [2]float32{m[0] * unit, m[1] * unit}
		}
	}
	return *e
}

// note adds an attempt, of which the grid is what its modules were taken for last.
func (e *Explanation) note(v *view, g *grid, read bool) {
	n := float32(g.n)
	a := Attempt{Size: g.n, Dark: append([]bool(nil), g.dark...), Read: read}
	for i, c := range [4]point{{0, 0}, {n, 0}, {n, n}, {0, n}} {
		p := v.at(c.x, c.y)
		a.Corners[i] = [2]float32{p.x, p.y}
	}
	for y := range g.n {
		for x := range g.n {
			p := v.at(float32(x)+.5, float32(y)+.5)
			a.Modules = append(a.Modules, [2]float32{p.x, p.y})
		}
	}
	e.Codes = append(e.Codes, a)
}
