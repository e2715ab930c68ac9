package face

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"gatepost/cmd/internal/guard"

	"golang.org/x/image/vector"
)

// A point of a symbol, whose square runs from -1 to 1 both ways.
type point struct{ x, y float64 }

// stroke returns the outline of a line from a to b, so thick, with square ends.
func stroke(a, b point, thick float64) []point {
	dx, dy := b.x-a.x, b.y-a.y
	n := thick / 2 / math.Hypot(dx, dy)
	x, y := dx*n, dy*n
	a, b = point{a.x - x, a.y - y}, point{b.x + x, b.y + y}
	return []point{{a.x - y, a.y + x}, {b.x - y, b.y + x}, {b.x + y, b.y - x}, {a.x + y, a.y - x}}
}

// polygon returns n corners at the distance r, the first one turned by so much.
func polygon(n int, r, turn float64) (corners []point) {
	for i := range n {
		sin, cos := math.Sincos(turn + 2*math.Pi*float64(i)/float64(n))
		corners = append(corners, point{r * cos, r * sin})
	}
	return corners
}

// symbol draws a face's symbol into the largest square in the middle of r.
func (s *sheet) symbol(r image.Rectangle, f guard.Face) {
	ground, ink := Colours(f)
	switch f {
	case guard.Go: // a check mark
		s.shapes(r, ink, stroke(point{-0.75, 0.05}, point{-0.25, 0.55}, 0.28), stroke(point{-0.25, 0.55}, point{0.75, -0.6}, 0.28))
	case guard.Stop: // a white-edged octagon with a cross
		s.shapes(r, ink, polygon(8, 1, math.Pi/8))
		s.shapes(r, ground, polygon(8, 0.88, math.Pi/8))
		s.shapes(r, ink, stroke(point{-0.36, -0.36}, point{0.36, 0.36}, 0.24), stroke(point{-0.36, 0.36}, point{0.36, -0.36}, 0.24))
	case guard.Ask: // an exclamation mark
		s.shapes(r, ink, []point{{-0.2, -0.95}, {0.2, -0.95}, {0.12, 0.4}, {-0.12, 0.4}}, shift(polygon(24, 0.21, 0), 0, 0.74))
	case guard.Broken: // a warning sign's triangle, with a bar: out of order
		s.shapes(r, ink, polygon(3, 1.05, -math.Pi/2))
		s.shapes(r, ground, polygon(3, 0.75, -math.Pi/2))
		s.shapes(r, ink, stroke(point{-0.62, 0.78}, point{0.62, 0.78}, 0.2))
	}
}

func shift(points []point, x, y float64) []point {
	for i := range points {
		points[i].x, points[i].y = points[i].x+x, points[i].y+y
	}
	return points
}

// shapes fills outlines, which may overlap, with one colour, in the largest square in the middle of r. What does not fit
// the screen is not drawn.
func (s *sheet) shapes(r image.Rectangle, c color.RGBA, outlines ...[]point) {
	if !r.In(s.Bounds()) || r.Empty() {
		return // a screen of a few pixels
	}
	side := min(r.Dx(), r.Dy()) // what is rasterised costs its area
	r = image.Rect(0, 0, side, side).Add(image.Pt(r.Min.X+(r.Dx()-side)/2, r.Min.Y+(r.Dy()-side)/2))
	half := float32(side) / 2
	for _, outline := range outlines {
		v := vector.NewRasterizer(r.Dx(), r.Dy())
		v.DrawOp = draw.Over
		for i, p := range outline {
			x, y := half+half*float32(p.x), half+half*float32(p.y)
			if i == 0 {
				v.MoveTo(x, y)
			} else {
				v.LineTo(x, y)
			}
		}
		v.ClosePath()
		v.Draw(s.Image, r, image.NewUniform(c), image.Point{})
	}
}
