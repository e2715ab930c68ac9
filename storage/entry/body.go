package entry

import (
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Direction is which way somebody went.
type Direction uint8

const (
	In  Direction = 1
	Out Direction = 2
)

func (d Direction) String() string {
	switch d {
	case In:
		return "in"
	case Out:
		return "out"
	}
	return fmt.Sprintf("direction-%d", d)
}

// ParseDirection reads "in" or "out".
func ParseDirection(s string) (Direction, error) {
	switch s {
	case "in":
		return In, nil
	case "out":
		return Out, nil
	}
	return 0, fmt.Errorf("direction %q is neither \"in\" nor \"out\"", s)
}

// A Passage is the body of KindPassage. What names or describes the person is in Sealed alone.
type Passage struct {
	Lane      string    `cbor:"1,keyasint"`
	Direction Direction `cbor:"2,keyasint"`
	Verdict   Verdict   `cbor:"3,keyasint"`
	Form      string    `cbor:"4,keyasint,omitempty"` // "covid-2021/1": the form that the verdict rests on
	Tag       []byte    `cbor:"5,keyasint,omitempty"` // 16 bytes of HMAC-SHA-256 of the person under the venue's key of the day
	Sealed    []byte    `cbor:"6,keyasint,omitempty"` // see Seal; a Personal inside
}

// A Boot is the body of KindBoot.
type Boot struct {
	Program string `cbor:"1,keyasint"`           // version of the program
	Before  string `cbor:"2,keyasint,omitempty"` // why the last run ended, where it is known
}

// A Gap is the body of KindGap: the entries from First to Last are lost or in doubt. It is the one kind of entry
// that may skip sequences, see Head.Follow: it stands behind the gap, under Last+1, or, where later entries are still
// here, in the place of entry Last, whose Hash the next entry carries.
type Gap struct {
	First uint64 `cbor:"1,keyasint"`
	Last  uint64 `cbor:"2,keyasint"`
	Why   string `cbor:"3,keyasint"`
	Hash  []byte `cbor:"4,keyasint,omitempty"` // of entry Last; only in its place
}

// An Undo is the body of KindUndo: the passage at Seq does not count.
type Undo struct {
	Seq uint64 `cbor:"1,keyasint"`
	Why string `cbor:"2,keyasint,omitempty"` // one of UndoReasons; absent when nobody said
}

// UndoReasons lists the codes that say why a passage does not count.
func UndoReasons() []string {
	return []string{
		"left",       // the person did not go through
		"turnstile",  // the turnstile saw nobody go through
		"wrong-way",  // the lane's direction was wrong
		"wrong-card", // somebody showed another's code
		"test",       // nobody stood there
	}
}

// A Purge is the body of KindPurge: the entries from First to Last were deleted, and Receipt is the
// hub's signed word that it holds them (the JSON of a Receipt).
type Purge struct {
	First   uint64 `cbor:"1,keyasint"`
	Last    uint64 `cbor:"2,keyasint"`
	Receipt []byte `cbor:"3,keyasint"`
}

// A Handover is the body of KindHandover: this chain goes on where Device's chain ended.
type Handover struct {
	Device string `cbor:"1,keyasint"`
	Seq    uint64 `cbor:"2,keyasint"`
	Hash   []byte `cbor:"3,keyasint"`
}

// A Fault is the body of KindFault. Text names no person.
type Fault struct {
	Part  string `cbor:"1,keyasint"` // "camera", "journal", "clock", …
	Text  string `cbor:"2,keyasint"`
	Clear bool   `cbor:"3,keyasint,omitempty"` // the part works again
}

// A Shift is the body of KindShift: from here on Guard answers for the gate. The counts and the defects are of the shift
// that ends with this entry.
type Shift struct {
	Guard   string   `cbor:"1,keyasint"`           // number of the badge, which names no person
	Before  string   `cbor:"2,keyasint,omitempty"` // of who answered until then
	In      uint64   `cbor:"3,keyasint"`           // admitted, the undone ones left out
	Out     uint64   `cbor:"4,keyasint"`
	Refused uint64   `cbor:"5,keyasint"`
	Looked  uint64   `cbor:"6,keyasint"` // the guard had to look, ask or decide, or nothing could be read
	Undone  uint64   `cbor:"7,keyasint"`
	Defects []string `cbor:"8,keyasint,omitempty"` // the parts that are out of order as the gate is handed over
}

// Body is one of the body types above.
type Body interface{ kind() Kind }

func (Passage) kind() Kind  { return KindPassage }
func (Boot) kind() Kind     { return KindBoot }
func (Gap) kind() Kind      { return KindGap }
func (Undo) kind() Kind     { return KindUndo }
func (Purge) kind() Kind    { return KindPurge }
func (Handover) kind() Kind { return KindHandover }
func (Fault) kind() Kind    { return KindFault }
func (Shift) kind() Kind    { return KindShift }

// NewDraft encodes body as a draft of its kind.
func NewDraft(s Stamp, body Body) (Draft, error) {
	b, err := encoding.Marshal(body)
	if err != nil {
		return Draft{}, fmt.Errorf("encode %v: %w", body.kind(), err)
	}
	return Draft{Kind: body.kind(), Stamp: s, Body: b}, nil
}

// Decode reads the body of e as a T. It fails when e is of another kind or its body is not a T's.
// Fields that T does not know are left out of it; they stay in e.Body.
func Decode[T Body](e Entry) (body T, err error) {
	if e.Kind != body.kind() {
		return body, kindError{e.Seq, e.Kind, body.kind()}
	}
	if err := decoding.Unmarshal(e.Body, &body); err != nil {
		return body, fmt.Errorf("decode entry %d: %w", e.Seq, err)
	}
	return body, nil
}

// kindError makes its text only when somebody reads it: most who ask for a kind do so to find out.
type kindError struct {
	seq      uint64
	is, want Kind
}

func (e kindError) Error() string {
	return fmt.Sprintf("entry %d is a %v, not a %v", e.seq, e.is, e.want)
}

// encoding is RFC 8949's core deterministic encoding; decoding refuses what no entry needs.
var (
	encoding = must(cbor.CoreDetEncOptions().EncMode())
	decoding = must(cbor.DecOptions{
		DupMapKey: cbor.DupMapKeyEnforcedAPF, MaxNestedLevels: 8, MaxArrayElements: 256, MaxMapPairs: 256,
		IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
	}.DecMode())
)

// must serves package variables whose arguments are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
