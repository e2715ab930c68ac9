package order

import (
	"fmt"
	"maps"
	"slices"

	"gatepost/sync/wire"
)

// maxStarts is how often the gate may start with an order before the hub is reached: a power cut is no order's fault, and a
// program that ends again and again is.
const maxStarts = 3

// state is what a kiosk knows of its orders, as JSON in its folder. Its methods return the next state and change none.
type state struct {
	Schema int             `json:"schema"`
	Slots  map[string]slot `json:"slots"`
	Trial  *trial          `json:"trial,omitempty"` // the one order that must still prove itself

	Enrolment string `json:"enrolment,omitempty"` // by which this unit is a gate
}

// slot is what is known of the orders of one kind and name. 0 is no order.
type slot struct {
	Had      uint64 `json:"had"`      // the highest serial that ever came; none up to it is taken again
	Next     uint64 `json:"next"`     // kept, and not yet begun with
	Current  uint64 `json:"current"`  // what the gate runs with, 0: its own configuration
	Previous uint64 `json:"previous"` // what it goes back to
	Trouble  string `json:"trouble,omitempty"`
	Told     bool   `json:"told,omitempty"` // Trouble is recorded in the journal
}

// trial is an order's time of probation.
type trial struct {
	Slot   string `json:"slot"`
	Online bool   `json:"online"` // the hub was reached before, so it must be again
	Starts int    `json:"starts"` // of the gate, since
}

// with returns s with a change of one slot.
func (s state) with(name string, change func(*slot)) state {
	s.Slots = maps.Clone(s.Slots)
	if s.Slots == nil {
		s.Slots = map[string]slot{}
	}
	at := s.Slots[name]
	change(&at)
	s.Slots[name] = at
	return s
}

// enrolled notes the enrolment id. Where there was another, the order over the configuration is given up.
func (s state) enrolled(id string) state {
	if _, ok := s.Slots[wire.OrderConfig]; ok && s.Enrolment != "" {
		s = s.with(wire.OrderConfig, func(at *slot) { at.Next, at.Current, at.Previous = 0, 0, 0 })
		if s.Trial != nil && s.Trial.Slot == wire.OrderConfig {
			s.Trial = nil
		}
	}
	s.Enrolment = id
	return s
}

// names returns the slots in order.
func (s state) names() []string { return slices.Sorted(maps.Keys(s.Slots)) }

// take keeps an order for later.
func (s state) take(name string, serial uint64) state {
	return s.with(name, func(at *slot) { at.Had, at.Next = serial, serial })
}

// refuse notes that an order is never tried, or never again.
func (s state) refuse(name string, serial uint64, why string) state {
	return s.with(name, func(at *slot) {
		at.Had = max(at.Had, serial)
		if at.Next == serial {
			at.Next = 0
		}
		at.Trouble, at.Told = fmt.Sprintf("order %s %d is not taken: %s", name, serial, why), false
	})
}

// begin puts the next order of a slot on trial.
func (s state) begin(name string, online bool) state {
	s = s.with(name, func(at *slot) { at.Previous, at.Current, at.Next = at.Current, at.Next, 0 })
	s.Trial = &trial{Slot: name, Online: online}
	return s
}

// start counts a start of the gate, and goes back where there were enough.
func (s state) start() state {
	if s.Trial == nil {
		return s
	}
	if s.Trial.Starts >= maxStarts {
		return s.back(fmt.Sprintf("the gate ended %d times before the hub was reached", s.Trial.Starts))
	}
	t := *s.Trial
	t.Starts++
	s.Trial = &t
	return s
}

// pass ends a trial well.
func (s state) pass() state {
	s = s.with(s.Trial.Slot, func(at *slot) { at.Trouble, at.Told = "", false })
	s.Trial = nil
	return s
}

// back ends a trial with what worked before.
func (s state) back(why string) state {
	name := s.Trial.Slot
	s.Trial = nil
	return s.with(name, func(at *slot) {
		at.Trouble = fmt.Sprintf("order %s %d is taken back: %s", name, at.Current, why)
		at.Told, at.Current, at.Previous = false, at.Previous, 0
	})
}

// lose gives up an order that was good and can no longer be used. One whose bytes are gone may come again.
func (s state) lose(name, why string, gone bool) state {
	if s.Trial != nil && s.Trial.Slot == name {
		return s.back(why)
	}
	return s.with(name, func(at *slot) {
		at.Trouble = fmt.Sprintf("order %s %d can no longer be used: %s", name, at.Current, why)
		if gone && at.Had == at.Current {
			at.Had--
		}
		at.Told, at.Current, at.Previous = false, at.Previous, 0
	})
}

// told notes that a slot's trouble is recorded.
func (s state) told(name string) state {
	return s.with(name, func(at *slot) { at.Told = true })
}
