// Package slot decides which of a card's two systems starts: the one that works is the default, a new one is tried once, and it
// becomes the default when it has shown that it works. Wherever the power fails, the default is a system that was whole and has
// worked.
//
// It knows nothing of how an image is written, nor of what makes a gate healthy: its caller does. Board is the seam to the
// firmware, the Pi's being tryboot: a flag that holds for one start. No program calls it yet, and nobody has run it on a
// board: the tests run it on a model.
package slot

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"gatepost/storage/durable"
)

// A Slot is one of the two systems.
type Slot int

const (
	A Slot = 0
	B Slot = 1
)

// Other returns the other one.
func (s Slot) Other() Slot { return 1 - s }

func (s Slot) String() string { return string(rune('a' + s)) }

// A Board is what starts the card.
type Board interface {
	// Booted returns the slot that runs, and whether it was started by Try.
	Booted() (s Slot, tried bool)
	// Default returns the slot that starts when nothing else is said.
	Default() (Slot, error)
	// SetDefault changes that, wholly or not at all.
	SetDefault(Slot) error
	// Try starts s once: the start after that is the default's again. It returns only when it fails.
	Try(s Slot) error
}

// An Image is what an update says of itself.
type Image struct {
	Version uint64 `json:"version"` // grows with each release
	Reads   int    `json:"reads"`   // the newest journal format that it can read
	Writes  int    `json:"writes"`  // the journal format that it writes
}

// state is what the data partition remembers, as JSON. The board's default, not this, says which system works.
type state struct {
	Images  [2]Image `json:"images"` // of a slot without one the version is 0
	Newest  uint64   `json:"newest"` // version that was ever the default; nothing older is taken
	Trying  bool     `json:"trying"` // the other slot is to start, or has
	Trouble string   `json:"trouble,omitempty"`
}

// A Machine serves one program; its methods are not for concurrent use.
type Machine struct {
	board Board
	write func([]byte) error // makes the state durable, wholly or not at all
	s     state
	self  Slot
	trial bool // this system has to prove itself
}

var (
	// ErrOlder means that an image is not newer than what the card has had.
	ErrOlder = errors.New("not newer than what this card has had")
	// ErrJournal means that after an image there would be no way back: the present system could not read its journal.
	ErrJournal = errors.New("the present system could not read the journal that it writes")
)

// Open reads the state in file, and finds out what became of a trial. now is the image that runs, which knows itself.
func Open(board Board, file string, now Image) (*Machine, error) {
	raw, err := os.ReadFile(file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("slots' state: %w", err)
	}
	return open(board, raw, now, func(raw []byte) error { return durable.Write(file, raw, 0o600) })
}

func open(board Board, raw []byte, now Image, write func([]byte) error) (*Machine, error) {
	m := &Machine{board: board, write: write}
	if len(raw) > 0 {
		if err := json.Unmarshal(raw, &m.s); err != nil {
			m.s = state{Trouble: "the slots' state was damaged and is made anew"}
		}
	}
	var tried bool
	m.self, tried = board.Booted()
	def, err := board.Default()
	if err != nil {
		return nil, fmt.Errorf("default slot: %w", err)
	}
	next := m.s
	next.Images[m.self] = now
	switch {
	case tried && def != m.self: // also where the state has forgotten that
		m.trial, next.Trying = true, true
	case next.Trying:
		next.Trying = false
		if m.s.Images[m.self.Other()].Version > now.Version { // we are the one before it
			next.Trouble = fmt.Sprintf("version %d was tried and did not prove itself", m.s.Images[m.self.Other()].Version)
			next.Images[m.self.Other()] = Image{}
		}
	}
	if !m.trial {
		next.Newest = max(next.Newest, now.Version)
	}
	if next == m.s {
		return m, nil // a start wears no card
	}
	return m, m.keep(next)
}

// Trial reports whether this system has yet to prove itself: then Healthy must be called, or the board started again.
func (m *Machine) Trial() bool { return m.trial }

// Trouble says what befell the last update, "" for nothing.
func (m *Machine) Trouble() string { return m.s.Trouble }

// Prepare returns the slot into which an image may be written: from then on what was there counts as gone.
func (m *Machine) Prepare(i Image) (Slot, error) {
	to := m.self.Other()
	switch {
	case m.trial:
		return to, errors.New("this system has not proved itself yet")
	case i.Version <= m.s.Newest: // which this system's is at the most
		return to, fmt.Errorf("version %d: %w, %d", i.Version, ErrOlder, m.s.Newest)
	case i.Writes > m.s.Images[m.self].Reads:
		return to, fmt.Errorf("version %d: %w", i.Version, ErrJournal)
	}
	next := m.s
	next.Images[to], next.Trying, next.Trouble = Image{}, false, ""
	return to, m.keep(next)
}

// Try starts the image that was written whole into the other slot, once. It returns only when it fails.
func (m *Machine) Try(i Image) error {
	next := m.s
	next.Images[m.self.Other()], next.Trying = i, true
	if err := m.keep(next); err != nil {
		return err
	}
	return m.board.Try(m.self.Other())
}

// Healthy makes the system that is on trial the default.
func (m *Machine) Healthy() error {
	if !m.trial {
		return nil
	}
	if err := m.board.SetDefault(m.self); err != nil {
		return fmt.Errorf("make slot %v the default: %w", m.self, err)
	}
	m.trial = false
	next := m.s
	next.Trying, next.Trouble, next.Newest = false, "", max(next.Newest, next.Images[m.self].Version)
	return m.keep(next)
}

// keep makes a state durable and true.
func (m *Machine) keep(s state) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = m.write(append(raw, '\n'))
	}
	if err != nil {
		return fmt.Errorf("slots' state: %w", err)
	}
	m.s = s
	return nil
}
