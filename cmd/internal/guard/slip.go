package guard

import (
	"image/png"
	"net/http"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// slipSize is the side of a slip's code, in pixels.
const slipSize = 400

// slip serves the code of the last self-test: GET /slip.png, 404 before the first.
func slip(w http.ResponseWriter, gate Gate) {
	text := gate.State().Slip
	if text == "" {
		http.Error(w, "no self-test was run", http.StatusNotFound)
		return
	}
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	code, err := qrcode.NewQRCodeWriter().Encode(text, gozxing.BarcodeFormat_QR_CODE, slipSize, slipSize, hints)
	if err != nil {
		http.Error(w, "too long for a code", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "image/png")
	png.Encode(w, code) // an error means that the guard has gone
}
