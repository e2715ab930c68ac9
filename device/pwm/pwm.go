// Package pwm gives the channels of Linux's PWM controllers (/sys/class/pwm) as periph's gpio.PinOut: a buzzer that
// sings, a light that dims.
//
// A channel counts whole nanoseconds. It is for one goroutine at a time, and nobody else may hold it.
package pwm

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/physic"
)

// A Channel is one output of a controller.
type Channel struct {
	dir    string
	number int
	period int64 // nanoseconds, as last written; 0: not yet
}

var _ gpio.PinOut = (*Channel)(nil)

// idle is the period, in nanoseconds, at which Out drives a constant level.
const idle = int64(time.Millisecond)

// Open takes a channel of the controller whose folder is chip, such as /sys/class/pwm/pwmchip0, and makes it low.
func Open(chip string, channel int) (*Channel, error) {
	c := &Channel{dir: filepath.Join(chip, "pwm"+strconv.Itoa(channel)), number: channel}
	if _, err := os.Stat(c.dir); errors.Is(err, fs.ErrNotExist) { // else a run that was killed left it here
		if err := write(filepath.Join(chip, "export"), int64(channel)); err != nil {
			return nil, fmt.Errorf("take PWM channel: %w", err)
		}
	}
	if err := c.Out(gpio.Low); err != nil {
		return nil, err
	}
	return c, nil
}

// PWM implements gpio.PinOut. The channel is dark while its period changes, since it may never be shorter than the pulse.
func (c *Channel) PWM(duty gpio.Duty, f physic.Frequency) error {
	if !duty.Valid() || f <= 0 {
		return fmt.Errorf("%s: no duty %s at %s", c, duty, f)
	}
	return c.set(f.Period().Nanoseconds(), duty)
}

// Out implements gpio.PinOut.
func (c *Channel) Out(l gpio.Level) error {
	if l {
		return c.set(max(c.period, idle), gpio.DutyMax)
	}
	return c.set(max(c.period, idle), 0)
}

func (c *Channel) set(period int64, duty gpio.Duty) error {
	if c.period != period {
		if err := c.write("duty_cycle", 0); err != nil && c.period != 0 { // a fresh channel has no period, and takes no pulse yet
			return err
		}
		if err := c.write("period", period); err != nil {
			return err
		}
		c.period = period
	}
	if err := c.write("duty_cycle", period*int64(duty)/int64(gpio.DutyMax)); err != nil {
		return err
	}
	return c.write("enable", 1)
}

// Halt makes the channel low and stops it. It can be used again.
func (c *Channel) Halt() error { return errors.Join(c.Out(gpio.Low), c.write("enable", 0)) }

func (c *Channel) write(file string, n int64) error {
	if err := write(filepath.Join(c.dir, file), n); err != nil {
		return fmt.Errorf("%s: %w", c, err)
	}
	return nil
}

func write(path string, n int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_TRUNC, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString(strconv.FormatInt(n, 10))
	return errors.Join(err, f.Close())
}

// String returns the channel's folder.
func (c *Channel) String() string { return c.dir }

// Name implements periph's pin.Pin.
func (c *Channel) Name() string { return filepath.Base(c.dir) }

// Number returns the channel's number on its controller.
func (c *Channel) Number() int { return c.number }

// Function implements periph's pin.Pin.
func (c *Channel) Function() string { return "PWM" }
