// Package gauss solves the eight equations that four points and where they are seen give of a homography: for the reader,
// which looks, and for the frames that are drawn to try it.
package gauss

import "math"

// Solve solves m, a row an equation and its right side last, by Gauss-Jordan elimination with pivots. It changes m. ok is
// false where there is no one solution, as of three points on a line.
func Solve(m *[8][9]float64) (x [8]float64, ok bool) {
	for c := range 8 {
		p := c
		for i := c + 1; i < 8; i++ {
			if math.Abs(m[i][c]) > math.Abs(m[p][c]) {
				p = i
			}
		}
		if math.Abs(m[p][c]) < 1e-12 {
			return x, false
		}
		m[c], m[p] = m[p], m[c]
		for i := range 8 {
			if i == c {
				continue
			}
			f := m[i][c] / m[c][c]
			for j := c; j < 9; j++ {
				m[i][j] -= f * m[c][j]
			}
		}
	}
	for i := range 8 {
		x[i] = m[i][8] / m[i][i]
	}
	return x, true
}
