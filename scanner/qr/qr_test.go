package qr

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"gatepost/scanner/luma"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

const card = "001099000001|012345678|Nguyễn Văn A|02011990|Nam|Thôn Đông, Mê Linh, Hà Nội|03042021"

// draw puts the text's code, four pixels a module with its quiet zone, into p at (x, y).
func draw(t testing.TB, p *luma.Plane, x, y int, text string) {
	t.Helper()
	hints := map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"}
	code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, hints)
	if err != nil {
		t.Fatal(err)
	}
	m := code.GetMatrix()
	for v := range 4 * m.GetHeight() {
		for u := range 4 * m.GetWidth() {
			if m.Get(u/4, v/4) == 1 {
				p.Pix[(y+16+v)*p.Stride+x+16+u] = 20
			}
		}
	}
}

func blank(w, h int) *luma.Plane {
	return &luma.Plane{Width: w, Height: h, Stride: w, Pix: bytes.Repeat([]byte{220}, w*h)}
}

// turn turns p a quarter counter-clockwise; mirror swaps its left and right.
func turn(p *luma.Plane) *luma.Plane {
	q := blank(p.Height, p.Width)
	for y := range q.Height {
		for x := range q.Width {
			q.Pix[y*q.Stride+x] = p.Pix[x*p.Stride+p.Width-1-y]
		}
	}
	return q
}

func mirror(p *luma.Plane) *luma.Plane {
	q := blank(p.Width, p.Height)
	for y := range q.Height {
		copy(q.Pix[y*q.Stride:][:q.Width], p.Pix[y*p.Stride:])
		slices.Reverse(q.Pix[y*q.Stride:][:q.Width])
	}
	return q
}

func equal(t *testing.T, got, want []string) {
	t.Helper()
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestReadTurned(t *testing.T) {
	p := blank(400, 300)
	draw(t, p, 60, 40, card)
	r := New()
	for turns := range 4 {
		equal(t, r.Read(p), []string{card})
		equal(t, r.Read(mirror(p)), []string{card})
		if t.Failed() {
			t.Fatalf("after %d quarter turns", turns)
		}
		p = turn(p)
	}
}

func TestReadSeveral(t *testing.T) {
	p := blank(900, 640)
	var want []string
	for i, at := range [][2]int{{10, 10}, {320, 20}, {620, 5}, {30, 320}, {400, 330}} {
		text := strings.Repeat("HD1:", 1+4*i) + string(rune('A'+i))
		draw(t, p, at[0], at[1], text)
		want = append(want, text)
	}
	draw(t, p, 700, 330, want[0]) // the same code twice is one text
	equal(t, New().Read(p), want)
}

func TestReadPaddedPlane(t *testing.T) {
	p := blank(500, 300)
	draw(t, p, 60, 40, card)
	p.Width, p.Pix = 400, p.Pix[:len(p.Pix)-100]
	equal(t, New().Read(p), []string{card})
}

func TestReadNothing(t *testing.T) {
	r := New()
	for name, p := range map[string]*luma.Plane{
		"blank": blank(640, 480), "one pixel": blank(1, 1), "a line": blank(640, 1), "empty": {},
	} {
		if got := r.Read(p); got != nil {
			t.Errorf("%s: read %q", name, got)
		}
	}
}

func TestReadSurvivesPanic(t *testing.T) {
	r := New()
	if got := r.Read(&luma.Plane{Width: 100, Height: 100, Stride: 100, Pix: make([]byte, 50)}); got != nil || r.Panics() == 0 {
		t.Errorf("a plane without its pixels: %q, %d panics", got, r.Panics())
	}
	p := blank(400, 300)
	draw(t, p, 60, 40, card)
	equal(t, r.Read(p), []string{card})
}

// A poster full of finder patterns must not hold up the lane: unbounded, this frame takes minutes.
func TestManyFinderPatterns(t *testing.T) {
	p := blank(1280, 720)
	for y := 4; y+28 < p.Height; y += 36 {
		for x := 4; x+28 < p.Width; x += 36 {
			for v := range 28 {
				for u := range 28 {
					if r := max(abs(2*u-27), abs(2*v-27)); r < 12 || r > 20 { // half pixels from the middle, eight a module
						p.Pix[(y+v)*p.Stride+x+u] = 20
					}
				}
			}
		}
	}
	m, err := gozxing.NewHybridBinarizer(source(t, p)).GetBlackMatrix()
	if err != nil {
		t.Fatal(err)
	}
	cs := centres(m)
	if len(cs) < 500 {
		t.Fatalf("only %d centres: this frame proves nothing", len(cs))
	}
	if got := triples(cs); len(got) > maxTries {
		t.Errorf("%d triples are tried", len(got))
	}
	if got := New().Read(p); got != nil {
		t.Errorf("read %q", got)
	}
}

func abs(n int) int { return max(n, -n) }

func source(t *testing.T, p *luma.Plane) gozxing.LuminanceSource {
	t.Helper()
	s, err := gozxing.NewPlanarYUVLuminanceSource(p.Pix, p.Stride, p.Height, 0, 0, p.Width, p.Height, false)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// FuzzRead's input is one bit a pixel, so that it stays short enough to be mutated well.
func FuzzRead(f *testing.F) {
	p := blank(120, 120)
	draw(f, p, 0, 0, "A")
	var seed []byte
	for i := 0; i < 60*60; i++ { // every other pixel: two a module
		if i%8 == 0 {
			seed = append(seed, 0)
		}
		if p.Pix[i/60*2*p.Stride+i%60*2] < 100 {
			seed[i/8] |= 1 << (i % 8)
		}
	}
	f.Add(60, seed)
	f.Fuzz(func(t *testing.T, width int, dark []byte) {
		if width < 1 || width > 400 || 8*len(dark) < width {
			return
		}
		p := blank(width, 8*len(dark)/width)
		for i := range p.Pix {
			if dark[i/8]>>(i%8)&1 == 1 {
				p.Pix[i] = 20
			}
		}
		New().Read(p)
	})
}
