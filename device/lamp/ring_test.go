package lamp

import (
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// In a room where each step of the light adds to the picture, the light ends between too dark and too bright, and rests.
func TestRingFindsItsStep(t *testing.T) {
	for _, c := range []struct{ room, gain, low, high int }{
		{10, 20, tooDark, tooBright}, {100, 20, 100, 100}, {0, 2, 16, 16}, {250, 20, 250, 250},
	} {
		pin := &gpiotest.Pin{}
		r, err := NewRing(pin)
		if err != nil {
			t.Fatal(err)
		}
		mean := func() int { return c.room + c.gain*r.step }
		for range 2 * ringSteps {
			if err := r.See(mean()); err != nil {
				t.Fatal(err)
			}
		}
		rests := r.step
		if err := r.See(mean()); err != nil || r.step != rests || mean() < c.low || mean() > c.high {
			t.Errorf("room %d: step %d after %d, mean %d, %v", c.room, r.step, rests, mean(), err)
		}
		if pin.D != gpio.DutyMax*gpio.Duty(r.step)/ringSteps {
			t.Errorf("step %d has the duty %v", r.step, pin.D)
		}
	}
}

// A room that becomes bright turns the light off again.
func TestRingTurnsOff(t *testing.T) {
	r, err := NewRing(&gpiotest.Pin{})
	if err != nil {
		t.Fatal(err)
	}
	for range ringSteps {
		r.See(0)
	}
	full := r.step
	for range ringSteps {
		r.See(255)
	}
	if full != ringSteps || r.step != 0 {
		t.Errorf("from step %d to %d", full, r.step)
	}
}
