package lamp

import (
	"errors"
	"testing"

	"periph.io/x/conn/v3/gpio"
	"periph.io/x/conn/v3/gpio/gpiotest"
)

// watched is a fake pin that tells when more than one lamp is lit, and can break.
type watched struct {
	gpiotest.Pin
	all    *[3]*watched
	breaks map[gpio.Level]bool
	halted bool
	worst  *int
}

func (p *watched) Out(l gpio.Level) error {
	if p.breaks[l] {
		return errors.New("stuck")
	}
	err := p.Pin.Out(l)
	lit := 0
	for _, other := range p.all {
		if other.L {
			lit++
		}
	}
	*p.worst = max(*p.worst, lit)
	return err
}

func (p *watched) Halt() error { p.halted = true; return nil }

func signal(t *testing.T) (*Lamp, *[3]*watched, *int) {
	t.Helper()
	worst := new(int)
	pins := new([3]*watched)
	for i := range pins {
		pins[i] = &watched{all: pins, worst: worst, breaks: map[gpio.Level]bool{}}
		pins[i].N = string(faces[i])
	}
	l, err := New(pins[0], pins[1], pins[2])
	if err != nil {
		t.Fatal(err)
	}
	return l, pins, worst
}

func lit(pins *[3]*watched) (s string) {
	for _, p := range pins {
		if p.L {
			s += p.N + " "
		}
	}
	return s
}

func TestNeverTwoLamps(t *testing.T) {
	l, pins, worst := signal(t)
	words := []Face{Go, Ask, Stop, Dark, "ready", "broken"}
	for _, from := range words {
		for _, to := range words {
			for _, face := range []Face{from, to} {
				if err := l.Set(face); err != nil {
					t.Fatal(err)
				}
				want := ""
				if face == Go || face == Ask || face == Stop {
					want = string(face) + " "
				}
				if got := lit(pins); got != want {
					t.Errorf("%q lights %q", face, got)
				}
			}
		}
	}
	if *worst != 1 {
		t.Errorf("%d lamps were lit at once", *worst)
	}
}

// A red lamp that cannot be put out forbids the green one.
func TestStuckLampForbidsTheOthers(t *testing.T) {
	l, pins, worst := signal(t)
	if err := l.Set(Stop); err != nil {
		t.Fatal(err)
	}
	pins[2].breaks[gpio.Low] = true
	if l.Set(Go) == nil {
		t.Error("no error of a stuck lamp")
	}
	if got := lit(pins); got != "stop " || *worst != 1 {
		t.Errorf("lit: %q, at most %d", got, *worst)
	}
}

func TestLampThatDoesNotLightLeavesDark(t *testing.T) {
	l, pins, _ := signal(t)
	if err := l.Set(Ask); err != nil {
		t.Fatal(err)
	}
	pins[0].breaks[gpio.High] = true
	if l.Set(Go) == nil || lit(pins) != "" {
		t.Errorf("lit after a failure: %q", lit(pins))
	}
}

func TestHaltIsDarkAndReleased(t *testing.T) {
	l, pins, _ := signal(t)
	if err := errors.Join(l.Set(Go), l.Halt()); err != nil {
		t.Fatal(err)
	}
	for _, p := range pins {
		if p.L == gpio.High || !p.halted {
			t.Errorf("%s: level %s, halted %v", p.N, p.L, p.halted)
		}
	}
}

func TestNewFailsWithBrokenPin(t *testing.T) {
	_, pins, _ := signal(t)
	pins[1].breaks[gpio.Low] = true
	if _, err := New(pins[0], pins[1], pins[2]); err == nil {
		t.Error("a signal with a broken pin was taken")
	}
}
