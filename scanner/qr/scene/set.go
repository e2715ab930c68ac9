package scene

import (
	"fmt"
	"math"
	"math/rand"
)

// A Set is frames of one kind.
type Set struct {
	Name          string
	Width, Height int
	Count         int

	first int64 // seed of the first frame
	draw  func(r *rand.Rand, w, h int) Frame
}

// Frame draws frame i of the set, from 0 on.
func (s Set) Frame(i int) Frame {
	return s.draw(rand.New(rand.NewSource((s.first+int64(i))*7919+13)), s.Width, s.Height)
}

// Degradations returns frames of codes as long as an EU DCC, under one degradation each and as a gate sees them, and then
// frames without a code.
func Degradations(seed int64) (codes, empty []Set) {
	const degree = math.Pi / 180
	type change func(s *Shot, r *rand.Rand)
	base := func(c change) func(*rand.Rand) Shot {
		return func(r *rand.Rand) Shot {
			s := Shot{Module: 4, Blur: .5, Noise: 3, Roll: (r.Float64() - .5) * 10 * degree}
			c(&s, r)
			return s
		}
	}
	gate := func(least, most float64) func(*rand.Rand) Shot {
		return func(r *rand.Rand) Shot {
			return Shot{
				Module: between(r, least, most), Tilt: (r.Float64() - .5) * 50 * degree, Pan: (r.Float64() - .5) * 50 * degree,
				Roll: r.NormFloat64() * 15 * degree, Blur: .3 + r.Float64()*.9, Motion: r.Float64() * 3.5, Heading: r.Float64() * 3.14,
				Noise: 2 + r.Float64()*8, Contrast: 60 + r.Float64()*140, Shade: r.Float64() * .5, Moire: r.Float64() * .25,
			}
		}
	}
	l := list{seed: firstSeed(seed)}
	small := func(name string, shot func(*rand.Rand) Shot) { l.add(name, 640, 480, 12, shot) }
	tilt := func(tilt, pan float64) change {
		return func(s *Shot, _ *rand.Rand) { s.Tilt, s.Pan = tilt*degree, pan*degree }
	}
	small("clean", func(*rand.Rand) Shot { return Shot{Module: 4} })
	small("base", base(func(*Shot, *rand.Rand) {}))
	small("px2.0", base(func(s *Shot, _ *rand.Rand) { s.Module, s.Blur = 2, .4 }))
	small("px2.5", base(func(s *Shot, _ *rand.Rand) { s.Module, s.Blur = 2.5, .4 }))
	small("px3", base(func(s *Shot, _ *rand.Rand) { s.Module = 3 }))
	small("px5", base(func(s *Shot, _ *rand.Rand) { s.Module = 5 }))
	small("tilt20", base(tilt(20, 10)))
	small("tilt35", base(tilt(35, -15)))
	small("tilt50", base(tilt(50, 10)))
	l.add("rotany", 640, 480, 16, base(func(s *Shot, r *rand.Rand) { s.Module, s.Roll = 3.2, r.Float64()*360*degree }))
	for _, blur := range []float64{1, 1.4, 1.8, 2.2} {
		small(fmt.Sprintf("blur%.1f", blur), base(func(s *Shot, _ *rand.Rand) { s.Blur = blur }))
	}
	for _, way := range []float64{3, 5, 7} {
		small(fmt.Sprint("motion", way), base(func(s *Shot, r *rand.Rand) { s.Motion, s.Heading = way, r.Float64()*3.14 }))
	}
	for _, noise := range []float64{15, 30, 45} {
		small(fmt.Sprint("noise", noise), base(func(s *Shot, _ *rand.Rand) { s.Noise = noise }))
	}
	small("contrast40", base(func(s *Shot, _ *rand.Rand) { s.Contrast = 40 }))
	small("contrast20", base(func(s *Shot, _ *rand.Rand) { s.Contrast = 20 }))
	small("contrast12", base(func(s *Shot, _ *rand.Rand) { s.Contrast, s.Noise = 12, 2 }))
	small("glare25", base(func(s *Shot, _ *rand.Rand) { s.Glare = 25 }))
	small("glare60", base(func(s *Shot, _ *rand.Rand) { s.Glare = 60 }))
	small("moire.3", base(func(s *Shot, _ *rand.Rand) { s.Moire = .3 }))
	small("moire.5", base(func(s *Shot, _ *rand.Rand) { s.Moire = .5 }))
	small("shade.8", base(func(s *Shot, _ *rand.Rand) { s.Shade = .8 }))
	small("invert", base(func(s *Shot, _ *rand.Rand) { s.Light = true }))
	l.add("gate640", 640, 480, 60, gate(2.4, 4))
	l.add("gate720p", 1280, 720, 40, gate(2.6, 6))
	l.add("gate720pfar", 1280, 720, 24, gate(2, 3))
	small("small640", base(func(s *Shot, _ *rand.Rand) { s.Least, s.Most = 20, 60 }))
	codes = l.sets
	return codes, nothing(&list{seed: l.seed})
}

// nothing returns frames in which no code is.
func nothing(l *list) []Set {
	for _, size := range [][2]int{{640, 480}, {1280, 720}} {
		for _, kind := range []struct {
			name  string
			noise float64
			paint func(p *picture, r *rand.Rand)
		}{
			{"tex", 3, func(p *picture, r *rand.Rand) { p.background(r, texture) }},
			{"clutter", 3, func(p *picture, r *rand.Rand) { p.background(r, clutter) }},
			{"poster", 3, func(p *picture, r *rand.Rand) { p.background(r, poster) }},
			{"checker", 3, func(p *picture, r *rand.Rand) { p.background(r, checker) }},
			{"black", 3, func(p *picture, _ *rand.Rand) { p.fill(14) }},
			{"white", 3, func(p *picture, _ *rand.Rand) { p.fill(236) }},
			{"noisy", 25, func(p *picture, r *rand.Rand) { p.background(r, texture) }},
		} {
			l.addFrames(fmt.Sprint(kind.name, size[0]), size[0], size[1], 6, func(r *rand.Rand, w, h int) Frame {
				p := newPicture(w, h)
				kind.paint(p, r)
				p.blur(.5)
				return Frame{Plane: p.plane(r, kind.noise)}
			})
		}
	}
	return l.sets
}

func (p *picture) fill(v float64) {
	for i := range p.v {
		p.v[i] = v
	}
}

// Gate returns what people at a Vietnamese gate hold up: codes on phones, cards, prints, and declarations.
func Gate(seed int64) []Set {
	const degree = math.Pi / 180
	hand := func(r *rand.Rand, least, most float64) Shot {
		return Shot{
			Module: between(r, least, most), Tilt: (r.Float64() - .5) * 50 * degree, Pan: (r.Float64() - .5) * 50 * degree,
			Roll: r.NormFloat64() * 15 * degree, Blur: between(r, .3, 1.1), Heading: r.Float64() * 3.14,
			Noise: between(r, 2, 8), Shade: r.Float64() * .4, Level: string("LM"[r.Intn(2)]),
		}
	}
	phone := func(text func(*rand.Rand) string, least, most float64) func(*rand.Rand) Shot {
		return func(r *rand.Rand) Shot {
			s := hand(r, least, most)
			s.Text, s.Moire, s.Contrast, s.Glare, s.Motion, s.Scratches = text, between(r, 0, .25), between(r, 50, 170), some(r, .4, 10, 30), between(r, 0, 4), r.Intn(4)
			return s
		}
	}
	glossy := func(least, most float64) func(*rand.Rand) Shot {
		return func(r *rand.Rand) Shot {
			s := hand(r, least, most)
			s.Text, s.Contrast, s.Glare, s.Motion, s.Scratches, s.Blur = card, between(r, 60, 150), some(r, .6, 8, 25), between(r, 0, 2), r.Intn(3), between(r, .3, .8)
			return s
		}
	}
	paper := func(least, most float64) func(*rand.Rand) Shot {
		return func(r *rand.Rand) Shot {
			s := hand(r, least, most)
			s.Text, s.Contrast, s.Shade, s.Motion, s.Scratches = personal, between(r, 70, 180), between(r, 0, .7), between(r, 0, 3), 2+r.Intn(8)
			return s
		}
	}
	l := list{seed: firstSeed(seed)}
	l.add("phone640", 640, 480, 60, phone(personal, 1.8, 4.5))
	l.add("phone720", 1280, 720, 60, phone(personal, 2.2, 7))
	l.add("hd640", 640, 480, 60, phone(declaration, 1.8, 4))
	l.add("hd720", 1280, 720, 60, phone(declaration, 2.2, 6))
	l.add("card640", 640, 480, 60, glossy(1.5, 2.6))
	l.add("card720", 1280, 720, 60, glossy(1.5, 4))
	l.add("print640", 640, 480, 60, paper(2, 5))
	l.add("print720", 1280, 720, 60, paper(2.5, 7))
	return l.sets
}

func between(r *rand.Rand, least, most float64) float64 { return least + r.Float64()*(most-least) }

// some returns 0, or with a chance something between.
func some(r *rand.Rand, chance, least, most float64) float64 {
	v := between(r, least, most)
	if r.Float64() > chance {
		return 0
	}
	return v
}

// list collects sets, of which each frame has a seed of its own.
type list struct {
	seed int64
	sets []Set
}

func firstSeed(seed int64) int64 { return 1 + seed*1_000_003 }

func (l *list) add(name string, w, h, count int, shot func(*rand.Rand) Shot) {
	l.addFrames(name, w, h, count, func(r *rand.Rand, w, h int) Frame { return shot(r).Draw(r, w, h) })
}

func (l *list) addFrames(name string, w, h, count int, draw func(r *rand.Rand, w, h int) Frame) {
	l.sets = append(l.sets, Set{name, w, h, count, l.seed, draw})
	l.seed += int64(count)
}
