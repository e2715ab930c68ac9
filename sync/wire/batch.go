// Package wire defines what a kiosk and a hub say to each other: signed batches of entries, the head that
// a hub answers with, problems, limits and paths. docs/PROTOCOL.md describes the same for other languages.
//
// It moves bytes and checks them; it opens no connection.
package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
)

const (
	// Version is the first item of every batch.
	Version = 1
	// MaxEntries is the most entries of one batch.
	MaxEntries = 500
	// MaxBatch is the most bytes of one batch.
	MaxBatch = 1 << 20
)

// ErrBatch means that bytes are not a batch, or that its entries do not follow one another.
var ErrBatch = errors.New("not a batch")

// A Batch is consecutive entries of one device, in their own bytes, under that device's signature.
// It proves itself, so any carrier will do.
type Batch struct {
	Device  string
	Entries [][]byte
	Sig     []byte

	before, after entry.Head
}

// frozen is the CBOR of a Batch: an array of version, device, entries, signature.
type frozen struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	Device  string
	Entries [][]byte
	Sig     []byte
}

// Before returns the head that the batch goes on from, After the head behind its last entry.
func (b Batch) Before() entry.Head { return b.before }

// After returns the head behind the batch's last entry.
func (b Batch) After() entry.Head { return b.after }

// Sign makes a batch of entries, which must follow one another in one chain.
func Sign(key ed25519.PrivateKey, entries [][]byte) (Batch, error) {
	b := Batch{Device: entry.DeviceID(key.Public().(ed25519.PublicKey)), Entries: entries}
	if err := b.link(); err != nil {
		return Batch{}, err
	}
	b.Sig = ed25519.Sign(key, signed(b.Device, b.before, b.after))
	return b, nil
}

// Verify returns an error unless the batch carries the signature of pub's device.
func (b Batch) Verify(pub ed25519.PublicKey) error {
	return VerifySpan(pub, b.Device, b.before, b.after, b.Sig)
}

// Marshal returns the bytes of b.
func (b Batch) Marshal() ([]byte, error) {
	raw, err := cbor.Marshal(frozen{Version: Version, Device: b.Device, Entries: b.Entries, Sig: b.Sig})
	if err == nil && len(raw) > MaxBatch {
		err = fmt.Errorf("batch of %d bytes exceeds %d", len(raw), MaxBatch)
	}
	return raw, err
}

// Parse reads a batch and checks that its entries form a chain. It does not check the signature.
// Every error is an ErrBatch.
func Parse(raw []byte) (Batch, error) {
	if len(raw) > MaxBatch {
		return Batch{}, fmt.Errorf("%w: %d bytes exceed %d", ErrBatch, len(raw), MaxBatch)
	}
	var f frozen
	if err := decoding.Unmarshal(raw, &f); err != nil {
		return Batch{}, fmt.Errorf("%w: %w", ErrBatch, err)
	}
	if f.Version != Version {
		return Batch{}, fmt.Errorf("%w: version %d, this program knows %d", ErrBatch, f.Version, Version)
	}
	b := Batch{Device: f.Device, Entries: f.Entries, Sig: f.Sig}
	if err := b.link(); err != nil {
		return Batch{}, err
	}
	return b, nil
}

// link walks the entries and notes the heads on both sides.
func (b *Batch) link() error {
	if n := len(b.Entries); n == 0 || n > MaxEntries {
		return fmt.Errorf("%w: %d entries, from 1 to %d are possible", ErrBatch, n, MaxEntries)
	}
	first, err := entry.Parse(b.Entries[0])
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBatch, err)
	}
	b.before = first.Before()
	b.after = b.before
	for _, raw := range b.Entries {
		if b.after, err = b.after.Follow(raw); err != nil {
			return fmt.Errorf("%w: %w", ErrBatch, err)
		}
	}
	return nil
}

var decoding = func() cbor.DecMode {
	m, err := cbor.DecOptions{
		MaxNestedLevels: 4, MaxArrayElements: MaxEntries, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return m
}()
