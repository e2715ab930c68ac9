package guard

import (
	"image/png"
	"net/http"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode"
)

// The slip's picture says what the self-test found, in any letters, and there is none before a test.
func TestSlip(t *testing.T) {
	g := newGate()
	s := serve(t, g)
	get := func() *http.Response {
		res, err := http.Get(s.URL + "/slip.png")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { res.Body.Close() })
		return res
	}
	if res := get(); res.StatusCode != http.StatusNotFound {
		t.Errorf("before a test: %s", res.Status)
	}
	const want = "Gatepost self-test: PASS 7/7\nChợ Mẫu\n0123456789abcdef"
	g.set(State{Slip: want})
	img, err := png.Decode(get().Body)
	if err != nil {
		t.Fatal(err)
	}
	bits, err := gozxing.NewBinaryBitmapFromImage(img)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := qrcode.NewQRCodeReader().Decode(bits, nil); err != nil || got.GetText() != want {
		t.Errorf("%v, %v", got, err)
	}
}
