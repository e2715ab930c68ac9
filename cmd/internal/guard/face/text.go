package face

import (
	_ "embed" // the font
	"fmt"
	"image"
	"image/color"
	"strings"

	"golang.org/x/image/font"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"
	"golang.org/x/text/unicode/norm"
)

// The Go fonts lack most of Vietnamese.
//
//go:embed DejaVuSans.ttf
var dejavu []byte

// maxFonts is how many sizes are kept; a screen has a dozen.
const maxFonts = 64

// fonts is one font in the sizes that were asked for.
type fonts struct {
	font  *opentype.Font
	sizes map[int]font.Face
}

func newFonts() (fonts, error) {
	f, err := opentype.Parse(dejavu)
	if err != nil {
		return fonts{}, fmt.Errorf("read font: %w", err)
	}
	return fonts{f, map[int]font.Face{}}, nil
}

// size returns the font in so many pixels, from 6 on.
func (f *fonts) size(px int) font.Face {
	px = max(px, 6)
	if face := f.sizes[px]; face != nil {
		return face
	}
	if len(f.sizes) >= maxFonts {
		clear(f.sizes)
	}
	face, err := opentype.NewFace(f.font, &opentype.FaceOptions{Size: float64(px), DPI: 72, Hinting: font.HintingNone})
	if err != nil { // it fails for no option that stands here
		panic(err)
	}
	f.sizes[px] = face
	return face
}

func (f *fonts) width(text string, px int) int { return font.MeasureString(f.size(px), text).Ceil() }

// A block is a text broken into lines that fit a width.
type block struct {
	lines []string
	px    int
}

// lead is the height of a line of so many pixels: Vietnamese stacks two marks on a letter.
func lead(px int) int { return px * 5 / 4 }

func (b block) height() int { return len(b.lines) * lead(b.px) }

// fit breaks text into as few lines as fit width and height in so many pixels, or in fewer where they do not. What is too
// long even in the smallest letters is cut.
func (f *fonts) fit(text string, width, height, px int) block {
	text = norm.NFC.String(text)
	for ; px > 10; px -= max(1, px/12) {
		if b := f.wrap(text, width, px); b.height() <= height && f.widest(b) <= width {
			return b
		}
	}
	b := f.wrap(text, width, px)
	b.lines = b.lines[:min(len(b.lines), max(1, height/lead(px)))]
	return b
}

func (f *fonts) widest(b block) (w int) {
	for _, line := range b.lines {
		w = max(w, f.width(line, b.px))
	}
	return w
}

func (f *fonts) wrap(text string, width, px int) block {
	b := block{px: px}
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch longer := strings.TrimSpace(line + " " + word); {
		case line == "" || f.width(longer, px) <= width:
			line = longer
		default:
			b.lines = append(b.lines, line)
			line = word
		}
	}
	b.lines = append(b.lines, line)
	return b
}

// Where a text stands in its rectangle.
type align int

const (
	left align = iota
	middle
	right
)

// text draws a block from the top of r on.
func (s *sheet) text(r image.Rectangle, b block, c color.RGBA, a align) {
	d := font.Drawer{Dst: s.Image, Src: image.NewUniform(c), Face: s.fonts.size(b.px)}
	for i, line := range b.lines {
		x := r.Min.X
		if room := r.Dx() - s.fonts.width(line, b.px); a == middle {
			x += room / 2
		} else if a == right {
			x += room
		}
		d.Dot = fixed.P(x, r.Min.Y+i*lead(b.px)+b.px)
		d.DrawString(line)
	}
}

// words fits a text into r in up to px pixels, draws it, and returns how much of r's height it took.
func (s *sheet) words(r image.Rectangle, text string, px int, c color.RGBA, a align) int {
	if text == "" || r.Empty() {
		return 0
	}
	b := s.fonts.fit(text, r.Dx(), r.Dy(), px)
	s.text(r, b, c, a)
	return b.height()
}

// top returns the uppermost part of r, at most so high.
func top(r image.Rectangle, high int) image.Rectangle {
	r.Max.Y = min(r.Max.Y, r.Min.Y+high)
	return r
}
