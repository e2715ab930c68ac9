// Package pull hands a log on to whoever may read it, entry by entry, as lines of JSON: the handler that
// a hub serves and the client that verifies what it gets. docs/PROTOCOL.md describes the lines.
//
// A page goes on from a cursor, which is opaque to its holder. Each entry comes exactly once to a reader
// that always goes on from the last cursor it has kept; entries of one device come in the order of their
// sequence. Devices are interleaved as the log took their batches, which is no order of time.
package pull

import (
	"context"
	"encoding/hex"
	"errors"
	"math"
	"strconv"
	"strings"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	// TypeLines is the media type of a page: one JSON object a line.
	TypeLines = "application/x-ndjson"
	// CursorHeader is the header that carries the cursor of a page without lines.
	CursorHeader = "Gatepost-Cursor"
	// MaxLimit is the most lines of one page; DefaultLimit is what a reader gets that names no limit.
	MaxLimit, DefaultLimit = 10_000, 1_000

	maxCursor = 64 // bytes
	maxEpoch  = 32
)

// A Log is what pages are made of.
type Log interface {
	// Epoch names the log. It changes when the log is lost and another one begins.
	Epoch() string
	// Read returns up to max records behind the place after, and the place of the newest one of all.
	Read(ctx context.Context, after uint64, max int) (records []wire.Record, last uint64, err error)
	// Wait returns when there is a record behind the place after, or with ctx's error.
	Wait(ctx context.Context, after uint64) error
}

// A Cursor is a place in a log: Done entries of the record Seq have been read, and everything before it.
type Cursor struct {
	Epoch string
	Seq   uint64
	Done  int
}

// String returns the cursor as readers keep it: epoch, record and entry, joined by dots.
func (c Cursor) String() string {
	return c.Epoch + "." + strconv.FormatUint(c.Seq, 10) + "." + strconv.Itoa(c.Done)
}

var errCursor = errors.New("not a cursor")

// ParseCursor reads what String wrote.
func ParseCursor(s string) (Cursor, error) {
	parts := strings.Split(s, ".")
	if len(s) > maxCursor || len(parts) != 3 || !isEpoch(parts[0]) {
		return Cursor{}, errCursor
	}
	seq, err1 := strconv.ParseUint(parts[1], 10, 64)
	done, err2 := strconv.ParseUint(parts[2], 10, 31)
	c := Cursor{parts[0], seq, int(done)}
	if err1 != nil || err2 != nil || c.String() != s || seq > math.MaxInt64 || seq == 0 && done > 0 {
		return Cursor{}, errCursor
	}
	return c, nil
}

func isEpoch(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < '0' || r > '9') {
			return false
		}
	}
	return s != "" && len(s) <= maxEpoch
}

// after returns the place behind which the next record stands that may have unread entries.
func (c Cursor) after() uint64 {
	if c.Seq == 0 {
		return 0
	}
	return c.Seq - 1
}

// A Line is one entry as a reader gets it. What a passage alone has is empty in others.
type Line struct {
	Cursor string `json:"cursor"` // goes on behind this entry
	Device string `json:"device"`
	Seq    uint64 `json:"seq"`
	Hash   string `json:"hash"` // SHA-256 of Entry, hexadecimal
	Kind   string `json:"kind"`
	Boot   uint32 `json:"boot"`
	Wall   string `json:"wall"` // RFC 3339, UTC, milliseconds; to be believed as far as Trust says
	MonoMS int64  `json:"mono_ms"`
	Trust  string `json:"trust"`

	Lane      string `json:"lane,omitempty"`
	Direction string `json:"direction,omitempty"`
	Verdict   string `json:"verdict,omitempty"`
	Form      string `json:"form,omitempty"`
	Tag       string `json:"tag,omitempty"`    // hexadecimal
	Sealed    []byte `json:"sealed,omitempty"` // base64; only the authority's key opens it

	Undoes uint64 `json:"undoes,omitempty"` // in an undo: the sequence of the passage that does not count
	Why    string `json:"why,omitempty"`    // one of entry.UndoReasons

	Entry []byte `json:"entry"`           // base64 of the exact bytes
	Batch *Span  `json:"batch,omitempty"` // on the last entry of each batch

	// Only a Client with the authority's key sets these; no hub can.
	Personal      *entry.Personal `json:"personal,omitempty"`
	PersonalError string          `json:"personal_error,omitempty"`
}

// A Span closes a batch: Sig is the device's signature over Before and the head behind this line's entry.
type Span struct {
	Before Head   `json:"before"`
	Sig    []byte `json:"sig"` // Ed25519, base64
}

// A Head is an entry.Head as JSON.
type Head struct {
	Seq  uint64 `json:"seq"`
	Hash string `json:"hash"` // hexadecimal
}

const wallFormat = "2006-01-02T15:04:05.000Z"

// line describes the entry that at points behind, which is raw.
func line(at Cursor, b wire.Batch, raw []byte) (Line, error) {
	e, err := entry.Parse(raw)
	if err != nil {
		return Line{}, err
	}
	head := e.After(raw)
	l := Line{
		Cursor: at.String(), Device: b.Device, Seq: e.Seq, Hash: head.Hash.String(), Kind: e.Kind.String(),
		Boot: e.Boot, Wall: e.Wall.Format(wallFormat), MonoMS: e.Mono.Milliseconds(), Trust: e.Trust.String(), Entry: raw,
	}
	// A body that cannot be decoded is left to the reader: the entry itself is whole and signed.
	switch e.Kind {
	case entry.KindPassage:
		if p, err := entry.Decode[entry.Passage](e); err == nil {
			l.Lane, l.Direction, l.Verdict, l.Form = p.Lane, p.Direction.String(), p.Verdict.String(), p.Form
			l.Tag, l.Sealed = hex.EncodeToString(p.Tag), p.Sealed
		}
	case entry.KindUndo:
		if u, err := entry.Decode[entry.Undo](e); err == nil {
			l.Undoes, l.Why = u.Seq, u.Why
		}
	}
	if e.Seq == b.After().Seq {
		l.Batch = &Span{Before: Head{b.Before().Seq, b.Before().Hash.String()}, Sig: b.Sig}
	}
	return l, nil
}
