package journal

import (
	"bytes"
	"encoding/binary"
	"io"
	"maps"
	"os"
	"slices"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
)

// Carving finds entries in a damaged file by what they look like, wherever they lie: it needs no page to be whole. What
// it finds may be an older copy, or damaged itself; the chain is the judge (vouched).

// debris is what was carved from a file.
type debris struct {
	entries map[uint64][][]byte // by sequence, each text once
	state   state               // of those with a good checksum the one with the highest head
}

// maxCarved bounds the texts of one sequence; a file holds as many copies as it has leaf pages at the most.
const maxCarved = 64

// carve searches the bytes of a file for entries behind first and up to last, and for states.
func carve(raw []byte, first, last uint64) debris {
	d := debris{entries: map[uint64][][]byte{}}
	for at := range raw {
		b := raw[at:]
		if bytes.HasPrefix(b, stateKey) {
			d.addState(b[len(stateKey):])
		}
		if len(b) < 10 || b[0] != entry.Version {
			continue
		}
		if seq := binary.BigEndian.Uint64(b[2:]); seq > first && seq <= last {
			d.addEntry(seq, b)
		}
	}
	return d
}

// readAll reads a file block by block: one that cannot be read is left out as zeros.
func readAll(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	raw := make([]byte, min(info.Size(), 4*fileSize))
	for at := 0; at < len(raw); at += pageSize {
		block := raw[at:min(at+pageSize, len(raw))]
		if _, err := (patient{f}).ReadAt(block, int64(at)); err != nil && err != io.EOF {
			clear(block)
		}
	}
	return raw, nil
}

// addEntry takes the entry that b begins with, if it is one: its body says where it ends.
func (d *debris) addEntry(seq uint64, b []byte) {
	size := entry.Size(b)
	if size == 0 || len(d.entries[seq]) == maxCarved {
		return
	}
	for _, known := range d.entries[seq] {
		if bytes.Equal(known, b[:size]) {
			return
		}
	}
	d.entries[seq] = append(d.entries[seq], bytes.Clone(b[:size]))
}

// addState takes the state that b begins with, if it is a whole one.
func (d *debris) addState(b []byte) {
	const sum = 32
	if len(b) < sum {
		return
	}
	var any cbor.RawMessage
	rest, err := cbor.UnmarshalFirst(b[sum:min(len(b), sum+pageSize)], &any)
	if err != nil {
		return
	}
	var s state
	if s.unpack(b[:min(len(b), sum+pageSize)-len(rest)]) == nil && s.Head.Seq >= d.state.Head.Seq {
		d.state = s
	}
}

// vouched returns the entries of the debris that are certainly what was written, in order: those whose hash the next
// entry carries, or else one of the heads that are known from elsewhere.
func (d *debris) vouched(heads ...entry.Head) (list [][]byte) {
	carried := map[entry.Head]bool{}
	for _, texts := range d.entries {
		for _, raw := range texts {
			carried[before(raw)] = true
		}
	}
	for _, seq := range slices.Sorted(maps.Keys(d.entries)) {
		texts := d.entries[seq]
		i := slices.IndexFunc(texts, func(raw []byte) bool { return carried[after(raw)] })
		if i < 0 { // an entry that was taken back may have been a head once, but nothing ever followed it
			i = slices.IndexFunc(texts, func(raw []byte) bool { return slices.Contains(heads, after(raw)) })
		}
		if i >= 0 {
			list = append(list, texts[i])
		}
	}
	return list
}

// after returns the head behind an entry.
func after(raw []byte) entry.Head {
	h, err := entry.HeadOf(raw)
	if err != nil {
		return entry.Head{}
	}
	return h
}

// before returns the head whose hash an entry carries.
func before(raw []byte) entry.Head {
	e, err := entry.Parse(raw)
	if err != nil {
		return entry.Head{}
	}
	return e.Before()
}
