package qr

import (
	"math/bits"

	"github.com/makiuchi-d/gozxing"
)

// A grid is a code's modules: first their brightness, then what they are.
type grid struct {
	n      int       // modules a side
	levels []float32 // brightness, rows from the top down
	sums   []float32 // of all levels above and to the left: (n+1) x (n+1)
	dark   []bool
}

// spread are the points of a module that are read when its middle is not enough, in modules around it.
var spread = [9]point{{}, {-.22, 0}, {.22, 0}, {0, -.22}, {0, .22}, {-.22, -.22}, {.22, .22}, {-.22, .22}, {.22, -.22}}

// sample reads the brightness of every module, at one point or at nine.
func (g *grid) sample(v *view, n int, k lens, points int) {
	g.n = n
	g.levels = grow(g.levels, n*n)
	for y := range n {
		row := g.levels[y*n:][:n]
		for x := range row {
			var s float32
			for _, d := range spread[:points] {
				p := v.at(float32(x)+.5+d.x, float32(y)+.5+d.y)
				s += k.at(p.x, p.y)
			}
			row[x] = s / float32(points)
		}
	}
	g.add()
}

// add sums the levels up, so that the mean around any module is four sums away.
func (g *grid) add() {
	n, m := g.n, g.n+1
	g.sums = grow(g.sums, m*m)
	clear(g.sums[:m])
	for y := range n {
		var row float32
		g.sums[(y+1)*m] = 0
		for x := range n {
			row += g.levels[y*n+x]
			g.sums[(y+1)*m+x+1] = g.sums[y*m+x+1] + row
		}
	}
}

// part decides which modules are dark: those below the mean of the modules as far as reach around, after their neighbours
// were taken off them, sharp of each, to undo blur.
func (g *grid) part(reach int, sharp float32) {
	n, m := g.n, g.n+1
	g.dark = grow(g.dark, n*n)
	for y := range n {
		top, bottom := max(0, y-reach), min(n, y+reach+1)
		up, down := max(0, y-1)*n, min(n-1, y+1)*n
		for x := range n {
			left, right := max(0, x-reach), min(n, x+reach+1)
			sum := g.sums[bottom*m+right] - g.sums[top*m+right] - g.sums[bottom*m+left] + g.sums[top*m+left]
			mean := sum / float32((bottom-top)*(right-left))
			v := g.levels[y*n+x]
			around := g.levels[up+x] + g.levels[down+x] + g.levels[y*n+max(0, x-1)] + g.levels[y*n+min(n-1, x+1)]
			g.dark[y*n+x] = v+sharp*(4*v-around) < mean
		}
	}
}

// formats are the 32 words of format information, as they are printed. Source: ISO/IEC 18004:2015, annex C.
var formats = func() (all [32]uint32) {
	for data := range uint32(32) {
		rest := data << 10
		for bits.Len32(rest) > 10 {
			rest ^= 0x537 << (bits.Len32(rest) - 11)
		}
		all[data] = (data<<10 | rest) ^ 0x5412
	}
	return all
}()

// formatAt returns where bit i of the format information stands, first beside the top left finder and then beside the others.
func formatAt(i, n int) (first, second [2]int) {
	switch {
	case i < 6:
		first = [2]int{8, i}
	case i < 8:
		first = [2]int{8, i + 1}
	case i == 8:
		first = [2]int{7, 8}
	default:
		first = [2]int{14 - i, 8}
	}
	if i < 8 {
		return first, [2]int{n - 1 - i, 8}
	}
	return first, [2]int{8, n - 15 + i}
}

// format finds the format information that the modules show best, and whether the code is mirrored. wrong is 0 where
// both places show it, and more the more modules differ.
func (g *grid) format() (word uint32, mirrored bool, wrong int) {
	var seen [2][2]uint32
	for i := range 15 {
		a, b := formatAt(i, g.n)
		for k, at := range [2][2]int{a, b} {
			if g.dark[at[1]*g.n+at[0]] {
				seen[0][k] |= 1 << i
			}
			if g.dark[at[0]*g.n+at[1]] {
				seen[1][k] |= 1 << i
			}
		}
	}
	wrong = 99
	for _, f := range formats {
		for k, s := range seen {
			one, other := bits.OnesCount32(f^s[0]), bits.OnesCount32(f^s[1])
			if d := 2*min(one, other) + min(max(one, other), 5); d < wrong { // one of them may be covered, or another maker's
				word, mirrored, wrong = f, k == 1, d
			}
		}
	}
	return word, mirrored, wrong
}

// frame returns the share of the finders' and timing patterns' modules that are what they must be.
func (g *grid) frame() float32 {
	right, all := 0, 0
	look := func(x, y int, dark bool) {
		all++
		if g.dark[y*g.n+x] == dark {
			right++
		}
	}
	for j := range 8 {
		for i := range 8 {
			ring := max(i-3, 3-i, j-3, 3-j)
			dark := ring != 2 && ring < 4
			look(i, j, dark)
			look(g.n-1-i, j, dark)
			look(i, g.n-1-j, dark)
		}
	}
	for i := 8; i < g.n-8; i++ {
		look(i, 6, i%2 == 0)
		look(6, i, i%2 == 0)
	}
	return float32(right) / float32(all)
}

// Bounds of what is given to the decoder, for which a hopeless code takes longest.
const (
	maxFormatWrong = 9
	minFrame       = .75 // of the modules that are known
)

// matrix returns the modules for the decoder, with format and version as they must be, or nil where they are no code.
func (g *grid) matrix() *gozxing.BitMatrix {
	word, mirrored, wrong := g.format()
	if wrong > maxFormatWrong || g.frame() < minFrame {
		return nil
	}
	m, err := gozxing.NewSquareBitMatrix(g.n)
	if err != nil {
		return nil
	}
	for y := range g.n {
		for x := range g.n {
			if g.dark[y*g.n+x] {
				if mirrored {
					m.Set(y, x)
				} else {
					m.Set(x, y)
				}
			}
		}
	}
	put := func(x, y int, dark bool) {
		if m.Get(x, y) != dark {
			m.Flip(x, y)
		}
	}
	for i := range 15 {
		a, b := formatAt(i, g.n)
		put(a[0], a[1], word>>i&1 != 0)
		put(b[0], b[1], word>>i&1 != 0)
	}
	if version := uint32(g.n-17) / 4; version >= 7 { // annex D
		rest := version << 12
		for bits.Len32(rest) > 12 {
			rest ^= 0x1f25 << (bits.Len32(rest) - 13)
		}
		for i := range 18 {
			dark := (version<<12|rest)>>i&1 != 0
			put(g.n-11+i%3, i/3, dark)
			put(i/3, g.n-11+i%3, dark)
		}
	}
	return m
}
