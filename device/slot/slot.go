// Package slot decides which of a card's two systems starts: the one that works is the default, a new one is tried once, and it
// becomes the default when it has shown that it works. Wherever the power fails, the default is a system that was whole and has
// worked.
//
// It knows nothing of how an image is written, nor of what makes a gate healthy: its caller does. Board is the seam to the
// firmware, the Pi's being tryboot: a flag that holds for one start. The tests run it on a model of that, and the image's
// proof on one that a virtual machine starts by; nobody has run it on a board.
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
	Sum     string `json:"sum"`     // SHA-256 of the bundle that it came in, hexadecimal; "" of the one that the card came with
}

// state is what the data partition remembers, as JSON. The board's default, not this, says which system works.
type state struct {
	Images  [2]Image `json:"images"` // of a slot without one the version is 0
	Newest  uint64   `json:"newest"` // version that was ever the default; nothing older is taken
	Trying  bool     `json:"trying"` // the other slot is to start, or has
	Online  bool     `json:"online"` // the hub was reached before that
	Failed  string   `json:"failed"` // the Sum of the last image that was tried in vain
	Trouble string   `json:"trouble,omitempty"`
}

// A Machine serves one program; its methods are not for concurrent use.
type Machine struct {
	board Board
	write func([]byte) error // makes the state durable, wholly or not at all
	s     state
	self  Slot
	trial bool   // this system has to prove itself
	other uint64 // the version of this system where another one was to be tried
}

var (
	// ErrOlder means that an image is not newer than what the card has had.
	ErrOlder = errors.New("not newer than what this card has had")
	// ErrFailed means that just this image was tried, and did not prove itself.
	ErrFailed = errors.New("tried before in vain")
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
	wanted := m.s.Images[m.self]
	if now.Sum == "" && wanted.Version == now.Version {
		now.Sum = wanted.Sum
	}
	next.Images[m.self] = now
	switch {
	case tried && def != m.self: // also where the state has forgotten that
		m.trial, next.Trying = true, true
		if wanted.Version != 0 && wanted.Version != now.Version {
			m.other, next.Images[m.self] = now.Version, wanted // which is told when it has not proved itself
		}
	case next.Trying:
		next.Trying = false
		if m.s.Images[m.self.Other()].Version > now.Version { // we are the one before it
			gone := m.s.Images[m.self.Other()]
			next.Trouble = fmt.Sprintf("version %d was tried and did not prove itself", gone.Version)
			next.Failed, next.Images[m.self.Other()] = gone.Sum, Image{}
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

// Trial reports whether this system has yet to prove itself: then Healthy must be called, or the board started again. online
// says that the hub was reached before it.
func (m *Machine) Trial() (on, online bool) { return m.trial, m.trial && m.s.Online }

// Version returns that of the system that runs.
func (m *Machine) Version() uint64 { return m.s.Images[m.self].Version }

// Trouble says what befell the last update, "" for nothing.
func (m *Machine) Trouble() string { return m.s.Trouble }

// Has reports whether the image with that Sum runs.
func (m *Machine) Has(sum string) bool { return sum != "" && m.s.Images[m.self].Sum == sum }

// Check says why this card does not take an image.
func (m *Machine) Check(i Image) error {
	switch {
	case i.Version <= m.s.Newest: // which this system's is at the most
		return fmt.Errorf("version %d: %w, %d", i.Version, ErrOlder, m.s.Newest)
	case i.Sum != "" && i.Sum == m.s.Failed:
		return fmt.Errorf("version %d: %w", i.Version, ErrFailed)
	case i.Writes > m.s.Images[m.self].Reads:
		return fmt.Errorf("version %d: %w", i.Version, ErrJournal)
	}
	return nil
}

// Prepare returns the slot into which an image may be written: from then on what was there counts as gone.
func (m *Machine) Prepare(i Image) (Slot, error) {
	to := m.self.Other()
	if m.trial {
		return to, errors.New("this system has not proved itself yet")
	}
	if err := m.Check(i); err != nil {
		return to, err
	}
	next := m.s
	next.Images[to], next.Trying, next.Trouble = Image{}, false, ""
	return to, m.keep(next)
}

// Try starts the image that was written whole into the other slot, once. It returns only when it fails. online says that the
// hub can be reached now, and so must be by the new system.
func (m *Machine) Try(i Image, online bool) error {
	next := m.s
	next.Images[m.self.Other()], next.Trying, next.Online = i, true, online
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
	if m.other != 0 {
		return fmt.Errorf("this is version %d, and %d was to be tried", m.other, m.Version())
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
