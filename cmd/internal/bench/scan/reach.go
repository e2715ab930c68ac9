package main

import (
	"fmt"
	"math"
	"math/rand"
	"strings"

	"gatepost/scanner/qr"
	"gatepost/scanner/qr/scene"
)

// A sample is something that people show, as large as it usually is.
type sample struct {
	name string
	mm   float64 // a side of the code
	text int     // characters
}

var samples = []sample{
	{"identity card, 14 mm", 14, 110},
	{"personal code on a phone, 45 mm", 45, 70},
	{"`HD1:` on a phone, 55 mm", 55, 260},
	{"EU DCC on a phone, 55 mm", 55, 520},
	{"poster, 150 mm", 150, 40},
}

// lenses are cameras: degrees across the picture, and its pixels.
var lenses = []struct {
	degrees float64
	pixels  int
}{{45, 640}, {45, 1280}, {60, 640}, {60, 1280}, {78, 1280}}

const (
	tries = 20 // frames of one size
	most  = 18 // of them must be read
)

// reach is a table of how far away a code may be held, in centimetres, from the least size of module at which nearly all frames
// of a hand that holds it are read.
func reach(seed int64, say func(format string, args ...any)) string {
	var b strings.Builder
	fmt.Fprintf(&b, "## How far away\n\n`make bench-reach`: centimetres up to which %d of %d frames are read that a hand holds, tilted up to 15 degrees, "+
		"by the camera's angle and its pixels across; a blurred or dirty lens has less.\n\n| code |", most, tries)
	for _, l := range lenses {
		fmt.Fprintf(&b, " %.0f°, %d |", l.degrees, l.pixels)
	}
	b.WriteString("\n|---|" + strings.Repeat("---|", len(lenses)) + "\n")
	for _, s := range samples {
		least, modules := s.least(seed)
		say("%s: %.2f pixels a module, %d modules", s.name, least, modules)
		fmt.Fprintf(&b, "| %s |", s.name)
		for _, l := range lenses {
			focus := float64(l.pixels) / 2 / math.Tan(l.degrees/2*math.Pi/180)
			fmt.Fprintf(&b, " %.0f |", s.mm/float64(modules)*focus/least/10)
		}
		b.WriteString("\n")
	}
	return b.String()
}

// least returns the pixels a module from which on a sample is read, and how many modules it has.
func (s sample) least(seed int64) (pixels float64, modules int) {
	r := qr.New()
	pixels = 6
	for try := 4.; try > 1; try -= .1 {
		read := 0
		for i := range tries {
			random := rand.New(rand.NewSource(seed + int64(i)))
			shot := scene.Shot{
				Module: try, Tilt: (random.Float64() - .5) * math.Pi / 6, Pan: (random.Float64() - .5) * math.Pi / 6, Roll: random.NormFloat64() * .2,
				Blur: .6, Motion: random.Float64() * 2, Heading: random.Float64() * 3, Noise: 5, Contrast: 120, Level: "M", Least: s.text, Most: s.text,
			}
			f := shot.Draw(random, 640, 480)
			modules = f.Modules
			for _, t := range r.Read(&f.Plane) {
				if t == f.Text {
					read++
				}
			}
		}
		if read < most {
			break
		}
		pixels = try
	}
	return pixels, modules
}
