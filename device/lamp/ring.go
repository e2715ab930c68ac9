package lamp

import (
	"fmt"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// A Ring is a ring light around a camera, dimmed by pulse width. It is for one goroutine.
type Ring struct {
	pin  gpio.PinOut
	step int // of ringSteps
}

const (
	ringSteps = 8
	ringRate  = physic.KiloHertz // above what a rolling shutter shows as bands

	tooDark, tooBright = 60, 170 // mean luma of a picture
)

// NewRing takes a pin with PWM and makes the light dark.
func NewRing(pin gpio.PinOut) (*Ring, error) {
	r := &Ring{pin: pin}
	return r, r.set(0)
}

// See takes the mean luma of a picture, 0 to 255, and makes the light a step brighter or darker where it must be. Called
// a few times a second it is at its aim within two seconds, and does not flicker around it.
func (r *Ring) See(mean int) error {
	switch {
	case mean < tooDark && r.step < ringSteps:
		return r.set(r.step + 1)
	case mean > tooBright && r.step > 0:
		return r.set(r.step - 1)
	}
	return nil
}

func (r *Ring) set(step int) error {
	if err := r.pin.PWM(gpio.DutyMax*gpio.Duty(step)/ringSteps, ringRate); err != nil {
		return fmt.Errorf("ring light: %w", err)
	}
	r.step = step
	return nil
}

// Halt makes the light dark and releases the pin.
func (r *Ring) Halt() error { return r.pin.Halt() }
