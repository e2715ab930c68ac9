// Package rtc reads and sets a DS3231, a clock with a battery of its own, over I2C. The chip keeps UTC.
//
// What it tells is as good as the last Set and its drift of a minute a year. A chip whose oscillator stood still since
// then, because its battery was empty or taken out, is ErrStopped until it is set again.
package rtc

import (
	"errors"
	"fmt"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/host/v3/sysfs"
)

// Registers of the DS3231's data sheet (Maxim 19-5170). The numbers are BCD.
const (
	address  = 0x68
	seconds  = 0x00 // then minutes, hours, day of the week, day, month with the century, year
	status   = 0x0f
	stopped  = 1 << 7 // of status: the oscillator stood still
	twelve   = 1 << 6 // of the hours: they are counted to twelve,
	evening  = 1 << 5 // and this is the second half of the day
	century  = 1 << 7 // of the month: 2100 and later
	firstDay = 2000   // the year in which the chip's calendar begins
)

var (
	// ErrStopped means that the clock stood still at some time since it was set.
	ErrStopped = errors.New("the clock with a battery stood still: is its battery empty?")
	// ErrNoTime means that the chip's registers hold no time.
	ErrNoTime = errors.New("the clock with a battery tells no time")
)

// A Clock is one DS3231. It is for one goroutine at a time.
type Clock struct {
	dev   i2c.Dev
	close func() error
}

// New returns the clock on a bus, which stays the caller's to close.
func New(bus i2c.Bus) *Clock {
	return &Clock{i2c.Dev{Bus: bus, Addr: address}, func() error { return nil }}
}

// Open returns the clock on /dev/i2c-N. Whether one is there, the first Read tells.
func Open(bus int) (*Clock, error) {
	b, err := sysfs.NewI2C(bus)
	if err != nil {
		return nil, fmt.Errorf("open I2C bus %d: %w", bus, err)
	}
	c := New(b)
	c.close = b.Close
	return c, nil
}

// Read returns the time, in UTC and whole seconds. Its errors are ErrStopped, ErrNoTime, and the bus's own.
func (c *Clock) Read() (time.Time, error) {
	var r [status + 1]byte // in one transfer, for which the chip holds its registers still
	if err := c.dev.Tx([]byte{seconds}, r[:]); err != nil {
		return time.Time{}, fmt.Errorf("read the clock with a battery: %w", err)
	}
	if r[status]&stopped != 0 {
		return time.Time{}, ErrStopped
	}
	return decode(r[:7])
}

// Set sets the clock to at and says with it that it is right.
func (c *Clock) Set(at time.Time) error {
	at = at.UTC().Round(time.Second)
	if y := at.Year(); y < firstDay || y >= firstDay+200 {
		return fmt.Errorf("set the clock with a battery to the year %d: it knows %d to %d", y, firstDay, firstDay+199)
	}
	var s [1]byte
	err := c.dev.Tx(append([]byte{seconds}, encode(at)...), nil)
	if err == nil {
		err = c.dev.Tx([]byte{status}, s[:])
	}
	if err == nil {
		err = c.dev.Tx([]byte{status, s[0] &^ stopped}, nil)
	}
	if err != nil {
		return fmt.Errorf("set the clock with a battery: %w", err)
	}
	return nil
}

// Close closes the bus that Open opened.
func (c *Clock) Close() error { return c.close() }

func encode(t time.Time) []byte {
	month := bcd(int(t.Month()))
	if t.Year() >= firstDay+100 {
		month |= century
	}
	return []byte{
		bcd(t.Second()), bcd(t.Minute()), bcd(t.Hour()), byte(t.Weekday()) + 1, bcd(t.Day()), month, bcd(t.Year() % 100),
	}
}

// decode reads the seven registers of the time. What is no time of any calendar is ErrNoTime: a bus without a chip may
// answer with ones alone.
func decode(r []byte) (time.Time, error) {
	year, month, hour := firstDay+number(r[6]), number(r[5]&^century), number(r[2])
	if r[5]&century != 0 {
		year += 100
	}
	if r[2]&twelve != 0 {
		hour = number(r[2]&0x1f) % 12
		if r[2]&evening != 0 {
			hour += 12
		}
	}
	t := time.Date(year, time.Month(month), number(r[4]), hour, number(r[1]), number(r[0]), 0, time.UTC)
	if want := encode(t); want[0] != r[0] || want[1] != r[1] || want[4] != r[4] || want[5] != r[5] || want[6] != r[6] || t.Hour() != hour {
		return time.Time{}, ErrNoTime
	}
	return t, nil
}

func bcd(n int) byte      { return byte(n/10<<4 | n%10) }
func number(bcd byte) int { return int(bcd>>4)*10 + int(bcd&15) }
