// Package gpiochip gives the lines of Linux's GPIO character devices (uapi version 2, kernel 5.10 and newer) as
// periph's gpio.PinOut and gpio.PinIn.
//
// A line's direction and its first level are set in one request, so that a relay never twitches on the way, and
// an output that is halted goes to its inactive level before it is released. What a line does after its release,
// and before its first request, is the board's affair: give a relay a resistor that holds it off.
//
// There is no PWM, no analogue anything, and no line is shared: one that somebody else holds is an error.
// A chip that was taken away (an expander on USB) is device.ErrGone; close it and open it again.
package gpiochip

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// consumer is the name under which other programs see our lines as taken.
const consumer = "gatepost"

// A Chip is one GPIO controller. It is safe for concurrent use.
type Chip struct {
	file  *os.File
	name  string
	label string
	lines uint32
}

// Open opens a chip by its path ("/dev/gpiochip0") or by its label ("pinctrl-bcm2711", as gpiodetect shows it).
// When there is none the error is device.ErrGone.
func Open(chip string) (*Chip, error) {
	if strings.Contains(chip, "/") {
		return open(chip)
	}
	paths, err := filepath.Glob("/dev/gpiochip*")
	if err != nil {
		return nil, err
	}
	var broken []error
	for _, path := range paths {
		c, err := open(path)
		if err != nil {
			broken = append(broken, err)
			continue
		}
		if c.label == chip {
			return c, nil
		}
		c.Close()
	}
	return nil, errors.Join(append(broken, fmt.Errorf("gpio chip labelled %q: %w", chip, device.ErrGone))...)
}

func open(path string) (*Chip, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("gpio chip %s: %w", path, device.ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open gpio chip: %w", err)
	}
	var info chipInfo
	if err := call(f, getChipInfo, &info); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is no gpio chip: %w", path, err)
	}
	return &Chip{f, text(info.name), text(info.label), info.lines}, nil
}

// Close closes the chip. Lines that were taken from it stay taken until their own Halt.
func (c *Chip) Close() error { return c.file.Close() }

// String returns name, label and the number of lines.
func (c *Chip) String() string { return fmt.Sprintf("%s [%s] %d lines", c.name, c.label, c.lines) }

// find returns the line of that name, or else of that number. A name that two lines have is an error.
func (c *Chip) find(line string) (lineInfo, error) {
	var found []lineInfo
	for i := range c.lines {
		info, err := c.line(i)
		if err != nil {
			return lineInfo{}, err
		}
		if line != "" && text(info.name) == line {
			found = append(found, info)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	if len(found) > 1 {
		return lineInfo{}, fmt.Errorf("%d lines of %s are named %q: give a number", len(found), c.name, line)
	}
	n, err := strconv.ParseUint(line, 10, 32)
	if err != nil || uint32(n) >= c.lines {
		return lineInfo{}, fmt.Errorf("%s has no line %q", c, line)
	}
	return c.line(uint32(n))
}

func (c *Chip) line(offset uint32) (lineInfo, error) {
	info := lineInfo{offset: offset}
	if err := call(c.file, getLineInfo, &info); err != nil {
		return info, fmt.Errorf("line %d of %s: %w", offset, c.name, err)
	}
	return info, nil
}

// take requests a line with its whole configuration at once.
func (c *Chip) take(line string, config lineConfig) (pin, error) {
	info, err := c.find(line)
	if err != nil {
		return pin{}, err
	}
	r := lineRequest{config: config, numLines: 1}
	r.offsets[0] = info.offset
	copy(r.consumer[:], consumer)
	p := pin{name: text(info.name), number: int(info.offset)}
	if p.name == "" {
		p.name = c.name + "/" + strconv.Itoa(p.number)
	}
	if err := call(c.file, getLine, &r); err != nil {
		if errors.Is(err, unix.EBUSY) {
			return pin{}, fmt.Errorf("take %s: it is held by %q: %w", p, text(info.consumer), err)
		}
		return pin{}, fmt.Errorf("take %s: %w", p, err)
	}
	if err := unix.SetNonblock(int(r.fd), true); err != nil { // so that waiting can be ended
		unix.Close(int(r.fd))
		return pin{}, fmt.Errorf("take %s: %w", p, err)
	}
	unix.CloseOnExec(int(r.fd))
	p.file = os.NewFile(uintptr(r.fd), p.name)
	return p, nil
}

// pin is what inputs and outputs have in common.
type pin struct {
	file   *os.File
	name   string
	number int
}

// String returns the line's name and number.
func (p pin) String() string { return fmt.Sprintf("%s(%d)", p.name, p.number) }

// Name returns the line's name, or the chip's with the number where the line has none.
func (p pin) Name() string { return p.name }

// Number returns the line's offset on its chip.
func (p pin) Number() int { return p.number }

func (p pin) level() (bool, error) {
	v := lineValues{mask: 1}
	if err := call(p.file, getValues, &v); err != nil {
		return false, fmt.Errorf("read %s: %w", p, err)
	}
	return v.bits&1 == 1, nil
}
