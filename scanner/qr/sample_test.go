package qr

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// gridOf is the grid of a text's code, parted.
func gridOf(t *testing.T, text string, level decoder.ErrorCorrectionLevel) *grid {
	t.Helper()
	hints := map[gozxing.EncodeHintType]any{}
	code, err := encoder.Encoder_encode(text, level, hints)
	if err != nil {
		t.Fatal(err)
	}
	m := code.GetMatrix()
	g := &grid{n: m.GetWidth()}
	for y := range g.n {
		for x := range g.n {
			g.dark = append(g.dark, m.Get(x, y) == 1)
		}
	}
	return g
}

// Whatever happens to format and version information, up to what their codes bear, the code is read.
func TestMatrixMends(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, length := range []int{5, 60, 150, 300, 700} {
		for _, level := range []decoder.ErrorCorrectionLevel{decoder.ErrorCorrectionLevel_L, decoder.ErrorCorrectionLevel_Q} {
			text := strings.Repeat("A", length)
			g := gridOf(t, text, level)
			n := g.n
			spoil := func(x, y int) { g.dark[y*n+x] = !g.dark[y*n+x] }
			for _, i := range random.Perm(15)[:2] {
				a, b := formatAt(i, n)
				spoil(a[0], a[1])
				if i%2 == 0 {
					spoil(b[0], b[1])
				}
			}
			if n >= 45 { // all of the version
				for i := range 18 {
					spoil(n-11+i%3, i/3)
					spoil(i/3, n-11+i%3)
				}
			}
			for _, mirrored := range []bool{false, true} {
				if mirrored {
					turned := slices.Clone(g.dark)
					for i := range turned {
						turned[i] = g.dark[i%n*n+i/n]
					}
					g.dark = turned
				}
				m := g.matrix()
				if m == nil {
					t.Fatalf("%d modules, mirrored %v: taken for no code", n, mirrored)
				}
				s, err := New().correct(m)
				if err != nil || text2(s) != text {
					t.Errorf("%d modules, mirrored %v: %v", n, mirrored, err)
				}
			}
		}
	}
}

func text2(s symbol) string { return text(s.parts) }

// What has no finders, or no format, is not given to the decoder.
func TestMatrixRefuses(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	taken := 0
	for range 1000 {
		g := &grid{n: 25, dark: make([]bool, 25*25)}
		for i := range g.dark {
			g.dark[i] = random.IntN(2) == 0
		}
		if g.matrix() != nil {
			taken++
		}
	}
	if taken > 0 {
		t.Errorf("%d of 1000 pictures of noise are taken for codes", taken)
	}
}

// A slope of light over the code and a soft edge between modules do not change what is dark.
func TestPart(t *testing.T) {
	g := gridOf(t, "HD1:"+strings.Repeat("7", 100), decoder.ErrorCorrectionLevel_M)
	want := slices.Clone(g.dark)
	n := g.n
	levels := make([]float32, n*n)
	for y := range n {
		for x := range n {
			v := float32(60 + 2*x + y)
			if !want[y*n+x] {
				v += 40
			}
			levels[y*n+x] = v
		}
	}
	l := &level{w: n, h: n, stride: n, pix: make([]byte, n*n)}
	for i, v := range levels {
		l.pix[i] = byte(v)
	}
	flat := view{1, 0, 0, 0, 1, 0, 0, 0, 1}
	for _, way := range ways {
		t.Run(fmt.Sprint(way), func(t *testing.T) {
			g.sample(&flat, n, lens{l, 1, false}, 1)
			g.part(way.reach, way.sharp)
			wrong := 0
			for i := range want {
				if g.dark[i] != want[i] {
					wrong++
				}
			}
			if wrong > n*n/50 {
				t.Errorf("%d of %d modules are wrong", wrong, n*n)
			}
		})
	}
}

// FuzzMatrix's input is a grid's modules.
func FuzzMatrix(f *testing.F) {
	g := gridOf(&testing.T{}, "A", decoder.ErrorCorrectionLevel_M)
	var seed []byte
	for _, d := range g.dark {
		if d {
			seed = append(seed, 1)
		} else {
			seed = append(seed, 0)
		}
	}
	f.Add(1, seed)
	f.Fuzz(func(t *testing.T, version int, modules []byte) {
		if version < 1 || version > 40 || len(modules) == 0 {
			return
		}
		n := 17 + 4*version
		g := &grid{n: n, dark: make([]bool, n*n)}
		for i := range g.dark {
			g.dark[i] = modules[i%len(modules)]>>(i/len(modules)%8)&1 != 0
		}
		if m := g.matrix(); m != nil {
			r := New()
			if r.correct(m); r.Panics() > 0 {
				t.Error("gozxing panics")
			}
		}
	})
}
