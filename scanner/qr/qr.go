// Package qr reads the QR codes in a plane of brightness: every code in view, turned any way, upside down or mirrored.
//
// The text of a code is UTF-8: its bytes are read in the charset that the code declares (ECI), else as UTF-8 if they
// are valid in it, else as Shift-JIS if valid, else as ISO 8859-1, all segments in order. A code whose error correction
// does not come out even, or whose segments are malformed, is no code: nothing is guessed.
//
// It does not promise to find a code that gozxing's binarisers and finder miss (blur, glare, low contrast, light on dark),
// nor Micro QR, and it remembers nothing of an earlier frame.
package qr

import (
	"slices"

	"gatepost/scanner/luma"

	"github.com/makiuchi-d/gozxing"
)

// A Reader reads one plane after the other. It is not safe for concurrent use: a lane has its own.
type Reader struct {
	panics uint64
}

// New returns a Reader.
func New() *Reader { return new(Reader) }

// Panics returns how many times the code below this package panicked. Such a frame holds no code.
func (r *Reader) Panics() uint64 { return r.panics }

// Read returns the texts of the codes in p, each once, none of them empty. A text that several codes share out
// (structured append) is joined where all of them are in view; otherwise each code's piece is a text.
func (r *Reader) Read(p *luma.Plane) []string {
	for _, binarizer := range []func(gozxing.LuminanceSource) gozxing.Binarizer{
		gozxing.NewHybridBinarizer,         // a threshold of its own a block: shadows, screens
		gozxing.NewGlobalHistgramBinarizer, // one for the whole picture: large modules that fill a block
	} {
		if t := texts(r.symbols(p, binarizer)); len(t) > 0 {
			return t
		}
	}
	return nil
}

func (r *Reader) symbols(p *luma.Plane, binarizer func(gozxing.LuminanceSource) gozxing.Binarizer) (found []symbol) {
	defer func() {
		if recover() != nil { // gozxing indexes arrays by what it measures in the picture
			r.panics++
			found = nil
		}
	}()
	source, err := gozxing.NewPlanarYUVLuminanceSource(p.Pix, p.Stride, p.Height, 0, 0, p.Width, p.Height, false)
	if err != nil {
		return nil
	}
	m, err := binarizer(source).GetBlackMatrix()
	if err != nil { // too little contrast
		return nil
	}
	return find(m)
}

func texts(found []symbol) []string {
	var all []string
	for _, s := range found {
		parts := s.parts
		if whole := s.whole(found); whole != nil {
			parts = whole
		}
		if t := text(parts); t != "" && !slices.Contains(all, t) {
			all = append(all, t)
		}
	}
	return all
}

// whole returns the parts of all codes of s's set in their order, or nil where one is missing or s stands alone.
func (s symbol) whole(found []symbol) []part {
	var all []part
	for index := range s.set.count {
		want := set{index, s.set.count, s.set.parity}
		i := slices.IndexFunc(found, func(o symbol) bool { return o.set == want })
		if i < 0 {
			return nil
		}
		all = join(all, found[i].parts...)
	}
	return all
}
