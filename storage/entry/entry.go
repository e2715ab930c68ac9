// Package entry defines one record of the journal: its kinds, its bytes, its chain and its seal.
//
// An entry is encoded once, by the kiosk that made it, and stays the same bytes in the journal, on the
// wire, on a USB stick and in the hub's log. docs/FORMATS.md describes those bytes for other languages
// and carries the vectors that the tests of this package check.
//
// The package reads no clock, no disk and no network, and logs nothing.
package entry

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"
)

const (
	// Version is the first byte of every entry that this package writes.
	Version = 1
	// MaxSize is the most bytes that one entry may have; a larger one is refused.
	MaxSize = 8 << 10

	// MaxBody is the most bytes that the body of an entry may have.
	MaxBody = MaxSize - headerSize

	headerSize = 63
)

// Kind says what an entry records. A kind that a reader does not know is kept and chained all the same.
type Kind uint8

const (
	KindPassage  Kind = 1 // somebody stood at the gate and got a verdict
	KindBoot     Kind = 2 // the kiosk started
	KindGap      Kind = 3 // entries were lost or are in doubt
	KindUndo     Kind = 4 // an earlier passage does not count
	KindPurge    Kind = 5 // receipted entries were deleted
	KindHandover Kind = 6 // the venue's log goes on from another device
	KindFault    Kind = 7 // a part failed, or works again
	KindShift    Kind = 8 // another guard took the gate over
)

var kindNames = [...]string{KindPassage: "passage", KindBoot: "boot", KindGap: "gap", KindUndo: "undo", KindPurge: "purge", KindHandover: "handover", KindFault: "fault", KindShift: "shift"}

func (k Kind) String() string {
	if int(k) < len(kindNames) && kindNames[k] != "" {
		return kindNames[k]
	}
	return fmt.Sprintf("kind-%d", k)
}

// Trust says how far an entry's wall time can be believed.
type Trust uint8

const (
	TrustNone    Trust = 0 // not before the program was built, no more is known
	TrustSeen    Trust = 1 // not before a time that was trusted earlier
	TrustClock   Trust = 2 // the operating system's clock, synchronised or kept by a battery
	TrustNetwork Trust = 3 // signed by the hub
)

var trustNames = [...]string{"none", "seen", "clock", "network"}

func (t Trust) String() string {
	if int(t) < len(trustNames) {
		return trustNames[t]
	}
	return fmt.Sprintf("trust-%d", t)
}

// Hash is the SHA-256 of an entry's bytes. The zero Hash stands before the first entry.
type Hash [sha256.Size]byte

func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String wrote.
func ParseHash(s string) (h Hash, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(h) {
		return Hash{}, fmt.Errorf("hash %.70q is not %d hexadecimal digits", s, 2*len(h))
	}
	return Hash(b), nil
}

// HashOf returns the hash that the next entry carries as its Prev.
func HashOf(raw []byte) Hash { return sha256.Sum256(raw) }

// A Head is the place where a chain ends: the last sequence and the hash of that entry.
// The zero Head is an empty chain.
type Head struct {
	Seq  uint64
	Hash Hash
}

// A Stamp is the time of an entry as its kiosk knew it. Order comes from Seq, never from a Stamp.
type Stamp struct {
	Wall  time.Time     // UTC, whole milliseconds
	Mono  time.Duration // since the kiosk started, whole milliseconds; never goes back within a boot
	Trust Trust         // of Wall
}

// An Entry is one record with its place in the chain.
type Entry struct {
	Kind Kind
	Seq  uint64 // from 1, without gaps
	Boot uint32 // counts the starts of the kiosk, from 1
	Stamp
	Prev Hash
	Body []byte // deterministic CBOR, its shape by Kind; see body.go
}

// A Draft is an entry that has no place in a chain yet.
type Draft struct {
	Kind Kind
	Stamp
	Body []byte
}

// ErrFormat means that bytes are not an entry that this package can place in a chain.
var ErrFormat = errors.New("not an entry")

// Marshal returns the bytes of e, or an error when they would exceed MaxSize.
func (e Entry) Marshal() ([]byte, error) {
	if n := headerSize + len(e.Body); n > MaxSize {
		return nil, fmt.Errorf("entry of %d bytes exceeds %d", n, MaxSize)
	}
	b := make([]byte, 0, headerSize+len(e.Body))
	b = append(b, Version, byte(e.Kind))
	b = binary.BigEndian.AppendUint64(b, e.Seq)
	b = binary.BigEndian.AppendUint32(b, e.Boot)
	b = binary.BigEndian.AppendUint64(b, uint64(e.Wall.UnixMilli()))
	b = binary.BigEndian.AppendUint64(b, uint64(e.Mono.Milliseconds()))
	b = append(b, byte(e.Trust))
	b = append(b, e.Prev[:]...)
	return append(b, e.Body...), nil
}

// Parse reads the header of an entry and keeps its body unread, so that an unknown kind stays in the chain.
func Parse(raw []byte) (Entry, error) {
	switch {
	case len(raw) < headerSize:
		return Entry{}, fmt.Errorf("%w: %d bytes, a header has %d", ErrFormat, len(raw), headerSize)
	case len(raw) > MaxSize:
		return Entry{}, fmt.Errorf("%w: %d bytes exceed %d", ErrFormat, len(raw), MaxSize)
	case raw[0] != Version:
		return Entry{}, fmt.Errorf("%w: version %d, this program knows %d", ErrFormat, raw[0], Version)
	}
	e := Entry{
		Kind: Kind(raw[1]),
		Seq:  binary.BigEndian.Uint64(raw[2:]),
		Boot: binary.BigEndian.Uint32(raw[10:]),
		Stamp: Stamp{
			Wall:  time.UnixMilli(int64(binary.BigEndian.Uint64(raw[14:]))).UTC(),
			Mono:  time.Duration(binary.BigEndian.Uint64(raw[22:])) * time.Millisecond,
			Trust: Trust(raw[30]),
		},
		Body: raw[headerSize:],
	}
	copy(e.Prev[:], raw[31:headerSize])
	if e.Seq == 0 {
		return Entry{}, fmt.Errorf("%w: sequence 0", ErrFormat)
	}
	return e, nil
}

// HeadOf returns the head behind an entry: its hash, or the hash that a gap hands on in the place of a lost entry.
func HeadOf(raw []byte) (Head, error) {
	e, err := Parse(raw)
	if err != nil {
		return Head{}, err
	}
	return e.After(raw), nil
}

// After returns the head behind e, whose bytes are raw, as HeadOf does.
func (e Entry) After(raw []byte) Head {
	h := Head{e.Seq, HashOf(raw)}
	if g, err := Decode[Gap](e); err == nil && g.Last == e.Seq && len(g.Hash) == len(h.Hash) {
		h.Hash = Hash(g.Hash)
	}
	return h
}

// Before returns the head whose hash e carries: that of the entry right before it, or before the gap that it stands for.
func (e Entry) Before() Head {
	h := Head{e.Seq - 1, e.Prev}
	if g, err := Decode[Gap](e); err == nil && g.skips(e.Seq) {
		h.Seq = g.First - 1
	}
	return h
}

// skips reports whether g stands for the entries before seq, rather than telling of older ones.
func (g Gap) skips(seq uint64) bool {
	return g.First > 0 && g.First <= g.Last && (g.Last == seq || g.Last == seq-1)
}

// Follow checks that raw is the entry that comes right after h and returns the head behind it. A gap may also follow
// an entry that it says is lost: whoever holds the chain may have got that entry before the device lost it.
func (h Head) Follow(raw []byte) (Head, error) {
	e, err := Parse(raw)
	if err == nil {
		err = h.Precedes(e)
	}
	if err != nil {
		return h, err
	}
	return e.After(raw), nil
}

// Precedes returns an error unless e goes on from h.
func (h Head) Precedes(e Entry) error {
	before := e.Before()
	switch {
	case before.Seq < h.Seq && h.Seq < e.Seq: // only a gap has more than one sequence between the two
	case before.Seq != h.Seq:
		return fmt.Errorf("entry %d does not follow entry %d", e.Seq, h.Seq)
	case before.Hash != h.Hash:
		return fmt.Errorf("entry %d does not carry the hash of entry %d", e.Seq, h.Seq)
	}
	return nil
}

// Size returns how many bytes of b the entry has that b begins with, 0 when it begins with none: its body, which is one
// CBOR item, tells its end. Bytes that only look like an entry may get a size, too; the chain tells.
func Size(b []byte) int {
	if len(b) <= headerSize || b[0] != Version {
		return 0
	}
	body := b[headerSize:min(len(b), MaxSize)]
	var item cbor.RawMessage
	rest, err := decoding.UnmarshalFirst(body, &item)
	if err != nil {
		return 0
	}
	return headerSize + len(body) - len(rest)
}

// With returns the bytes of e with body, and with body's kind.
func (e Entry) With(body Body) ([]byte, error) {
	d, err := NewDraft(e.Stamp, body)
	if err != nil {
		return nil, err
	}
	e.Kind, e.Body = d.Kind, d.Body
	return e.Marshal()
}
