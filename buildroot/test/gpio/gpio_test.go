// Package gpio holds what real lines and their fakes must both do. The real ones are those of the kernel's gpio-sim,
// in the machine that gpio.sh boots; elsewhere only the fakes are tried.
package gpio

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"gatepost/device"
	"gatepost/device/gpiochip"
	"gatepost/device/lamp"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// The chip as gpio.sh's machine sets it up: label, and names of lines by number. Line 5 has no name, 6 and 7 share one.
const (
	label  = "gate"
	relay  = 3
	button = 4
	long   = 30 * time.Second // nothing waits this long unless it fails
)

var names = []string{"GO", "ASK", "STOP", "RELAY", "BUTTON", "", "TWIN", "TWIN"}

// sim is the simulator's side of the chip.
type sim struct{ dir string }

// open returns the real chip, or skips where there is none.
func open(t *testing.T) (*gpiochip.Chip, sim) {
	t.Helper()
	dir := os.Getenv("GATEPOST_GPIO_SIM")
	if dir == "" {
		t.Skip("no simulated GPIO chip: gpio.sh boots a machine with one")
	}
	c, err := gpiochip.Open(label)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, sim{dir}
}

// voltage is what the line carries, as the simulator sees it.
func (s sim) voltage(t *testing.T, line int) gpio.Level {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.dir, "sim_gpio"+strconv.Itoa(line), "value"))
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(b)) == "1"
}

// pull moves a line that is an input.
func (s sim) pull(t *testing.T, line int, l gpio.Level) {
	t.Helper()
	word := "pull-down"
	if l {
		word = "pull-up"
	}
	if err := os.WriteFile(filepath.Join(s.dir, "sim_gpio"+strconv.Itoa(line), "pull"), []byte(word), 0); err != nil {
		t.Fatal(err)
	}
}

// conform is what a signal on any pins does; lit tells the level of the pin of that number.
func conform(t *testing.T, pins [3]gpio.PinOut, lit func(i int) gpio.Level) {
	l, err := lamp.New(pins[0], pins[1], pins[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		face lamp.Face
		want [3]gpio.Level
	}{
		{lamp.Go, [3]gpio.Level{true, false, false}},
		{lamp.Ask, [3]gpio.Level{false, true, false}},
		{lamp.Stop, [3]gpio.Level{false, false, true}},
		{lamp.Stop, [3]gpio.Level{false, false, true}},
		{lamp.Dark, [3]gpio.Level{}},
		{lamp.Go, [3]gpio.Level{true, false, false}},
		{"broken", [3]gpio.Level{}},
	} {
		if err := l.Set(c.face); err != nil {
			t.Fatal(err)
		}
		if got := [3]gpio.Level{lit(0), lit(1), lit(2)}; got != c.want {
			t.Errorf("%q: %v", c.face, got)
		}
	}
	if err := errors.Join(l.Set(lamp.Go), l.Halt()); err != nil {
		t.Error(err)
	}
	if lit(0) || lit(1) || lit(2) {
		t.Error("a lamp is lit after Halt")
	}
}

func TestLampOnFakes(t *testing.T) {
	var fakes [3]gpiotest.Pin
	conform(t, [3]gpio.PinOut{&fakes[0], &fakes[1], &fakes[2]}, func(i int) gpio.Level { return fakes[i].Read() })
}

func TestLampOnLines(t *testing.T) {
	c, s := open(t)
	var pins [3]gpio.PinOut
	for i := range pins {
		pins[i] = output(t, c, names[i], gpio.Low, false)
	}
	conform(t, pins, func(i int) gpio.Level { return s.voltage(t, i) })
}

func output(t *testing.T, c *gpiochip.Chip, line string, initial gpio.Level, low bool) *gpiochip.Output {
	t.Helper()
	o, err := c.Output(line, initial, low)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func input(t *testing.T, c *gpiochip.Chip, pull gpio.Pull, edge gpio.Edge) *gpiochip.Input {
	t.Helper()
	i, err := c.Input(names[button], pull, edge)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { i.Halt() })
	return i
}

func TestOutput(t *testing.T) {
	c, s := open(t)
	for _, low := range []bool{false, true} {
		for _, initial := range []gpio.Level{gpio.Low, gpio.High} {
			o := output(t, c, names[relay], initial, low)
			for _, l := range []gpio.Level{initial, !initial, !initial, initial} {
				if err := o.Out(l); err != nil {
					t.Fatal(err)
				}
				if got, err := o.Level(); got != l || err != nil {
					t.Errorf("level %v, %v after Out(%v)", got, err, l)
				}
				if got := s.voltage(t, relay); got != (l != gpio.Level(low)) {
					t.Errorf("voltage %v after Out(%v), active low %v", got, l, low)
				}
			}
			if err := o.Halt(); err != nil {
				t.Error(err)
			}
			if o.Out(gpio.High) == nil {
				t.Error("a halted output still drives")
			}
		}
	}
}

func TestFirstLevelComesWithTheRequest(t *testing.T) {
	c, s := open(t)
	o := output(t, c, names[relay], gpio.High, false)
	defer o.Halt()
	if !s.voltage(t, relay) {
		t.Error("the line was not driven at once")
	}
}

func TestFind(t *testing.T) {
	c, _ := open(t)
	for _, want := range []struct {
		line   string
		number int
	}{{"RELAY", relay}, {"5", 5}, {"6", 6}} {
		o := output(t, c, want.line, gpio.Low, false)
		if o.Number() != want.number {
			t.Errorf("line %q is number %d", want.line, o.Number())
		}
		o.Halt()
	}
	for _, line := range []string{"", "TWIN", "NOBODY", "8", "-1"} {
		if o, err := c.Output(line, gpio.Low, false); err == nil {
			t.Errorf("line %q is %s", line, o)
			o.Halt()
		}
	}
}

func TestHeldLine(t *testing.T) {
	c, _ := open(t)
	o := output(t, c, names[relay], gpio.Low, false)
	if _, err := c.Output(names[relay], gpio.High, false); err == nil || !strings.Contains(err.Error(), `held by "gatepost"`) {
		t.Errorf("a second time: %v", err)
	}
	if err := o.Halt(); err != nil {
		t.Fatal(err)
	}
	output(t, c, names[relay], gpio.Low, false).Halt()
}

func TestInputPull(t *testing.T) {
	c, _ := open(t)
	i := input(t, c, gpio.PullUp, gpio.NoEdge)
	if l, err := i.Level(); l != gpio.High || err != nil {
		t.Errorf("pulled up: %v, %v", l, err)
	}
	if err := i.In(gpio.PullDown, gpio.NoEdge); err != nil {
		t.Fatal(err)
	}
	if i.Read() != gpio.Low || i.Pull() != gpio.PullDown {
		t.Errorf("pulled down: %v, %v", i.Read(), i.Pull())
	}
}

func TestEdges(t *testing.T) {
	c, s := open(t)
	i := input(t, c, gpio.PullDown, gpio.BothEdges)
	if i.WaitForEdge(0) || i.WaitForEdge(10*time.Millisecond) {
		t.Error("an edge on a quiet line")
	}
	s.pull(t, button, gpio.High)
	if !i.WaitForEdge(long) || i.Read() != gpio.High {
		t.Error("the rising edge was missed")
	}
	s.pull(t, button, gpio.Low)
	if !i.WaitForEdge(0) {
		t.Error("an edge that waits is not taken at once")
	}
	if err := i.In(gpio.PullDown, gpio.FallingEdge); err != nil {
		t.Fatal(err)
	}
	s.pull(t, button, gpio.High)
	if i.WaitForEdge(10 * time.Millisecond) {
		t.Error("a rising edge where falling ones are wanted")
	}
	s.pull(t, button, gpio.Low)
	if err := i.In(gpio.PullDown, gpio.FallingEdge); err != nil {
		t.Fatal(err)
	}
	if i.WaitForEdge(0) {
		t.Error("In kept an old edge")
	}
}

func TestHaltAndInEndAWait(t *testing.T) {
	c, _ := open(t)
	for name, end := range map[string]func(*gpiochip.Input) error{
		"In":   func(i *gpiochip.Input) error { return i.In(gpio.PullDown, gpio.BothEdges) },
		"Halt": (*gpiochip.Input).Halt,
	} {
		i := input(t, c, gpio.PullDown, gpio.BothEdges)
		done := make(chan bool)
		go func() { done <- i.WaitForEdge(-1) }()
		for waiting := true; waiting; {
			if err := end(i); err != nil && !errors.Is(err, os.ErrClosed) {
				t.Fatal(err)
			}
			select {
			case edge := <-done:
				waiting = false
				if edge {
					t.Errorf("%s gave an edge", name)
				}
			case <-time.After(10 * time.Millisecond): // it may not have waited yet
			}
		}
		i.Halt()
	}
}

// The last test: it takes the chip away.
func TestZGone(t *testing.T) {
	c, _ := open(t)
	o := output(t, c, names[relay], gpio.High, false)
	i := input(t, c, gpio.PullDown, gpio.BothEdges)
	if err := os.WriteFile(os.Getenv("GATEPOST_GPIO_LIVE"), []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	if err := o.Out(gpio.Low); !errors.Is(err, device.ErrGone) {
		t.Errorf("Out: %v", err)
	}
	if _, err := i.Level(); !errors.Is(err, device.ErrGone) {
		t.Errorf("Level: %v", err)
	}
	if i.WaitForEdge(long) {
		t.Error("an edge of a chip that has gone")
	}
	if _, err := gpiochip.Open(label); !errors.Is(err, device.ErrGone) {
		t.Errorf("Open: %v", err)
	}
}
