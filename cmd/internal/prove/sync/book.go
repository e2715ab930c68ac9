package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"

	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// A book is what the hubs have signed for, as it was seen on the wire. It knows nothing of how the uplink or the hub work.
type book struct {
	pub ed25519.PublicKey // of the receipts

	mu      sync.Mutex
	signed  map[string]map[uint64]entry.Hash // every receipt, by device and sequence
	newest  map[string]uint64
	answers map[string]int // 200s, by device
	heard   int            // receipts
	forgot  int            // entries that a hub had signed for and then said that it does not hold
	wrong   []error        // what must never be seen
}

func newBook(pub ed25519.PublicKey) *book {
	return &book{pub: pub, signed: map[string]map[uint64]entry.Hash{}, newest: map[string]uint64{}, answers: map[string]int{}}
}

// hear notes a hub's answer to a device. Answers to one device must come in the order of their requests.
func (b *book) hear(device string, s wire.State) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answers[device]++
	if behind := b.newest[device]; s.Seq < behind {
		b.forgot += int(behind - s.Seq)
		b.newest[device] = s.Seq
	}
	if s.Receipt == nil {
		return
	}
	head, err := s.Receipt.Head()
	if err = errors.Join(err, s.Receipt.Check(b.pub, device)); err != nil {
		b.wrong = append(b.wrong, fmt.Errorf("a receipt of device %s: %w", device, err))
		return
	}
	if b.signed[device] == nil {
		b.signed[device] = map[uint64]entry.Hash{}
	}
	if old, known := b.signed[device][head.Seq]; known && old != head.Hash {
		b.wrong = append(b.wrong, fmt.Errorf("two receipts for entry %d of device %s", head.Seq, device))
	}
	b.signed[device][head.Seq] = head.Hash
	b.newest[device] = max(b.newest[device], head.Seq)
	b.heard++
}

// object notes something that must never be seen.
func (b *book) object(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = append(b.wrong, err)
}

// receipts returns how many were heard so far.
func (b *book) receipts() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.heard
}

// answered returns how many answers each device has had.
func (b *book) answered() map[string]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.answers)
}

// forgotten returns how many entries a hub had signed for and did not hold any more when it was asked.
func (b *book) forgotten() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.forgot
}

// objections returns what must never be seen and was, each receipt whose head is not on its device's chain with it.
func (b *book) objections(chains map[string]chain) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	all := b.wrong
	for device, signed := range b.signed {
		for seq, hash := range signed {
			if chains[device][seq] != hash {
				all = append(all, fmt.Errorf("the receipt for entry %d of device %s is for another entry", seq, device))
			}
		}
	}
	return errors.Join(all...)
}

// chain is a device's own entries: their hashes by sequence.
type chain map[uint64]entry.Hash

// compare counts the entries of the chains that were not pulled, and those that were pulled twice, with another hash, out of
// their order, or that nobody made.
func compare(chains map[string]chain, pulled []pull.Line) (lost, doubled int) {
	missing := map[string]chain{}
	for device, c := range chains {
		missing[device] = maps.Clone(c)
	}
	last := map[string]uint64{}
	for _, l := range pulled {
		own, mine := missing[l.Device][l.Seq]
		if !mine || own != entry.HashOf(l.Entry) || l.Seq <= last[l.Device] {
			doubled++
			continue
		}
		delete(missing[l.Device], l.Seq)
		last[l.Device] = l.Seq
	}
	for _, left := range missing {
		lost += len(left)
	}
	return lost, doubled
}

// notices is the control of compare: a line that is left out, and one that comes twice, must show.
func notices(chains map[string]chain, pulled []pull.Line) error {
	if len(pulled) == 0 {
		return errors.New("nothing was pulled: this proves nothing")
	}
	at := len(pulled) / 2
	without := slices.Concat(pulled[:at], pulled[at+1:])
	twice := slices.Concat(pulled, pulled[at:at+1])
	lost, _ := compare(chains, without)
	_, doubled := compare(chains, twice)
	if lost == 0 || doubled == 0 {
		return errors.New("control: a pull without one of its lines, or with one of them twice, was not noticed")
	}
	return nil
}
