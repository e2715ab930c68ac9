package sim

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// A code is the modules of a QR code without its quiet zone.
type code struct{ modules *encoder.ByteMatrix }

const (
	quiet     = 4  // modules of light around a code
	maxMid    = 73 // modules a side of the largest code drawn with error correction M; longer texts take L
	minModule = 3  // pixels; smaller ones are not read reliably
	maxModule = 8  // larger ones would look like a poster
)

// encode returns the code of a text, to be drawn in so many pixels.
func encode(text string, size int) (code, error) {
	if text == "" || !utf8.ValidString(text) {
		return code{}, errors.New("a code's text must be UTF-8 and not empty")
	}
	c, err := encodeAt(decoder.ErrorCorrectionLevel_M, text)
	if err != nil || c.modules.GetWidth() > maxMid {
		c, err = encodeAt(decoder.ErrorCorrectionLevel_L, text)
	}
	if err != nil {
		return code{}, fmt.Errorf("draw a code of %d bytes: %w", len(text), err)
	}
	if minModule*(c.modules.GetWidth()+2*quiet) > size {
		return code{}, fmt.Errorf("a code of %d bytes is too dense for %d pixels", len(text), size)
	}
	return c, nil
}

func encodeAt(level decoder.ErrorCorrectionLevel, text string) (code, error) {
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	q, err := encoder.Encoder_encode(text, level, hints)
	if err != nil {
		return code{}, err
	}
	return code{q.GetMatrix()}, nil
}

// dark tells whether the point (u, v), in modules from the code's middle, lies on a dark module.
func (c code) dark(u, v float64) bool {
	n := c.modules.GetWidth()
	u, v = u+float64(n)/2, v+float64(n)/2
	return u >= 0 && v >= 0 && u < float64(n) && v < float64(n) && c.modules.Get(int(u), int(v)) == 1
}

// module returns the side of one module, in pixels, on a screen of size pixels.
func (c code) module(size float64) float64 {
	return min(maxModule, size/float64(c.modules.GetWidth()+2*quiet))
}
