package guard

import (
	"image"
	"image/color"
	"image/png"
	"net/http"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// slipModule is the side of a module of a slip's code, in pixels.
const slipModule = 4

// slip serves the code of the last self-test: GET /slip.png, 404 before the first.
func slip(w http.ResponseWriter, gate Gate) {
	text := gate.State().Slip
	if text == "" {
		http.Error(w, "no self-test was run", http.StatusNotFound)
		return
	}
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	m, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, 1, 1, hints)
	if err != nil {
		http.Error(w, "too long for a code", http.StatusInternalServerError)
		return
	}
	img := image.NewPaletted(image.Rect(0, 0, m.GetWidth()*slipModule, m.GetHeight()*slipModule), color.Palette{color.White, color.Black})
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			if m.Get(x/slipModule, y/slipModule) {
				img.SetColorIndex(x, y, 1)
			}
		}
	}
	w.Header().Set("Content-Type", "image/png")
	png.Encode(w, img) // an error means that the guard has gone
}
