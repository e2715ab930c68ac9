package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
)

// A verdict is what the page shows of a passage.
type verdict struct {
	lane, direction string
	verdict         entry.Verdict
}

// A span is what a journal says of itself.
type span struct{ first, last, receipted uint64 }

// A ledger is what a kiosk has acknowledged, and what its journal was seen to hold.
type ledger struct {
	mu     sync.Mutex
	acks   map[uint64]verdict    // by sequence
	undone map[uint64]bool       // the passages whose undoing was acknowledged
	twice  map[uint64]bool       // sequences under which two different verdicts were shown
	hashes map[uint64]entry.Hash // of every entry that was ever read
	undoes map[uint64]bool       // the passages that an undo was ever read for
}

func newLedger() ledger {
	return ledger{
		acks: map[uint64]verdict{}, undone: map[uint64]bool{}, twice: map[uint64]bool{},
		hashes: map[uint64]entry.Hash{}, undoes: map[uint64]bool{},
	}
}

// show takes what a page shows with a sequence as acknowledged, and returns what is new of it.
func (l *ledger) show(s guard.State) (news []uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, r := range s.Recent {
		v := verdict{r.Lane, r.Direction, r.Verdict}
		old, known := l.acks[r.Seq]
		switch {
		case r.Seq == 0: // it was not kept, and the page says so
		case !known:
			l.acks[r.Seq] = v
			news = append(news, r.Seq)
		case old != v:
			l.twice[r.Seq] = true
		}
	}
	return news
}

// beyond reports whether a verdict behind the entry last was acknowledged.
func (l *ledger) beyond(last uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for seq := range l.acks {
		if seq > last {
			return true
		}
	}
	return false
}

// undo takes the undoing of a passage as acknowledged, and reports whether that is new.
func (l *ledger) undo(seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	known := l.undone[seq]
	l.undone[seq] = true
	return !known
}

// audit compares all that a journal holds with what was acknowledged and with what it held before. An entry may be
// gone when it stands before the journal's first, was read before, and has a receipt.
func (l *ledger) audit(j span, all []record) (lost, doubled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	missing, twice := map[uint64]bool{}, map[uint64]bool{}
	for seq := range l.twice {
		twice[seq] = true
	}
	held, undoes := map[uint64]record{}, map[uint64]bool{}
	for _, r := range all {
		if _, known := held[r.Seq]; known {
			twice[r.Seq] = true
		}
		held[r.Seq] = r
		if u, err := entry.Decode[entry.Undo](r.Entry); err == nil {
			undoes[u.Seq] = true
		}
	}
	deleted := func(seq uint64) bool { return seq < j.first && seq <= j.receipted && l.hashes[seq] != entry.Hash{} }
	for seq, hash := range l.hashes {
		if r, ok := held[seq]; ok && r.hash != hash {
			twice[seq] = true
		} else if !ok && !deleted(seq) {
			missing[seq] = true
		}
	}
	for seq, v := range l.acks {
		if r, ok := held[seq]; !ok && !deleted(seq) || ok && shownAs(r) != v {
			missing[seq] = true
		}
	}
	lost = len(missing)
	for seq := range l.undone {
		if !undoes[seq] && !l.undoes[seq] {
			lost++
		}
	}
	return lost, len(twice)
}

// shownAs returns what a page has to show of r, or nothing when that is no passage.
func shownAs(r record) (v verdict) {
	if p, err := entry.Decode[entry.Passage](r.Entry); err == nil {
		v = verdict{p.Lane, p.Direction.String(), p.Verdict}
	}
	return v
}

// learn remembers what was read, after an audit.
func (l *ledger) learn(all []record) {
	for _, r := range all {
		l.hashes[r.Seq] = r.hash
		if u, err := entry.Decode[entry.Undo](r.Entry); err == nil {
			l.undoes[u.Seq] = true
		}
	}
}

// compare looks for every entry that was ever read, up to the last one with a receipt, in what was pulled from the hub, one
// JSON object a line.
func (l *ledger) compare(pulled []byte, receipted uint64) (lost, doubled int, err error) {
	seen := map[uint64]bool{}
	for d := json.NewDecoder(bytes.NewReader(pulled)); ; {
		var line pull.Line
		if err := d.Decode(&line); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			return 0, 0, err
		}
		if hash := entry.HashOf(line.Entry); seen[line.Seq] || l.hashes[line.Seq] != hash {
			doubled++
		}
		seen[line.Seq] = true
	}
	for seq := range l.hashes {
		if !seen[seq] && seq <= receipted {
			lost++
		}
	}
	return lost, doubled, nil
}
