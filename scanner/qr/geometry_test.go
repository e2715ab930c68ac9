package qr

import (
	"math"
	"testing"
)

// tilted is a code of 45 modules seen askew, as views of such a code are made: three middles and two tilts.
var tilted = through(point{100, 80}, point{420, 130}, point{60, 390}, 45, 1.15, .9)

func TestThrough(t *testing.T) {
	for _, c := range []struct{ at, want point }{
		{point{3.5, 3.5}, point{100, 80}}, {point{41.5, 3.5}, point{420, 130}}, {point{3.5, 41.5}, point{60, 390}},
	} {
		if got := tilted.at(c.at.x, c.at.y); hypot(got, c.want) > .01 {
			t.Errorf("%v is at %v, want %v", c.at, got, c.want)
		}
	}
}

// Marks that a view made give that view back, whatever one it starts from.
func TestLeast(t *testing.T) {
	var marks []mark
	for _, m := range []point{{3.5, 3.5}, {41.5, 3.5}, {3.5, 41.5}, {38.5, 38.5}, {22.5, 6.5}, {22.5, 22.5}} {
		marks = append(marks, mark{m.x, m.y, tilted.at(m.x, m.y), 1})
	}
	flat := through(point{100, 80}, point{420, 130}, point{60, 390}, 45, 1, 1)
	for n := 4; n <= len(marks); n++ {
		got := least(marks[:n], flat)
		for _, m := range []point{{0, 0}, {45, 0}, {0, 45}, {45, 45}} {
			if a, b := got.at(m.x, m.y), tilted.at(m.x, m.y); hypot(a, b) > .05 {
				t.Errorf("%d marks: %v is at %v, want %v", n, m, a, b)
			}
		}
	}
	same := []mark{marks[0], marks[0], marks[0], marks[0]}
	if got := least(same, flat); got != flat {
		t.Error("one place four times makes a view")
	}
}

// A line of modules dark and light by turns tells their number and the tilt.
func TestTiming(t *testing.T) {
	for _, n := range []int{25, 45, 77, 121} {
		for _, w := range []float64{.8, 1, 1.25} {
			var line timing
			for i := range line {
				s := (float64(i) + .5) / float64(len(line)) // along the line; a is along the code
				a := s / (s + w*(1-s))
				u := int(math.Floor(a*float64(n-7) + 3.5))
				line[i] = 200
				if u%2 == 0 {
					line[i] = 40
				}
			}
			best, at, tilt := float32(-1), 0, float32(0)
			for size := n - 8; size <= n+8; size += 4 {
				if score, w := line.fit(size, 1); score > best {
					best, at, tilt = score, size, w
				}
			}
			if at != n || best < .8 || math.Abs(math.Log(float64(tilt)/w)) > 2/float64(n-7) { // half a module in the middle
				t.Errorf("%d modules, tilt %v: %d at %v, score %v", n, w, at, tilt, best)
			}
		}
	}
}

func TestArea(t *testing.T) {
	a := area{[4]point{{10, 0}, {20, 10}, {10, 20}, {0, 10}}, 1}
	if from, to := a.row(5); from != 5 || to != 15 {
		t.Errorf("row 5 is in it from %v to %v", from, to)
	}
	if from, to := a.row(25); from <= to {
		t.Errorf("row 25 is in it from %v to %v", from, to)
	}
}
