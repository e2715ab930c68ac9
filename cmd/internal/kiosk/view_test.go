package kiosk

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"gatepost/device"
	"gatepost/scanner/luma"
)

// lens is a camera whose frames are drawn by a function of the frame's number.
type lens struct {
	draw func(n int, pix []byte)
	n    int
	at   time.Time
}

const lensW, lensH = 320, 240

func (l *lens) Next(_ context.Context, f *device.Frame) error {
	*f = device.Frame{Format: device.Grey, Width: lensW, Height: lensH, Stride: lensW, Data: make([]byte, lensW*lensH), At: l.at}
	l.draw(l.n, f.Data)
	l.n++
	l.at = l.at.Add(250 * time.Millisecond)
	return nil
}

func (l *lens) Close() error { return nil }

// scenery is a picture with edges a few pixels wide, and a sensor's noise.
func scenery(low, high, edge int) func(n int, pix []byte) {
	return func(n int, pix []byte) {
		noise := rand.New(rand.NewPCG(uint64(n), 7))
		for i := range pix {
			away := max(i%80, 40) - min(i%80, 40) // from the middle of a dark stripe
			level := min(max(20-away+edge/2, 0), edge)
			pix[i] = byte(high-(high-low)*level/max(1, edge)) + byte(noise.IntN(3))
		}
	}
}

func TestTroublesOfACamera(t *testing.T) {
	still := scenery(40, 200, 1)
	for what, c := range map[string]struct {
		draw func(n int, pix []byte)
		want look
	}{
		"a good picture":   {scenery(40, 200, 2), ""},
		"a dim one":        {scenery(10, 60, 2), ""},
		"it stands still":  {func(_ int, pix []byte) { still(0, pix) }, frozen},
		"the light is out": {scenery(2, 12, 2), dark},
		"a hand before it": {scenery(100, 104, 2), covered},
		"a wet lens":       {scenery(40, 200, 40), blurred},
		"for a moment": {func(n int, pix []byte) {
			scenery(40, 200, 2)(n, pix)
			if n%20 == 0 {
				clear(pix)
			}
		}, ""},
	} {
		v := newView(&lens{draw: c.draw, at: morning})
		look := func() {
			var f device.Frame
			var p luma.Plane
			if err := errors.Join(v.Next(t.Context(), &f), p.Set(f)); err != nil {
				t.Fatal(err)
			}
			v.see(&f, &p)
		}
		for range 4 * 4 {
			look()
		}
		if got := v.Trouble(); got != "" && what != "the light is out" {
			t.Errorf("%s: %q too early", what, got)
		}
		for range 4 * 8 {
			look()
		}
		if got := v.Trouble(); got != string(c.want) {
			t.Errorf("%s: %q", what, got)
		}
		if p := v.View(); p == nil || p.Rect.Dx() != smallWidth || p.Rect.Dy() != 120 {
			t.Errorf("%s: no small picture", what)
		}
	}
}

// A camera that fails has shown a sign of life.
func TestBeatComesWithErrorsToo(t *testing.T) {
	v := newView(&fails{})
	before := time.Now()
	if err := v.Next(t.Context(), &device.Frame{}); !errors.Is(err, device.ErrGone) || v.Beat().Before(before) {
		t.Errorf("%v, beat %v", err, v.Beat())
	}
}

type fails struct{}

func (fails) Next(context.Context, *device.Frame) error { return device.ErrGone }
func (fails) Close() error                              { return nil }
