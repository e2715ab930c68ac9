package gpiochip

import (
	"errors"
	"fmt"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// An Output drives one line. It is safe for concurrent use.
type Output struct{ pin }

var _ gpio.PinOut = (*Output)(nil)

// Output takes the line of that name or number and drives it at once to initial. With low, what is active (High
// here) is a low voltage, as at many relay boards. The caller halts it.
func (c *Chip) Output(line string, initial gpio.Level, low bool) (*Output, error) {
	config := lineConfig{flags: output, numAttrs: 1}
	if low {
		config.flags |= activeLow
	}
	config.attrs[0].id, config.attrs[0].mask = outputValues, 1
	config.attrs[0].value = bit(initial)
	p, err := c.take(line, config)
	if err != nil {
		return nil, err
	}
	return &Output{p}, nil
}

// Out drives the line to l. Writing the level that it has already changes nothing.
func (o *Output) Out(l gpio.Level) error {
	if err := call(o.file, setValues, &lineValues{bits: bit(l), mask: 1}); err != nil {
		return fmt.Errorf("set %s: %w", o, err)
	}
	return nil
}

// Level returns what the line is driven to.
func (o *Output) Level() (gpio.Level, error) {
	l, err := o.level()
	return gpio.Level(l), err
}

// Halt drives the line to its inactive level and releases it. The Output is of no use afterwards.
func (o *Output) Halt() error { return errors.Join(o.Out(gpio.Low), o.file.Close()) }

// Function implements periph's pin.Pin.
func (o *Output) Function() string { return "Out" }

// PWM always fails: the character device has none.
func (o *Output) PWM(gpio.Duty, physic.Frequency) error {
	return fmt.Errorf("%s: no pulse width modulation", o)
}

func bit(l gpio.Level) uint64 {
	if l {
		return 1
	}
	return 0
}
