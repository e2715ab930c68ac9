package qr

import (
	"math/rand/v2"
	"testing"

	"gatepost/scanner/luma"
)

// noise returns a plane of any bytes whose rows have a stride of their own.
func noise(w, h int, seed uint64) *luma.Plane {
	random := rand.New(rand.NewPCG(seed, 1))
	p := &luma.Plane{Width: w, Height: h, Stride: w + 5, Pix: make([]byte, (w+5)*h)}
	for i := range p.Pix {
		p.Pix[i] = byte(random.IntN(256))
	}
	return p
}

// What is done to eight pixels at once is what would be done to each.
func TestPyramid(t *testing.T) {
	for i, size := range [][2]int{{640, 480}, {641, 479}, {403, 307}, {333, 1000}, {999, 301}, {64, 64}, {17, 31}} {
		r := New()
		levels := r.pyramid(noise(size[0], size[1], uint64(i)))
		for n := range levels {
			l := &levels[n]
			checkHalf(t, l, &r.levels[n+1])
			checkBits(t, l)
		}
		if len(levels) == 0 {
			t.Errorf("%v: no level", size)
		}
	}
}

func checkHalf(t *testing.T, l, half *level) {
	t.Helper()
	if half.w != l.w/2 || half.h != l.h/2 {
		t.Fatalf("%d x %d is half of %d x %d", half.w, half.h, l.w, l.h)
	}
	for y := range half.h {
		for x := range half.w {
			sum := 2
			for _, d := range [4][2]int{{0, 0}, {1, 0}, {0, 1}, {1, 1}} {
				sum += int(l.pix[(2*y+d[1])*l.stride+2*x+d[0]])
			}
			if got := half.pix[y*half.stride+x]; int(got) != sum/4 {
				t.Fatalf("pixel (%d, %d) is %d, want %d", x, y, got, sum/4)
			}
		}
	}
}

func checkBits(t *testing.T, l *level) {
	t.Helper()
	row := make([]uint64, (l.w+63)/64)
	edges := make([]int32, l.w+8)
	for y := range l.h {
		l.pack(y, row)
		n, k, before := transitions(row, l.w, edges), 0, false
		for x := range l.w {
			dark := l.pix[y*l.stride+x] <= l.limit(x, y)
			if row[x/64]>>(x%64)&1 != 0 != dark {
				t.Fatalf("level of %d x %d: bit (%d, %d) is not %v", l.w, l.h, x, y, dark)
			}
			if dark != before {
				if k >= n || edges[k] != int32(x) {
					t.Fatalf("change at (%d, %d) is missed", x, y)
				}
				k++
			}
			before = dark
		}
		if k != n-1 || edges[k] != int32(l.w) {
			t.Fatalf("row %d: %d changes and the end, %d are found", y, k, n)
		}
	}
}

// A threshold is the mean of the 24 x 24 pixels around its block, less the bias.
func TestThreshold(t *testing.T) {
	r := New()
	levels := r.pyramid(noise(320, 240, 9))
	l, half := &levels[0], &r.levels[1]
	for by := 1; by < l.bh-1; by++ {
		for bx := 1; bx < l.bw-1; bx++ {
			sum := 0
			for y := 4*by - 4; y < 4*by+8; y++ {
				for x := 4*bx - 4; x < 4*bx+8; x++ {
					sum += int(half.pix[y*half.stride+x])
				}
			}
			if got, want := l.threshold[by*l.bw+bx], sum/144-bias; int(got) != want {
				t.Fatalf("block (%d, %d): %d, want %d", bx, by, got, want)
			}
		}
	}
}
