package qr

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
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
					if r := max(2*u-27, 27-2*u, 2*v-27, 27-2*v); r < 12 || r > 20 { // half pixels from the middle, eight a module
						p.Pix[(y+v)*p.Stride+x+u] = 20
					}
				}
			}
		}
	}
	r := New()
	if got := r.Read(p); got != nil {
		t.Errorf("read %q", got)
	}
	if len(r.finders) < 100 {
		t.Fatalf("only %d finders: this frame proves nothing", len(r.finders))
	}
	if r.tries > maxTries+1 {
		t.Errorf("%d codes are sampled", r.tries)
	}
}

// The reader keeps its memory: frames without a code cost none.
func TestNothingIsAllocated(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	p := blank(640, 480)
	for i := range p.Pix {
		p.Pix[i] = byte(noise.IntN(256))
	}
	r := New()
	for _, p := range []*luma.Plane{blank(640, 480), p} {
		if n := testing.AllocsPerRun(5, func() { r.Read(p) }); n > 0 {
			t.Errorf("%v allocations", n)
		}
	}
}

// Several readers have nothing in common.
func TestReadersAtOnce(t *testing.T) {
	var group sync.WaitGroup
	for i := range 4 {
		group.Go(func() {
			p := blank(400, 300)
			text := card + string(rune('A'+i))
			draw(t, p, 20, 10, text)
			r := New()
			for range 5 {
				if got := r.Read(p); !slices.Equal(got, []string{text}) {
					t.Errorf("got %q", got)
				}
			}
		})
	}
	group.Wait()
}

// Light on dark, and a code within a code's picture.
func TestReadInverted(t *testing.T) {
	p := blank(400, 300)
	draw(t, p, 60, 40, card)
	for i, v := range p.Pix {
		p.Pix[i] = 255 - v
	}
	equal(t, New().Read(p), []string{card})
}

// A finder that cannot be seen is found by where it must be.
func TestReadWithoutAFinder(t *testing.T) {
	for _, at := range [][2]int{{0, 0}, {1, 0}, {0, 1}} {
		p := blank(400, 300)
		draw(t, p, 60, 40, card)
		side := 0 // of the code
		for x := 60; x < 400; x++ {
			if p.Pix[(40+16+2)*p.Stride+x] < 100 {
				side = x - (60 + 16) + 1
			}
		}
		// Glare on the outer ring of one finder, beside its middle: no row shows all its rings.
		x, y := 60+16+at[0]*(side-28), 40+16+at[1]*(side-28)
		for v := 6; v < 22; v++ {
			for u := range 5 {
				p.Pix[(y+v)*p.Stride+x+u] = 220
			}
		}
		r := New()
		equal(t, r.Read(p), []string{card})
		if len(r.finders) > 2 && r.best(3)[2].seen > 3 {
			t.Error("all finders are seen: this proves nothing")
		}
	}
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
	f.Add(60, 0, seed)
	f.Add(1, 0, seed)
	f.Add(400, 7, seed)
	f.Fuzz(func(t *testing.T, width, more int, dark []byte) {
		if width < 1 || width > 400 || 8*len(dark) < width || more < 0 || more > 100 {
			return
		}
		p := blank(width+more, 8*len(dark)/width)
		p.Width = width
		for i := range min(len(p.Pix), 8*len(dark)) {
			if dark[i/8]>>(i%8)&1 == 1 {
				p.Pix[i] = 20
			}
		}
		r := New()
		if r.Read(p); r.Panics() > 0 {
			t.Error("it panicked")
		}
	})
}

// An explanation has each module where it is, and says what it was taken for.
func TestExplain(t *testing.T) {
	for _, w := range []int{280, 400} { // the smaller picture is doubled
		p := blank(w, 280)
		draw(t, p, 40, 20, card)
		e := New().Explain(p)
		equal(t, e.Texts, []string{card})
		if len(e.Codes) != 1 || !e.Codes[0].Read || len(e.Finders) < 3 {
			t.Fatalf("%d finders, %d codes", len(e.Finders), len(e.Codes))
		}
		c := e.Codes[0]
		for i, m := range c.Modules {
			if dark := p.Pix[int(m[1])*p.Stride+int(m[0])] < 100; dark != c.Dark[i] {
				t.Fatalf("module %d at %v: dark %v, taken for %v", i, m, dark, c.Dark[i])
			}
		}
		if want := [2]float32{40 + 16, 20 + 16}; hypot(point{c.Corners[0][0], c.Corners[0][1]}, point{want[0], want[1]}) > 2 {
			t.Errorf("the corner is at %v, want %v", c.Corners[0], want)
		}
	}
}
