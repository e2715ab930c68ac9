package main

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
)

const (
	sectorSize = 512       // what a disk writes whole or not at all
	lieSize    = 256 << 10 // bytes that a disk keeps back when it lies about its flushes
	tapeSize   = 1 << 30   // bytes that a record of one run may have
)

// A mark is what the guest says it has acknowledged: an entry's sequence and its hash, hexadecimal.
type mark struct {
	seq  uint64
	hash string
}

// name returns the hash as the guest takes it.
func (m mark) name() string {
	if m.seq == 0 {
		return "-"
	}
	return m.hash
}

type action uint8

const (
	wrote        action = iota // data came to off, and may be lost until the next flush
	wroteThrough               // FUA: data came to off, durable when the reply has gone
	flushed                    // all that came before is durable when the reply has gone
	acknowledged               // the guest has said mark
)

// An event is one thing that happened to a disk, or what was said because of it.
type event struct {
	action action
	off    int64
	data   []byte
	mark   mark
}

// A tape is the record of a run: the disk as it was at first, and what happened to it in order.
type tape struct {
	base   []byte
	events []event
	size   int // bytes of the events' data
}

func (t *tape) add(e event) error {
	if t.size += len(e.data); t.size > tapeSize {
		return fmt.Errorf("a record of a disk's run exceeds %d bytes", tapeSize)
	}
	t.events = append(t.events, e)
	return nil
}

// A sector is one write of sectorSize bytes that a cut may lose.
type sector struct {
	off  int64
	data []byte
}

// A medium is what of a disk outlives a cut, and the cache that may not.
type medium struct {
	kept  []byte
	cache []sector // in the order of their writes; a sector may be there more than once
	lying bool     // flushes are ignored, FUA too; the cache goes to kept only as it overflows
}

// apply does what e says. Its offset and length are whole sectors inside the disk.
func (m *medium) apply(e event) {
	switch {
	case e.action == wroteThrough && !m.lying:
		end := e.off + int64(len(e.data))
		m.cache = slices.DeleteFunc(m.cache, func(s sector) bool { return s.off >= e.off && s.off < end })
		copy(m.kept[e.off:], e.data)
	case e.action == wrote || e.action == wroteThrough:
		off := e.off
		for data := range slices.Chunk(e.data, sectorSize) {
			m.cache = append(m.cache, sector{off, data})
			off += sectorSize
		}
		if more := len(m.cache) - lieSize/sectorSize; m.lying && more > 0 {
			m.keep(more)
		}
	case e.action == flushed && !m.lying:
		m.keep(len(m.cache))
	}
}

// keep brings the oldest n sectors of the cache to the medium.
func (m *medium) keep(n int) {
	for _, s := range m.cache[:n] {
		copy(m.kept[s.off:], s.data)
	}
	m.cache = append(m.cache[:0], m.cache[n:]...)
}

// cut picks what of the cache reaches the medium when the power goes now, in an order that the disk chose: each
// sector with the given chance, so that 0 is none and 1 is all, and any older version of a sector may be the last.
func (m *medium) cut(random *rand.Rand, chance float64) (survivors []sector) {
	if chance == 1 {
		return slices.Clone(m.cache) // in order: the newest of each sector
	}
	for _, i := range random.Perm(len(m.cache)) {
		if random.Float64() < chance {
			survivors = append(survivors, m.cache[i])
		}
	}
	return survivors
}

// chance picks the share of the cache that one cut leaves: often all of it, often nothing.
func chance(random *rand.Rand) float64 {
	switch random.IntN(8) {
	case 0:
		return 0
	case 1:
		return 1
	}
	return random.Float64()
}

// A disk is a block device with a volatile cache, whose power can be cut at any request. See nbd.go for how it is
// spoken to.
type disk struct {
	mu     sync.Mutex
	medium               // guarded by mu, as all below
	seen   []byte        // what a read brings: the medium with all of its cache
	record *tape         // nil: nothing is recorded
	left   int           // writes and flushes until the power goes; 0: it stays
	dark   chan struct{} // closed while there is no power
	err    error         // the first thing that went wrong with the disk itself
}

var errDark = errors.New("the power is cut")

// newDisk makes a disk without power that holds a copy of content, whose length must be whole sectors.
func newDisk(content []byte, lying bool) (*disk, error) {
	if len(content) == 0 || len(content)%sectorSize != 0 {
		return nil, fmt.Errorf("a disk of %d bytes is not one of whole sectors", len(content))
	}
	d := &disk{medium: medium{kept: bytes.Clone(content), lying: lying}, seen: bytes.Clone(content), dark: make(chan struct{})}
	close(d.dark)
	return d, nil
}

// on gives the disk power. The channel that it returns is closed when the power goes.
func (d *disk) on() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isDark() {
		d.dark, d.left = make(chan struct{}), 0
	}
	return d.dark
}

// snapshot writes the first n bytes, as they read now, into the file path.
func (d *disk) snapshot(path string, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return os.WriteFile(path, d.seen[:n], 0o600)
}

// arm lets the power go when n more writes and flushes are done, before the last of them is answered.
func (d *disk) arm(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.left = n
}

// off cuts the power, if it is not gone yet, and loses all of the cache but the given share. It returns how many
// written sectors were not flushed, and how many of those are lost.
func (d *disk) off(random *rand.Rand, chance float64) (volatile, lost int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.darken()
	volatile = len(d.cache)
	survivors := d.medium.cut(random, chance)
	for _, s := range survivors {
		copy(d.kept[s.off:], s.data)
	}
	for _, s := range d.cache {
		copy(d.seen[s.off:s.off+sectorSize], d.kept[s.off:])
	}
	d.cache = nil
	return volatile, volatile - len(survivors)
}

// do carries out a write or a flush. After errDark nothing may be answered.
func (d *disk) do(e event) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isDark() {
		return errDark
	}
	d.note(e)
	d.apply(e)
	copy(d.seen[e.off:], e.data)
	if d.left--; d.left == 0 {
		d.darken()
		return errDark
	}
	d.left = max(d.left, 0)
	return nil
}

// read fills b from off.
func (d *disk) read(b []byte, off int64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.isDark() {
		return errDark
	}
	copy(b, d.seen[off:])
	return nil
}

// say notes in the record what the guest has acknowledged.
func (d *disk) say(m mark) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.note(event{action: acknowledged, mark: m})
}

// fail keeps the first error of the disk's own.
func (d *disk) fail(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.err == nil {
		d.err = err
	}
}

// failed returns what fail was told first.
func (d *disk) failed() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.err
}

// note needs mu.
func (d *disk) note(e event) {
	if d.record == nil {
		return
	}
	if err := d.record.add(e); err != nil && d.err == nil {
		d.err = err
	}
}

// isDark needs mu.
func (d *disk) isDark() bool {
	select {
	case <-d.dark:
		return true
	default:
		return false
	}
}

// darken needs mu.
func (d *disk) darken() {
	if !d.isDark() {
		close(d.dark)
	}
}
