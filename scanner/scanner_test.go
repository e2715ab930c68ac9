package scanner

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/device"
	"gatepost/scanner/luma"
)

// script is a camera whose frames are read as the texts written here, one string a frame, texts parted by spaces.
// "!" is a frame that panics, "?" a frame that lies about its size.
type script struct {
	every  time.Duration
	frames []string
	i      int
}

var start = time.Date(2021, 10, 1, 6, 0, 0, 0, time.UTC)

func (c *script) Next(ctx context.Context, f *device.Frame) error {
	if c.i == len(c.frames) {
		return device.ErrEnd
	}
	*f = device.Frame{Format: device.Grey, Width: 1, Height: 1, Stride: 1, Data: append(f.Data[:0], byte(c.i)), At: start.Add(time.Duration(c.i) * c.every)}
	if c.frames[c.i] == "?" {
		f.Width = 100
	}
	c.i++
	return ctx.Err()
}

func (c *script) Close() error { return nil }

func (c *script) read(p *luma.Plane) []string {
	if text := c.frames[p.Pix[0]]; text != "!" {
		return strings.Fields(text)
	}
	panic("decoding")
}

func watch(c *script) *Scanner {
	s := New(c, nil)
	s.read = c.read
	return s
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		name   string
		every  time.Duration
		frames string // parted by commas
		want   string
	}{
		{"told once while it stays", 300 * time.Millisecond, ",A,A,A,A,A,A,A,", "A"},
		{"a short gap is no absence", 500 * time.Millisecond, "A,,A,,A", "A"},
		{"a second out of view exactly is none either", time.Second, "A,A", "A"},
		{"news again after more than a second", 600 * time.Millisecond, "A,,A", "A,A"},
		{"another joins: both are told", 300 * time.Millisecond, "A,A,A B,A B,B", "A,A B"},
		{"one leaves, nothing is new", 300 * time.Millisecond, "A B,A,A,B", "A B"},
		{"one takes the other's place", 300 * time.Millisecond, "A,B,A", "A,B"},
		{"a panic is a frame without a code", 300 * time.Millisecond, "A,!,A,!,B", "A,B"},
		{"so is a broken frame", 300 * time.Millisecond, "?,A,?,A", "A"},
		{"the clock goes back", -time.Hour, "A,A", "A,A"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := watch(&script{every: c.every, frames: strings.Split(c.frames, ",")})
			var got []string
			for {
				sighting, err := s.Next(t.Context())
				if errors.Is(err, device.ErrEnd) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, strings.Join(sighting.Texts, " "))
			}
			if want := strings.Split(c.want, ","); !slices.Equal(got, want) {
				t.Errorf("told %q, want %q", got, want)
			}
		})
	}
}

func TestSeenCountsWholeFrames(t *testing.T) {
	s := watch(&script{every: time.Second, frames: []string{"", "?", "!", "", "?"}})
	if _, err := s.Next(t.Context()); !errors.Is(err, device.ErrEnd) {
		t.Fatal(err)
	}
	if n, last := s.Seen(); n != 2 || !last.Equal(start.Add(3*time.Second)) {
		t.Errorf("%d frames until %v, want 2 until the fourth's time", n, last)
	}
}

func TestNextTellsItsFrame(t *testing.T) {
	s := watch(&script{every: time.Second, frames: []string{"", "", "A"}})
	if got, err := s.Next(t.Context()); err != nil || !got.At.Equal(start.Add(2*time.Second)) {
		t.Errorf("seen at %v, %v", got.At, err)
	}
}

// The memory of what was in view holds one second's texts, not a day's.
func TestMemoryIsShort(t *testing.T) {
	c := &script{every: 100 * time.Millisecond}
	for i := range 100 {
		c.frames = append(c.frames, strings.Repeat("A", i+1))
	}
	s := watch(c)
	for range c.frames {
		if _, err := s.Next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.last) > 11 {
		t.Errorf("%d texts are remembered", len(s.last))
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := watch(&script{frames: []string{"A"}}).Next(ctx); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
