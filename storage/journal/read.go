package journal

import (
	"bytes"
	"fmt"
	"iter"
	"slices"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// Stats is what a guard sees of the journal.
type Stats struct {
	Saved  int       // entries that are here
	Unsent int       // of them, how many no receipt covers
	Oldest time.Time // wall time of the first unsent entry, zero when there is none
	Bytes  int64     // of the file
}

// Range returns the bytes of the entries from after+1 on: at most max of them, and no more than maxBytes,
// but one entry in any case if there is one. ErrPruned when after+1 is deleted.
func (j *Journal) Range(after uint64, max, maxBytes int) (list [][]byte, err error) {
	s := j.held.Load()
	if after < s.Before.Seq {
		return nil, fmt.Errorf("read journal after %d: %w", after, ErrPruned)
	}
	err = j.view(func(b *bbolt.Bucket) error {
		c, size := b.Cursor(), 0
		k, v := c.Seek(key(after + 1))
		for seq := after + 1; seq <= s.Head.Seq && len(list) < max; seq++ {
			if !bytes.Equal(k, key(seq)) {
				return missing(b, seq)
			}
			if size += len(v); size > maxBytes && len(list) > 0 {
				return nil
			}
			list = append(list, slices.Clone(v)) // v lives in the file and only as long as the transaction
			k, v = c.Next()
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read journal after %d: %w", after, err)
	}
	return list, nil
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

// get returns the bytes of entry seq, valid within the transaction of b.
func get(b *bbolt.Bucket, seq uint64) ([]byte, error) {
	if v := b.Get(key(seq)); v != nil {
		return v, nil
	}
	return nil, missing(b, seq)
}

// missing says why entry seq is not there: deleted a moment ago, or lost.
func missing(b *bbolt.Bucket, seq uint64) error {
	var s state
	if err := s.unpack(b.Get(stateKey)); err != nil {
		return err
	}
	if seq <= s.Before.Seq {
		return ErrPruned
	}
	return fmt.Errorf("%w: entry %d is missing", ErrDamaged, seq)
}

// Hash returns the hash of entry seq, or of the head before the first entry that is still here; false
// for any other sequence.
func (j *Journal) Hash(seq uint64) (h entry.Hash, ok bool) {
	s := j.held.Load()
	switch {
	case seq < s.Before.Seq || seq > s.Head.Seq:
		return h, false
	case seq == s.Before.Seq:
		return s.Before.Hash, true
	case seq == s.Head.Seq:
		return s.Head.Hash, true
	}
	err := j.view(func(b *bbolt.Bucket) error {
		raw, err := get(b, seq)
		h = entry.HashOf(raw)
		return err
	})
	return h, err == nil
}

// Stats reads the journal's figures.
func (j *Journal) Stats() Stats {
	s := j.held.Load()
	st := Stats{Saved: int(s.Head.Seq - s.Before.Seq), Unsent: int(s.Head.Seq - s.Receipted)}
	j.view(func(b *bbolt.Bucket) error { // a file that cannot be read shows at the next write
		st.Bytes = b.Tx().Size()
		if st.Unsent == 0 {
			return nil
		}
		raw, err := get(b, s.Receipted+1)
		if err != nil {
			return err
		}
		e, err := entry.Parse(raw)
		st.Oldest = e.Wall
		return err
	})
	return st
}
