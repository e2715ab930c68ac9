package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// A mark is an entry that was acknowledged.
type mark struct {
	seq  uint64
	hash string
}

// examine checks the journal in dir as it lies there, opens it, reads every entry, and returns it open.
func examine(dir string, last mark) (*journal.Journal, error) {
	if err := lie(dir, last); err != nil {
		return nil, err
	}
	j, err := journal.Open(dir, options)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errLost, err)
	}
	if err := errors.Join(holds(j, last), read(j)); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %w", errLost, err), j.Close())
	}
	return j, nil
}

// lie looks at the journal before anybody may repair it.
func lie(dir string, last mark) error {
	r, err := journal.Check(dir, hub.Public().(ed25519.PublicKey))
	switch {
	case err != nil && last.seq == 0:
		return nil // cut before there was anything; Open must make it
	case err != nil:
		return fmt.Errorf("%w: %w", errLost, err)
	case len(r.Damage) > 0:
		return fmt.Errorf("%w: %q", errLost, r.Damage)
	case r.Last < last.seq:
		return fmt.Errorf("%w: entry %d was acknowledged, the last one is %d", errLost, last.seq, r.Last)
	case r.First > r.Receipted+1:
		return fmt.Errorf("%w: it begins with entry %d, and the hub holds %d", errLost, r.First, r.Receipted)
	case r.Lost > 0 || uint64(r.Entries) < r.Last+1-r.First: // a purge that was cut may leave more
		return fmt.Errorf("%w: %d entries from %d to %d, %d in gaps", errLost, r.Entries, r.First, r.Last, r.Lost)
	}
	return nil
}

// holds reports whether the opened journal has what was acknowledged last, and thereby, along the chain, all before it.
func holds(j *journal.Journal, last mark) error {
	if last.seq == 0 {
		return nil
	}
	hash, err := j.Hash(last.seq)
	if err != nil {
		return fmt.Errorf("entry %d was acknowledged, the journal holds %d to %d: %w", last.seq, j.First(), j.Head().Seq, err)
	}
	if hash.String() != last.hash {
		return fmt.Errorf("entry %d is not the one that was acknowledged", last.seq)
	}
	return nil
}

// A lane of one boot numbers its entries without gaps.
type laneOf struct {
	boot uint32
	lane int
}

// read reads every entry: none is missing, none is twice there, each says what its place implies.
func read(j *journal.Journal) error {
	seq, numbers := j.First(), map[laneOf]int{}
	for {
		raws, err := j.Range(seq-1, 500, 1<<20)
		if err != nil {
			return err
		}
		if len(raws) == 0 {
			break
		}
		for _, raw := range raws {
			e, err := entry.Parse(raw)
			if err != nil {
				return err
			}
			if e.Seq != seq {
				return fmt.Errorf("entry %d stands in the place of %d", e.Seq, seq)
			}
			if err := follow(e, numbers, j.First() == 1); err != nil {
				return fmt.Errorf("entry %d: %w", seq, err)
			}
			seq++
		}
	}
	if head := j.Head().Seq; seq != head+1 {
		return fmt.Errorf("%d entries can be read of %d", seq-1, head)
	}
	return nil
}

// follow checks one entry against those before it. Where some were deleted, a lane need not begin with 1.
func follow(e entry.Entry, numbers map[laneOf]int, whole bool) error {
	if e.Kind == entry.KindPurge {
		return nil
	}
	f, err := entry.Decode[entry.Fault](e)
	if err != nil {
		return fmt.Errorf("nobody appended this: %w", err) // above all a gap
	}
	var l laneOf
	var n int
	if _, err := fmt.Sscanf(f.Text, "%d %d %d ", &l.boot, &l.lane, &n); err != nil || l.boot != e.Boot || f.Text != text(l.boot, l.lane, n) {
		return errors.New("its content is not what was appended")
	}
	before, known := numbers[l]
	if n != before+1 && (known || whole) {
		return fmt.Errorf("number %d of lane %d stands behind number %d", n, l.lane, before)
	}
	numbers[l] = n
	return nil
}
