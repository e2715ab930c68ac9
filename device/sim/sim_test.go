package sim

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/device"
)

// next returns the following frame.
func next(t *testing.T, c *Camera) device.Frame {
	t.Helper()
	var f device.Frame
	if err := c.Next(t.Context(), &f); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFramesComeAtTheirRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{FPS: 10})
		defer c.Close()
		first := next(t, c).At
		for range 10 {
			next(t, c)
		}
		if d := time.Since(first); d != time.Second {
			t.Errorf("ten frames took %v", d)
		}
	})
}

func TestFrameShape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at := time.Date(2021, 10, 1, 6, 0, 0, 0, time.UTC)
		c := New(Options{Width: 320, Height: 240, Now: func() time.Time { return at }})
		defer c.Close()
		f := next(t, c)
		if f.Format != device.Grey || f.Width != 320 || f.Height != 240 || f.Stride != 320 || len(f.Data) != 320*240 || !f.At.Equal(at) {
			t.Errorf("%v, %d x %d, stride %d, %d bytes at %v", f.Format, f.Width, f.Height, f.Stride, len(f.Data), f.At)
		}
	})
}

// Codes are lit for as long as they are held, and for more than a second between two showings there is none.
func TestShowing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{})
		defer c.Close()
		for range 2 {
			if err := c.Show([]string{"HD1:A"}, 2*time.Second); err != nil {
				t.Fatal(err)
			}
		}
		var lit []bool
		for c.Waiting() > 0 {
			lit = append(lit, bright(next(t, c)))
		}
		runs := runLengths(lit)
		if len(runs) != 5 || runs[1] != 30 || runs[2] <= 15 || runs[3] != 30 {
			t.Errorf("dark and lit frames by turns: %v; want 30 lit, more than a second dark, 30 lit", runs)
		}
		if bright(next(t, c)) {
			t.Error("nobody waits and a code is in view")
		}
	})
}

// bright tells whether there is a lit screen: nothing else comes near that white.
func bright(f device.Frame) bool {
	n := 0
	for _, b := range f.Data {
		if b >= paper-4 {
			n++
		}
	}
	return n > len(f.Data)/50
}

// runLengths counts equal neighbours, beginning with the false ones.
func runLengths(bits []bool) []int {
	runs, now := []int{0}, false
	for _, b := range bits {
		if b != now {
			runs, now = append(runs, 0), b
		}
		runs[len(runs)-1]++
	}
	return runs
}

func TestQueueIsBounded(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	for range maxQueue {
		if err := c.Show([]string{"A"}, time.Second); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.Show([]string{"A"}, time.Second); !errors.Is(err, ErrFull) {
		t.Errorf("one too many: %v", err)
	}
	if n := c.Waiting(); n != maxQueue {
		t.Errorf("%d wait", n)
	}
	c.Clear()
	if n := c.Waiting(); n != 0 {
		t.Errorf("%d wait after Clear", n)
	}
}

func TestShowRefuses(t *testing.T) {
	c := New(Options{})
	defer c.Close()
	for name, s := range map[string]struct {
		texts []string
		hold  time.Duration
	}{
		"nobody":            {nil, time.Second},
		"three people":      {[]string{"A", "B", "C"}, time.Second},
		"no text":           {[]string{""}, time.Second},
		"no UTF-8":          {[]string{"\xff"}, time.Second},
		"no time":           {[]string{"A"}, 0},
		"for ever":          {[]string{"A"}, time.Hour},
		"too long a text":   {[]string{strings.Repeat("x", 4000)}, time.Second},
		"too long for two":  {[]string{"A", strings.Repeat("x", 900)}, time.Second},
		"too long to carry": {[]string{strings.Repeat("x", 2000)}, time.Second},
	} {
		if err := c.Show(s.texts, s.hold); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if n := c.Waiting(); n != 0 {
		t.Errorf("%d wait", n)
	}
}

func TestNextEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Options{FPS: 1})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Next(ctx, new(device.Frame)) }()
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		go func() { done <- c.Next(t.Context(), new(device.Frame)) }()
		synctest.Wait()
		for range 2 {
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if err := <-done; !errors.Is(err, device.ErrGone) {
			t.Errorf("closed: %v", err)
		}
	})
}
