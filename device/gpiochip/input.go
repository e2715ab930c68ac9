package gpiochip

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
	"periph.io/x/conn/v3/gpio"
)

// An Input reads one line. Its methods may be called while another goroutine waits in WaitForEdge, and Halt ends
// that wait; In and Pull belong to one goroutine.
type Input struct {
	pin
	pull gpio.Pull
}

var _ gpio.PinIn = (*Input)(nil)

// Input takes the line of that name or number. The caller halts it.
func (c *Chip) Input(line string, pull gpio.Pull, edge gpio.Edge) (*Input, error) {
	p, err := c.take(line, lineConfig{flags: inputFlags(pull, edge)})
	if err != nil {
		return nil, err
	}
	return &Input{p, pull}, nil
}

// In changes pull and edges, ends a wait that is going on, and forgets the edges that nobody waited for.
func (i *Input) In(pull gpio.Pull, edge gpio.Edge) error {
	if err := i.file.SetReadDeadline(time.Unix(1, 0)); err != nil {
		return fmt.Errorf("set up %s: %w", i, err)
	}
	if err := call(i.file, setConfig, &lineConfig{flags: inputFlags(pull, edge)}); err != nil {
		return fmt.Errorf("set up %s: %w", i, err)
	}
	i.pull = pull
	return i.forget()
}

// forget drops the edges that wait. It leaves alone the deadline, which belongs to whoever waits.
func (i *Input) forget() error {
	raw, err := i.file.SyscallConn()
	if err != nil {
		return err
	}
	return raw.Control(func(fd uintptr) {
		var events [16 * eventSize]byte
		for n := 1; n > 0; {
			n, _ = unix.Read(int(fd), events[:]) // EAGAIN when there are no more
		}
	})
}

// Level returns the line's level, and device.ErrGone when the chip was taken away.
func (i *Input) Level() (gpio.Level, error) {
	l, err := i.level()
	return gpio.Level(l), err
}

// Read returns the line's level, Low when it cannot be read; Level tells the two apart.
func (i *Input) Read() gpio.Level {
	l, _ := i.Level()
	return l
}

// WaitForEdge waits for the next edge, or takes one that came since the last call; the kernel keeps 16. A negative
// timeout waits until Halt. It returns false after the timeout, after In or Halt, and when the chip has gone: whoever
// waits in a loop asks Level then.
func (i *Input) WaitForEdge(timeout time.Duration) bool {
	var deadline time.Time
	if timeout >= 0 {
		deadline = time.Now().Add(max(timeout, time.Millisecond)) // a deadline that has passed would not even look
	}
	if i.file.SetReadDeadline(deadline) != nil {
		return false
	}
	var event [eventSize]byte
	n, err := i.file.Read(event[:])
	return err == nil && n == len(event)
}

// Pull returns what In or Input asked for.
func (i *Input) Pull() gpio.Pull { return i.pull }

// DefaultPull is not known.
func (i *Input) DefaultPull() gpio.Pull { return gpio.PullNoChange }

// Halt releases the line.
func (i *Input) Halt() error { return i.file.Close() }

// Function implements periph's pin.Pin.
func (i *Input) Function() string { return "In" }

func inputFlags(pull gpio.Pull, edge gpio.Edge) uint64 {
	flags := uint64(input)
	switch pull {
	case gpio.PullUp:
		flags |= biasPullUp
	case gpio.PullDown:
		flags |= biasPullDown
	case gpio.Float:
		flags |= biasDisabled
	}
	if edge == gpio.RisingEdge || edge == gpio.BothEdges {
		flags |= edgeRising
	}
	if edge == gpio.FallingEdge || edge == gpio.BothEdges {
		flags |= edgeFalling
	}
	return flags
}
