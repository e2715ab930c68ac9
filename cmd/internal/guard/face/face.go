// Package face draws what stands on the screen at the gate: the four faces of a verdict with their words, the gate that is
// ready, with the camera's picture and how to hold a code before it, and the questions.
//
// A face is told by its symbol and its words, and by its colour last: in grey, and to those who see no red or no green, the
// four differ as well. A picture fits any size; the letters are those of Vietnamese and of Europe. Of a person nothing
// stands there but what guard.Shown says, and it goes with the verdict.
package face

import (
	"image"
	"image/color"
	"image/draw"
	"reflect"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
)

// A Scene is what there is to be seen.
type Scene struct {
	State   guard.State
	Lane    string         // whose screen this is; "": of every lane, the gravest verdict first
	View    *image.Gray    // what the camera sees; nil: there is none
	Link    string         // drawn as a QR code for the guard's phone while the gate is ready; "": none
	Touch   bool           // whether the screen can be touched; without, no buttons are drawn
	Answers map[string]any // of State.Ask, what was touched so far
	Trouble string         // why the last touch did nothing
	Now     time.Time
	Zone    *time.Location
}

// An Area is a part of the picture that does something when it is touched.
type Area struct {
	Rect   image.Rectangle
	Action guard.Action   // nothing, where Answers is not nil
	Answer map[string]any // what the answers are with this one
}

// The faces' colours. The gate that is ready is dark, so that each verdict is a change of light.
var (
	green = color.RGBA{0x00, 0x6b, 0x3c, 0xff}
	red   = color.RGBA{0xa8, 0x00, 0x1c, 0xff}
	amber = color.RGBA{0xff, 0xb4, 0x00, 0xff}
	grey  = color.RGBA{0x33, 0x33, 0x33, 0xff}
	night = color.RGBA{0x10, 0x16, 0x1c, 0xff}
	dim   = color.RGBA{0x2a, 0x36, 0x42, 0xff} // a button at night
	white = color.RGBA{0xff, 0xff, 0xff, 0xff}
	black = color.RGBA{0x00, 0x00, 0x00, 0xff}
	pale  = color.RGBA{0xb8, 0xc4, 0xd0, 0xff}
)

// Colours returns a face's ground and what is drawn on it.
func Colours(f guard.Face) (ground, ink color.RGBA) {
	switch f {
	case guard.Go:
		return green, white
	case guard.Stop:
		return red, white
	case guard.Ask:
		return amber, black
	case guard.Broken:
		return grey, white
	}
	return night, white
}

// A Painter draws scenes, for one goroutine.
type Painter struct {
	fonts fonts
	link  string // the text of code
	code  *image.Gray

	last  Scene // that Update painted, without its view
	areas []Area
	live  image.Rectangle // where its view is; empty: nowhere
}

// New returns a painter.
func New() (*Painter, error) {
	f, err := newFonts()
	if err != nil {
		return nil, err
	}
	return &Painter{fonts: f}, nil
}

// Update paints a scene over all of dst, where it paints nothing else in between, and returns the part that is new: while
// nothing changes within a second but what the camera sees, that alone is painted.
func (p *Painter) Update(dst draw.Image, scene Scene) image.Rectangle {
	still := scene
	still.View, still.Now = nil, scene.Now.Truncate(time.Second)
	if scene.View != nil && !p.live.Empty() && reflect.DeepEqual(still, p.last) {
		(&sheet{Image: dst, Painter: p, scene: scene, unit: unit(dst)}).view(p.live)
		return p.live
	}
	p.live = image.Rectangle{}
	p.areas, p.last = p.Paint(dst, scene), still
	return dst.Bounds()
}

func unit(dst draw.Image) int { return max(1, min(dst.Bounds().Dx(), dst.Bounds().Dy())/100) }

// A sheet is a picture being drawn.
type sheet struct {
	draw.Image
	*Painter
	scene  Scene
	unit   int // a hundredth of the shorter side, 1 at the least
	ink    color.RGBA
	ground color.RGBA
	areas  []Area
}

// Paint draws a scene over all of dst and returns what can be touched, the uppermost last.
func (p *Painter) Paint(dst draw.Image, scene Scene) []Area {
	b := dst.Bounds()
	s := &sheet{Image: dst, Painter: p, scene: scene, unit: unit(dst)}
	rest := s.footer(b)
	shown := s.shown()
	switch {
	case scene.State.Enrol != nil:
		s.said(rest, *scene.State.Enrol)
	case shown != nil && (shown.Face != guard.Ask || s.question() == nil):
		s.verdict(rest, *shown)
	case s.question() != nil:
		s.ask(rest, *s.question())
	case s.broken() != nil:
		s.said(rest, *s.broken())
	default:
		s.ready(rest)
	}
	return s.areas
}

// shown returns the verdict that stands on this screen, or nil.
func (s *sheet) shown() (gravest *guard.Shown) {
	for i, v := range s.scene.State.Shown {
		if (s.scene.Lane == "" || s.scene.Lane == v.Lane) && (gravest == nil || guard.Graver(v.Face, gravest.Face)) {
			gravest = &s.scene.State.Shown[i]
		}
	}
	return gravest
}

// question returns the questions that wait at this screen, where they can be answered here.
func (s *sheet) question() *guard.Question {
	q := s.scene.State.Ask
	if q == nil || !s.scene.Touch || s.scene.Lane != "" && s.scene.Lane != q.Lane {
		return nil
	}
	return q
}

// lanes returns the lanes of this screen.
func (s *sheet) lanes() []guard.Lane {
	return slices.DeleteFunc(slices.Clone(s.scene.State.Lanes), func(l guard.Lane) bool {
		return s.scene.Lane != "" && s.scene.Lane != l.Name
	})
}

// broken returns what is said where no lane of this screen works, or nil.
func (s *sheet) broken() *guard.Said {
	lanes := s.lanes()
	if len(lanes) == 0 || slices.ContainsFunc(lanes, func(l guard.Lane) bool { return l.OK }) {
		return nil
	}
	return &guard.Said{Face: guard.Broken, Words: guard.Text{VI: "Máy quét không chạy", EN: "No scanner is working"}}
}

// fill makes r of one colour. It hands on the picture itself: image/draw is quick for its own types alone.
func (s *sheet) fill(r image.Rectangle, c color.RGBA) {
	draw.Draw(s.Image, r.Intersect(s.Bounds()), image.NewUniform(c), image.Point{}, draw.Src)
}
