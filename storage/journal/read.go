package journal

import (
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// Stats is what a guard sees of the journal.
type Stats struct {
	Saved  int       // entries that are here; one that a gap stands for counts
	Unsent int       // of them, how many no receipt covers
	Oldest time.Time // wall time of the first unsent entry, zero when there is none
}

// Range returns the bytes of the entries from after+1 on: at most max of them, and no more than maxBytes, but one entry
// in any case if there is one. Each follows the one before it. ErrPruned when after+1 is deleted. A file that turns out
// to be damaged is repaired first.
func (j *Journal) Range(after uint64, max, maxBytes int) (list [][]byte, err error) {
	list, err = j.read(after, max, maxBytes)
	if errors.Is(err, ErrDamaged) && j.repairFrom(after) {
		list, err = j.read(after, max, maxBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("read journal after %d: %w", after, err)
	}
	return list, nil
}

// read fills a list from as many files as it takes.
func (j *Journal) read(after uint64, max, maxBytes int) (list [][]byte, err error) {
	hash, err := j.Hash(after)
	if err != nil && !errors.Is(err, ErrGap) && !errors.Is(err, ErrAhead) {
		return nil, err
	}
	at, known := entry.Head{Seq: after, Hash: hash}, err == nil
	head, size := j.Head().Seq, 0
	take := func(seq uint64, raw []byte) error {
		// Behind the head may stand what a failed commit left.
		if size += len(raw); len(list) == max || size > maxBytes && len(list) > 0 || seq > head {
			return errStop
		}
		if !known { // the gap that says so comes next
			at, known = before(raw), true
		}
		if at, err = at.Follow(raw); err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		list = append(list, slices.Clone(raw)) // raw lives in the file
		return nil
	}
	for from := after + 1; ; {
		end, sealed, err := j.visit(from, take)
		switch {
		case errors.Is(err, errStop) || err == nil && !sealed:
			return list, nil
		case err != nil:
			return nil, err
		case at != end:
			return nil, fmt.Errorf("%w: a file ends with entry %d, not %d, or with another one", ErrDamaged, at.Seq, end.Seq)
		}
		from = end.Seq + 1
	}
}

// visit calls fn for the entries from seq on of the one file in which seq stands, and tells where that ends if it is a
// sealed one.
func (j *Journal) visit(seq uint64, fn func(seq uint64, raw []byte) error) (end entry.Head, sealed bool, err error) {
	j.mu.RLock()
	defer j.mu.RUnlock()
	for _, s := range j.sealed {
		if s.head.Seq >= seq {
			_, err := readFile(filepath.Join(j.dir, fileName(s.start)), seq, func(at uint64, raw []byte) error {
				if at > s.head.Seq {
					return fmt.Errorf("%w: entry %d in a file that ends with %d", ErrDamaged, at, s.head.Seq)
				}
				return fn(at, raw)
			})
			return s.head, true, err
		}
	}
	if j.db == nil {
		return end, false, ErrClosed // or broken; the next write says which
	}
	return end, false, guard(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			t, err := treeOf(tx)
			if err != nil {
				return err
			}
			return t.from(seq, fn)
		})
	})
}

// readFile calls fn for the entries of a sealed file from seq on. A file that has gone is as good as damaged.
func readFile(path string, seq uint64, fn func(seq uint64, raw []byte) error) (s state, err error) {
	f, err := os.Open(path)
	if err != nil {
		return s, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return s, err
	}
	m, err := newestImage(f, info.Size())
	if err != nil {
		return s, err
	}
	return m.from(seq, fn)
}

// Last returns the newest n entries, the oldest of them first. An error ends it.
func (j *Journal) Last(n uint64) iter.Seq2[entry.Entry, error] {
	return func(yield func(entry.Entry, error) bool) {
		after := j.First() - 1
		if head := j.Head().Seq; head > after+n {
			after = head - n
		}
		for {
			raws, err := j.Range(after, 500, 1<<20)
			if err != nil {
				yield(entry.Entry{}, err)
				return
			}
			if len(raws) == 0 {
				return
			}
			for _, raw := range raws {
				e, err := entry.Parse(raw)
				if !yield(e, err) || err != nil {
					return
				}
				after = e.Seq
			}
		}
	}
}

// Hash returns the hash of entry seq, or of the head before the first entry that is still here. ErrGap when the entry is
// lost, ErrPruned when it is deleted, ErrAhead when it has not come yet.
func (j *Journal) Hash(seq uint64) (entry.Hash, error) {
	s := j.held.Load()
	switch {
	case seq < s.Before.Seq:
		return entry.Hash{}, ErrPruned
	case seq == s.Before.Seq:
		return s.Before.Hash, nil
	case seq == s.Head.Seq:
		return s.Head.Hash, nil
	case seq > s.Head.Seq:
		return entry.Hash{}, ErrAhead
	}
	h, err := headAt(seq, func(fn func(uint64, []byte) error) error { _, _, err := j.visit(seq, fn); return err })
	return h.Hash, err
}

// headAt returns the head behind entry seq, where visit begins.
func headAt(seq uint64, visit func(fn func(uint64, []byte) error) error) (h entry.Head, err error) {
	found := ErrGap
	err = visit(func(at uint64, raw []byte) error {
		if at == seq {
			h, found = entry.HeadOf(raw)
		}
		return errStop
	})
	if err != nil && !errors.Is(err, errStop) {
		return h, err
	}
	return h, found
}

// Stats reads the journal's figures.
func (j *Journal) Stats() Stats {
	s := j.held.Load()
	st := Stats{Saved: int(s.Head.Seq - s.Before.Seq), Unsent: int(s.Head.Seq - s.Receipted)}
	if st.Unsent == 0 {
		return st
	}
	j.visit(s.Receipted+1, func(_ uint64, raw []byte) error {
		if e, err := entry.Parse(raw); err == nil {
			st.Oldest = e.Wall
		}
		return errStop
	})
	return st
}
