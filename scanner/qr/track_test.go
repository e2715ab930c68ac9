package qr

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"gatepost/scanner/luma"
)

// held is a frame with a code at a place, under noise.
func held(t *testing.T, text string, x, y int, noise float64, seed uint64) *luma.Plane {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 7))
	p := blank(640, 480)
	if text != "" {
		draw(t, p, x, y, text)
	}
	for i, v := range p.Pix {
		p.Pix[i] = byte(min(max(float64(v)+random.NormFloat64()*noise, 0), 255))
	}
	return p
}

// A code that moves is read in every frame, and mostly where it was, without a search.
func TestFollow(t *testing.T) {
	tr := NewTracker()
	searched := 0
	for i := range 12 {
		if got := tr.Read(held(t, card, 100+9*i, 60+5*i, 3, uint64(i))); !slices.Equal(got, []string{card}) {
			t.Fatalf("frame %d: %q", i, got)
		}
		if tr.whole == 0 {
			searched++
		}
	}
	if searched > 4 {
		t.Errorf("the whole picture was searched in %d of 12 frames", searched)
	}
}

// Turned codes are followed too: a finder's cut by a row is not its side.
func TestFollowTurned(t *testing.T) {
	p := blank(400, 400)
	draw(t, p, 100, 100, card)
	for turns := range 4 {
		tr := NewTracker()
		for i := range 3 {
			if got := tr.Read(p); !slices.Equal(got, []string{card}) || i > 0 && tr.whole != i {
				t.Errorf("turned %d times, frame %d: %q, searched %d frames ago", turns, i, got, tr.whole)
			}
		}
		p = turn(p)
	}
}

// Another code is seen within a few frames, one that goes is gone at once.
func TestComeAndGo(t *testing.T) {
	tr := NewTracker()
	one := held(t, card, 30, 60, 3, 1)
	two := held(t, card, 30, 60, 3, 2)
	draw(t, two, 330, 60, "another one")
	tr.Read(one)
	seen := 0
	for i := range searchEach {
		if got := tr.Read(two); slices.Contains(got, "another one") {
			seen = i + 1
			break
		}
	}
	if seen == 0 {
		t.Error("a second code is not seen")
	}
	if got := tr.Read(held(t, "", 0, 0, 3, 3)); got != nil {
		t.Errorf("with no code: %q", got)
	}
	if got := tr.Read(one); !slices.Equal(got, []string{card}) {
		t.Errorf("it comes back: %q", got)
	}
}

// Where nothing moves, nothing is searched for a while; whatever comes into view is seen at once.
func TestStill(t *testing.T) {
	tr := NewTracker()
	searched := 0
	for i := range 2 * lookEach {
		tr.Read(held(t, "", 0, 0, 3, uint64(i)))
		if tr.whole == 0 {
			searched++
		}
	}
	if searched > 3 {
		t.Errorf("searched in %d of %d frames", searched, 2*lookEach)
	}
	if got := tr.Read(held(t, card, 100, 100, 3, 99)); !slices.Equal(got, []string{card}) {
		t.Errorf("what comes into view: %q", got)
	}
}

// What no frame shows by itself, several do: a band of light wanders over a phone.
func TestFuse(t *testing.T) {
	text := "HD1:" + strings.Repeat("0123456789", 12)
	tr, alone, together := NewTracker(), 0, 0
	for i := range 8 {
		p := held(t, text, 40, 30, 3, uint64(i))
		from := 30 + 16 + 32 + i%4*24
		for y := from; y < from+44; y++ {
			for x := range p.Width {
				p.Pix[y*p.Stride+x] = 250
			}
		}
		alone += len(New().Read(p))
		got := tr.Read(p)
		if len(got) > 0 && got[0] != text {
			t.Errorf("wrongly read %q", got)
		}
		together += len(got)
	}
	if alone > 0 || together == 0 {
		t.Errorf("%d of 8 frames are read alone, and with the others %d", alone, together)
	}
}

// A tracker takes frames of any size after one another.
func TestTrackerSizes(t *testing.T) {
	tr := NewTracker()
	for _, size := range [][2]int{{640, 480}, {0, 0}, {1, 1}, {320, 240}, {16, 16}, {1280, 720}, {640, 1}, {333, 777}} {
		tr.Read(noise(size[0], size[1], 1))
		tr.Read(noise(size[0], size[1], 2))
	}
	if tr.Panics() > 0 {
		t.Errorf("%d panics", tr.Panics())
	}
}
