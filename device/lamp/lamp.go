// Package lamp lights the signal at a gate: go, ask and stop, each on a pin of its own.
//
// At most one lamp is lit at any moment, also between two faces. A dark signal says nothing: the gate waits, is
// broken, or is off. Nobody passes on it.
//
// Whether an entry is durable before Go is lit is the caller's duty.
package lamp

import (
	"errors"
	"fmt"
	"sync"

	"periph.io/x/conn/v3/gpio"
)

// Face is what the signal shows.
type Face string

const (
	Go   Face = "go"
	Ask  Face = "ask"
	Stop Face = "stop"
	Dark Face = "" // and every other word, as "ready" and "broken"
)

// A Lamp is the signal. It is safe for concurrent use.
type Lamp struct {
	mu   sync.Mutex
	pins [3]gpio.PinOut
}

// faces names the pins of a Lamp.
var faces = [3]Face{Go, Ask, Stop}

// New takes three pins at which High lights a lamp, and makes the signal dark.
func New(green, amber, red gpio.PinOut) (*Lamp, error) {
	l := &Lamp{pins: [3]gpio.PinOut{green, amber, red}}
	if err := l.Set(Dark); err != nil {
		return nil, err
	}
	return l, nil
}

// Set lights the lamp of face alone. Every lamp but that one is put out before; when one cannot be, none is lit.
// After an error the signal is dark, as far as its pins still obey.
func (l *Lamp) Set(face Face) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	lit := -1
	var failed []error
	for i, pin := range l.pins {
		if faces[i] == face {
			lit = i
			continue
		}
		if err := pin.Out(gpio.Low); err != nil {
			failed = append(failed, fmt.Errorf("put out %q: %w", faces[i], err))
		}
	}
	if lit < 0 {
		return errors.Join(failed...)
	}
	if len(failed) == 0 {
		err := l.pins[lit].Out(gpio.High)
		if err == nil {
			return nil
		}
		failed = append(failed, fmt.Errorf("light %q: %w", face, err))
	}
	l.pins[lit].Out(gpio.Low) // the error that matters is known already
	return errors.Join(failed...)
}

// Halt makes the signal dark and releases the pins.
func (l *Lamp) Halt() error {
	failed := []error{l.Set(Dark)}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, pin := range l.pins {
		failed = append(failed, pin.Halt())
	}
	return errors.Join(failed...)
}
