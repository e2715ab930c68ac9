package sim

import (
	"math"
	"math/rand/v2"
)

// Shades of grey in the scene.
const (
	skin   = 120
	cloth  = 80
	frame  = 40 // a phone's edge
	asleep = 60 // its screen while it is carried
	paper  = 225
	ink    = 25
)

// A scene draws people before one wall. It is used by one goroutine.
type scene struct {
	w, h  int
	wall  []byte
	pix   []byte // the frame being drawn
	clock int    // frames drawn, for the sway
	rand  *rand.PCG
}

func newScene(w, h int, seed uint64) *scene {
	s := &scene{w: w, h: h, wall: make([]byte, w*h), rand: rand.NewPCG(seed, 1)}
	for i := range s.wall { // lighter to the upper right
		s.wall[i] = byte(130 + 40*(i%w)/w + 30*(h-i/w)/h)
	}
	return s
}

// codeSize returns the side in pixels that a code with its quiet zone may take beside so many people.
func (s *scene) codeSize(people int) int {
	return min(s.w/people*86/100, s.h*72/100)
}

// draw fills pix with the frame in which v is seen.
func (s *scene) draw(pix []byte, v showing) {
	s.pix = pix
	copy(pix, s.wall)
	for i, code := range v.codes {
		s.person(v, i, code)
	}
	s.noise()
	s.clock++
}

func (s *scene) person(v showing, i int, c code) {
	slot, t := float64(s.w)/float64(len(v.codes)), float64(s.clock)
	x := slot*(float64(i)+0.5) + v.aside(i)*1.2*slot
	h := float64(s.h)
	s.ellipse(x, 1.05*h, 0.42*slot, 0.65*h, cloth)
	s.ellipse(x, 0.2*h, 0.11*h, 0.15*h, skin)
	p := phone{
		x: x + 0.009*h*math.Sin(t/7+float64(i)), y: 0.56*h + 0.006*h*math.Sin(t/5),
		angle: 0.03 * math.Sin(t/9+float64(2*i)),
		size:  float64(s.codeSize(len(v.codes))),
		lit:   v.at >= v.move && v.at < v.move+v.hold,
		code:  c,
	}
	p.module = c.module(p.size)
	s.phone(p)
}

// aside tells how far person i stands from their place, in widths of it: they come and go at their own side,
// and one alone comes from the left and goes to the right.
func (v showing) aside(i int) float64 {
	coming := 1 - float64(v.at)/float64(v.move)
	going := float64(v.at-v.move-v.hold+1) / float64(v.move)
	switch {
	case coming > 0 && i == 0:
		return -coming
	case coming > 0:
		return coming
	case going > 0 && i == 0 && len(v.codes) == 2:
		return -going
	}
	return max(0, going)
}

func (s *scene) ellipse(cx, cy, rx, ry float64, shade byte) {
	for y := max(0, int(cy-ry)); y < min(s.h, int(cy+ry)); y++ {
		d := (float64(y) + 0.5 - cy) / ry
		half := rx * math.Sqrt(max(0, 1-d*d))
		for x := max(0, int(cx-half)); x < min(s.w, int(cx+half)); x++ {
			s.pix[y*s.w+x] = shade
		}
	}
}

// A phone is held at (x, y) in pixels, turned by angle in radians, with a code of size pixels on its screen.
type phone struct {
	x, y, angle, size float64
	module            float64 // pixels
	lit               bool
	code              code
}

// phone draws p, the mean of two points a pixel.
func (s *scene) phone(p phone) {
	sin, cos := math.Sincos(p.angle)
	reach := 0.6 * p.size
	for y := max(0, int(p.y-reach)); y < min(s.h, int(p.y+reach)); y++ {
		for x := max(0, int(p.x-reach)); x < min(s.w, int(p.x+reach)); x++ {
			sum, inside := 0, true
			for _, at := range [2]float64{0.25, 0.75} {
				dx, dy := float64(x)+at-p.x, float64(y)+at-p.y
				shade, in := p.shade(dx*cos+dy*sin, dy*cos-dx*sin)
				sum += int(shade)
				inside = inside && in
			}
			if inside {
				s.pix[y*s.w+x] = byte(sum / 2)
			}
		}
	}
}

// shade returns what is to be seen of p at (u, v) pixels from its middle, and whether that is p at all.
func (p *phone) shade(u, v float64) (shade byte, inside bool) {
	const edge = 8
	half := p.size / 2
	d := max(math.Abs(u), math.Abs(v))
	switch {
	case d > half+edge:
		return 0, false
	case d > half:
		return frame, true
	case !p.lit:
		return asleep, true
	case p.code.dark(u/p.module, v/p.module):
		return ink, true
	}
	return paper, true
}

// noise adds -4 to 3 to every pixel.
func (s *scene) noise() {
	for i := 0; i < len(s.pix); i += 16 {
		r := s.rand.Uint64()
		for j := range s.pix[i:min(i+16, len(s.pix))] {
			s.pix[i+j] += byte(r>>(4*j)&7) - 4
		}
	}
}
