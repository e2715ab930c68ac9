package turnstile

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// relay notes when it moved, since the test began.
type relay struct {
	gpiotest.Pin
	began time.Time
	moves []string
	fails error
}

func (r *relay) Out(l gpio.Level) error {
	if l != r.L || len(r.moves) == 0 {
		r.moves = append(r.moves, fmt.Sprint(time.Since(r.began), " ", l))
	}
	return errors.Join(r.fails, r.Pin.Out(l))
}

var options = Options{Pulse: 500 * time.Millisecond, Wait: 5 * time.Second}

func TestOpen(t *testing.T) {
	for what, c := range map[string]struct {
		safe  bool
		edge  time.Duration // when somebody goes through; 0: nobody does, -1: nothing tells
		want  Passed
		moves []string
	}{
		"through at once":          {false, 200 * time.Millisecond, Turned, []string{"0s Low", "0s High", "200ms Low"}},
		"through late":             {false, 3 * time.Second, Turned, []string{"0s Low", "0s High", "500ms Low"}},
		"through too late":         {false, 6 * time.Second, NotTurned, []string{"0s Low", "0s High", "500ms Low"}},
		"not through":              {false, 0, NotTurned, []string{"0s Low", "0s High", "500ms Low"}},
		"nothing tells":            {false, -1, Unknown, []string{"0s Low", "0s High", "500ms Low"}},
		"fail-safe":                {true, 200 * time.Millisecond, Turned, []string{"0s High", "0s Low", "200ms High"}},
		"fail-safe, nothing tells": {true, -1, Unknown, []string{"0s High", "0s Low", "500ms High"}},
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r, o := &relay{began: time.Now()}, options
				o.Safe = c.safe
				var turned gpio.PinIn
				if c.edge >= 0 {
					pin := &gpiotest.Pin{EdgesChan: make(chan gpio.Level, 4)}
					pin.EdgesChan <- gpio.High // of somebody before
					turned = pin
					if c.edge > 0 {
						time.AfterFunc(c.edge, func() { pin.EdgesChan <- gpio.High })
					}
				}
				ts, err := New(r, turned, o)
				if err != nil {
					t.Fatal(err)
				}
				if got, err := ts.Open(t.Context()); got != c.want || err != nil {
					t.Errorf("%v, %v", got, err)
				}
				if !slices.Equal(r.moves, c.moves) {
					t.Errorf("the relay moved %q, want %q", r.moves, c.moves)
				}
				time.Sleep(time.Minute)
			})
		})
	}
}

// The end of the program shuts what is open.
func TestOpenEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &relay{began: time.Now()}
		ts, err := New(r, nil, Options{Pulse: time.Hour, Wait: time.Hour})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		if got, err := ts.Open(ctx); got != Unknown || err != nil || r.L != gpio.Low {
			t.Errorf("%v, %v, relay %v", got, err, r.L)
		}
	})
}

func TestRelayThatFails(t *testing.T) {
	r := &relay{}
	ts, err := New(r, nil, options)
	if err != nil {
		t.Fatal(err)
	}
	r.fails = errors.New("the line has gone")
	if got, err := ts.Open(t.Context()); got != Unknown || !errors.Is(err, r.fails) {
		t.Errorf("%v, %v", got, err)
	}
	if err := ts.Halt(); !errors.Is(err, r.fails) {
		t.Errorf("halt: %v", err)
	}
	if _, err := New(r, nil, options); !errors.Is(err, r.fails) {
		t.Errorf("new: %v", err)
	}
}
