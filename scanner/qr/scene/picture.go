package scene

import (
	"math"
	"math/rand"

	"gatepost/scanner/luma"
)

// A picture is brightness before a camera rounds it.
type picture struct {
	w, h int
	v    []float64 // rows from the top down
}

func newPicture(w, h int) *picture { return &picture{w, h, make([]float64, w*h)} }

// Kinds of backgrounds.
const (
	texture = iota
	clutter
	poster
	checker
)

// background paints a wall of some kind: clouds at every scale and patches, and what the kind has more.
func (p *picture) background(r *rand.Rand, kind int) {
	base := 90 + r.Float64()*80
	for i := range p.v {
		p.v[i] = base
	}
	for cell, strength := 160., 40.; cell > 2; cell, strength = cell/2, strength*.62 {
		p.clouds(r, cell, strength)
	}
	patches := 12
	if kind == clutter {
		patches = 60
	}
	for range patches {
		x0, y0, w, h := r.Intn(p.w), r.Intn(p.h), 5+r.Intn(p.w/5), 4+r.Intn(p.h/6)
		d := r.Float64()*160 - 80
		for y := y0; y < min(y0+h, p.h); y++ {
			for x := x0; x < min(x0+w, p.w); x++ {
				p.v[y*p.w+x] += d
			}
		}
	}
	switch kind {
	case poster:
		p.print(r)
	case checker:
		for i := range p.v {
			if (i%p.w/16+i/p.w/16)%2 == 0 {
				p.v[i] -= 60
			}
		}
	}
}

// clouds adds a smooth random field, by a lattice of cells.
func (p *picture) clouds(r *rand.Rand, cell, strength float64) {
	w, h := int(float64(p.w)/cell)+3, int(float64(p.h)/cell)+3
	lattice := make([]float64, w*h)
	for i := range lattice {
		lattice[i] = r.Float64()*2 - 1
	}
	for y := range p.h {
		fy := float64(y) / cell
		iy := int(fy)
		ty := fy - float64(iy)
		for x := range p.w {
			fx := float64(x) / cell
			ix := int(fx)
			tx := fx - float64(ix)
			a := lattice[iy*w+ix]*(1-tx) + lattice[iy*w+ix+1]*tx
			b := lattice[(iy+1)*w+ix]*(1-tx) + lattice[(iy+1)*w+ix+1]*tx
			p.v[y*p.w+x] += strength * (a*(1-ty) + b*ty)
		}
	}
}

// print adds lines of bars like text: many runs of dark and light.
func (p *picture) print(r *rand.Rand) {
	for range 40 {
		y0, high := r.Intn(p.h), 4+r.Intn(10)
		for x := r.Intn(60); x < p.w-8; {
			wide := 1 + r.Intn(7)
			if r.Intn(2) == 0 {
				for y := y0; y < min(y0+high, p.h); y++ {
					for k := x; k < min(x+wide, p.w); k++ {
						p.v[y*p.w+k] = 25
					}
				}
			}
			x += wide
		}
	}
}

// shade lets the light fall off in a direction.
func (p *picture) shade(strength, angle float64) {
	for y := range p.h {
		for x := range p.w {
			t := (float64(x)/float64(p.w)-.5)*math.Cos(angle) + (float64(y)/float64(p.h)-.5)*math.Sin(angle)
			p.v[y*p.w+x] *= 1 + 2*strength*t - strength*.3
		}
	}
}

// move smears the picture over a line.
func (p *picture) move(length, angle float64) {
	if length < 1.1 {
		return
	}
	n := int(length*2 + 1)
	to := make([]float64, len(p.v))
	dx, dy := math.Cos(angle), math.Sin(angle)
	for y := range p.h {
		for x := range p.w {
			sum := 0.
			for i := range n {
				t := (float64(i)/float64(n-1) - .5) * length
				sum += p.at(float64(x)+t*dx, float64(y)+t*dy)
			}
			to[y*p.w+x] = sum / float64(n)
		}
	}
	p.v = to
}

// at returns the brightness between pixels.
func (p *picture) at(x, y float64) float64 {
	x = math.Max(0, math.Min(float64(p.w)-1.001, x))
	y = math.Max(0, math.Min(float64(p.h)-1.001, y))
	ix, iy := int(x), int(y)
	tx, ty := x-float64(ix), y-float64(iy)
	i := iy*p.w + ix
	return (p.v[i]*(1-tx)+p.v[i+1]*tx)*(1-ty) + (p.v[i+p.w]*(1-tx)+p.v[i+p.w+1]*tx)*ty
}

// blur is Gaussian, in rows and then in columns.
func (p *picture) blur(sigma float64) {
	if sigma < .05 {
		return
	}
	reach := int(3*sigma + 1)
	kernel, sum := make([]float64, 2*reach+1), 0.
	for i := range kernel {
		d := float64(i - reach)
		kernel[i] = math.Exp(-d * d / (2 * sigma * sigma))
		sum += kernel[i]
	}
	for i := range kernel {
		kernel[i] /= sum
	}
	rows := make([]float64, len(p.v))
	for y := range p.h {
		for x := range p.w {
			sum := 0.
			for i, k := range kernel {
				sum += k * p.v[y*p.w+min(max(x+i-reach, 0), p.w-1)]
			}
			rows[y*p.w+x] = sum
		}
	}
	for y := range p.h {
		for x := range p.w {
			sum := 0.
			for i, k := range kernel {
				sum += k * rows[min(max(y+i-reach, 0), p.h-1)*p.w+x]
			}
			p.v[y*p.w+x] = sum
		}
	}
}

// glare adds a lamp's reflection.
func (p *picture) glare(cx, cy, radius float64) {
	for y := range p.h {
		for x := range p.w {
			dx, dy := float64(x)-cx, float64(y)-cy
			p.v[y*p.w+x] += 260 * math.Exp(-(dx*dx+dy*dy)/(2*radius*radius))
		}
	}
}

// plane rounds the picture with noise of that sigma.
func (p *picture) plane(r *rand.Rand, noise float64) luma.Plane {
	out := luma.Plane{Width: p.w, Height: p.h, Stride: p.w, Pix: make([]byte, p.w*p.h)}
	for i, v := range p.v {
		v += r.NormFloat64() * noise
		out.Pix[i] = byte(min(max(math.Round(v), 0), 255))
	}
	return out
}
