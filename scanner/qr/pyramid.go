package qr

import (
	"encoding/binary"

	"gatepost/scanner/luma"
)

// A level is the picture at one scale: level 0 is the camera's, each further one has half the width and height of the one
// before. Small codes are found on the first, and large, blurred or noisy ones on a later one.
type level struct {
	w, h   int // pixels
	stride int
	pix    []byte

	// Thresholds of blocks of 8 x 8 pixels, rows of blocks: the mean of 3 x 3 of them.
	bw, bh    int
	threshold []byte
	sums      []int32 // of the blocks' pixels
}

const (
	maxLevels = 5
	minSide   = 16 // pixels: a smaller level is not made

	maxSmall = 300 // pixels: a picture that is not larger is made twice as large first
)

// Lanes of eight bytes in a word, which one operation handles at a time.
const (
	evenBytes = 0x00ff00ff00ff00ff
	eachByte  = 0x0101010101010101
	highBits  = 0x8080808080808080
)

// pyramid makes the levels of p. It re-uses their memory.
func (r *Reader) pyramid(p *luma.Plane) []level {
	if r.levels == nil {
		r.levels = make([]level, maxLevels+1)
	}
	first := &r.levels[0]
	first.w, first.h, first.stride, first.pix = p.Width, p.Height, p.Stride, p.Pix
	if r.small = p.Width <= maxSmall && p.Height <= maxSmall; r.small {
		first.double(p, &r.doubled)
	}
	n := 1
	for n <= maxLevels && r.levels[n-1].w >= minSide && r.levels[n-1].h >= minSide {
		r.levels[n].halve(&r.levels[n-1])
		r.levels[n-1].measure(&r.levels[n])
		n++
	}
	return r.levels[:n-1]
}

// double makes l of p, twice as wide and high: a picture that is all code may have a pixel a module.
func (l *level) double(p *luma.Plane, pix *[]byte) {
	l.w, l.h, l.stride = 2*p.Width, 2*p.Height, 2*p.Width
	*pix = grow(*pix, l.w*l.h)
	l.pix = *pix
	for y := range p.Height {
		row := l.pix[2*y*l.stride:][:2*l.w]
		for x, v := range p.Pix[y*p.Stride:][:p.Width] {
			row[2*x], row[2*x+1], row[l.stride+2*x], row[l.stride+2*x+1] = v, v, v, v
		}
	}
}

// halve makes l of the means of 2 x 2 pixels of the level before.
func (l *level) halve(from *level) {
	l.w, l.h = from.w/2, from.h/2
	l.stride = l.w
	l.pix = grow(l.pix, l.w*l.h)
	for y := range l.h {
		a := from.pix[2*y*from.stride:][:from.w]
		b := from.pix[(2*y+1)*from.stride:][:from.w]
		to := l.pix[y*l.stride:][:l.w]
		x := 0
		for ; x+8 <= l.w; x += 8 {
			u, v := a[2*x:2*x+16], b[2*x:2*x+16]
			left := means(binary.LittleEndian.Uint64(u), binary.LittleEndian.Uint64(v))
			right := means(binary.LittleEndian.Uint64(u[8:]), binary.LittleEndian.Uint64(v[8:]))
			binary.LittleEndian.PutUint64(to[x:x+8], left|right<<32)
		}
		for ; x < l.w; x++ {
			to[x] = byte((int(a[2*x]) + int(a[2*x+1]) + int(b[2*x]) + int(b[2*x+1]) + 2) / 4)
		}
	}
}

// means returns the means of 2 x 2 of eight pixels each of two rows, four bytes.
func means(a, b uint64) uint64 {
	s := a&evenBytes + a>>8&evenBytes + b&evenBytes + b>>8&evenBytes + 0x0002000200020002
	s = s >> 2 & evenBytes
	s = (s | s>>8) & 0x0000ffff0000ffff
	return (s | s>>16) & 0xffffffff
}

// measure sets the thresholds of l, of which half is the next level: a block of l is 4 x 4 pixels there.
func (l *level) measure(half *level) {
	l.bw, l.bh = half.w/4, half.h/4
	l.sums = grow(l.sums, l.bw*l.bh)
	l.threshold = grow(l.threshold, l.bw*l.bh)
	for by := range l.bh {
		sums := l.sums[by*l.bw:][:l.bw]
		rows := half.pix[4*by*half.stride:]
		bx := 0
		for ; bx+1 < len(sums); bx += 2 {
			var s uint64
			for k := range 4 {
				v := binary.LittleEndian.Uint64(rows[k*half.stride+4*bx:])
				s += v&evenBytes + v>>8&evenBytes
			}
			s += s >> 16
			sums[bx], sums[bx+1] = int32(s&0xffff), int32(s>>32&0xffff)
		}
		for ; bx < len(sums); bx++ {
			sums[bx] = 0
			for k := range 16 {
				sums[bx] += int32(rows[k/4*half.stride+4*bx+k%4])
			}
		}
	}
	for by := range l.bh {
		top, bottom := max(0, by-1), min(l.bh-1, by+1)
		above, here, below := l.sums[top*l.bw:][:l.bw], l.sums[by*l.bw:][:l.bw], l.sums[bottom*l.bw:][:l.bw]
		row := l.threshold[by*l.bw:][:l.bw]
		a := above[0] + here[0] + below[0]
		b := a
		for x := range row {
			c := b
			if x+1 < len(row) {
				c = above[x+1] + here[x+1] + below[x+1]
			}
			row[x] = byte(max(0, (a+b+c)/(9*16)-bias))
			a, b = b, c
		}
	}
}

// bias keeps the noise of an even surface from being read as dark.
const bias = 4

// limit returns the threshold at a pixel: what is not above it is dark.
func (l *level) limit(x, y int) byte {
	return l.threshold[min(y/8, l.bh-1)*l.bw+min(x/8, l.bw-1)]
}

// pack writes one row as bits, lowest first: set where it is dark. The last word's bits beyond the width are not set.
func (l *level) pack(y int, to []uint64) {
	row := l.pix[y*l.stride:][:l.w]
	limits := l.threshold[min(y/8, l.bh-1)*l.bw:][:l.bw]
	for i := range to {
		var w uint64
		n := min(8, l.w/8-8*i)
		for k := range max(0, n) {
			b := 8*i + k
			x := binary.LittleEndian.Uint64(row[8*b:])
			t := uint64(limits[min(b, len(limits)-1)]) * eachByte
			z := (t | highBits) - x&^highBits
			dark := (t&^x | ^(t^x)&z) & highBits
			w |= dark >> 7 * 0x0102040810204080 >> 56 << (8 * k)
		}
		to[i] = w
	}
	for x := l.w / 8 * 8; x < l.w; x++ {
		if row[x] <= limits[len(limits)-1] {
			to[x/64] |= 1 << (x % 64)
		}
	}
}

// A lens looks at points of level 0 on the level that suits a code.
type lens struct {
	*level
	scale float32 // pixels of the level a pixel of level 0
	light bool    // the code is light on dark, and shown dark on light
}

// lens returns the one for modules of size pixels: it has at least 2.5 pixels a module, where level 0 has.
func (r *Reader) lens(size float32, light bool) lens {
	i, scale := 0, float32(1)
	for i+1 < len(r.used) && size*scale >= 5 {
		i++
		scale /= 2
	}
	return lens{&r.used[i], scale, light}
}

// coarser returns the lens on the next level, or k where there is none.
func (r *Reader) coarser(k lens) lens {
	for i := range r.used[:len(r.used)-1] {
		if &r.used[i] == k.level {
			return lens{&r.used[i+1], k.scale / 2, k.light}
		}
	}
	return k
}

// at returns the brightness at a point of level 0, whose first pixel has its middle at (0.5, 0.5).
func (k lens) at(x, y float32) float32 {
	x = min(max(x*k.scale-.5, 0), float32(k.w)-1.001)
	y = min(max(y*k.scale-.5, 0), float32(k.h)-1.001)
	ix, iy := int(x), int(y)
	fx, fy := x-float32(ix), y-float32(iy)
	i := iy*k.stride + ix
	top, bottom := k.pix[i:i+2], k.pix[i+k.stride:i+k.stride+2]
	a := float32(top[0]) + fx*(float32(top[1])-float32(top[0]))
	b := float32(bottom[0]) + fx*(float32(bottom[1])-float32(bottom[0]))
	v := a + fy*(b-a)
	if k.light {
		return 255 - v
	}
	return v
}

// grow returns a slice of n, with old's memory where it is enough.
func grow[T any](old []T, n int) []T {
	if cap(old) < n {
		return make([]T, n)
	}
	return old[:n]
}
