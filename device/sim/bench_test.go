package sim

import "testing"

func BenchmarkDraw(b *testing.B) {
	s := newScene(640, 480, 1)
	c, err := encode("HD1:A", s.codeSize(1))
	if err != nil {
		b.Fatal(err)
	}
	pix := make([]byte, 640*480)
	for b.Loop() {
		s.draw(pix, showing{codes: []code{c}, at: 1, move: 1, hold: 1})
	}
}
