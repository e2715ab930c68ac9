package journal

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// maxPrune bounds the deletions of one transaction, so that no passage waits long behind them.
const maxPrune = 1000

// Receipt returns the newest receipt of the hub, if there is one.
func (j *Journal) Receipt() (entry.Receipt, bool) {
	if r := j.held.Load().Receipt; r != nil {
		return *r, true
	}
	return entry.Receipt{}, false
}

// Receipted returns the last sequence that the hub is known to hold, or 0.
func (j *Journal) Receipted() uint64 { return j.held.Load().Receipted }

// PutReceipt keeps r, whose signature the caller has checked. A receipt for less than is receipted
// already changes nothing. ErrFork when r does not lie on this chain, ErrDevice when it is not for it.
func (j *Journal) PutReceipt(r entry.Receipt) error {
	err := j.putReceipt(r)
	if err != nil {
		return fmt.Errorf("keep receipt for %d: %w", r.Seq, err)
	}
	return nil
}

func (j *Journal) putReceipt(r entry.Receipt) error {
	head, err := r.Head()
	if err != nil {
		return err
	}
	s := j.held.Load()
	if r.Device != s.Device {
		return ErrDevice
	}
	if head.Seq >= s.Before.Seq {
		if own, ok := j.Hash(head.Seq); !ok || own != head.Hash {
			return ErrFork
		}
	}
	if covered(s, head.Seq) {
		return nil
	}
	return j.update(adopt, func(_ *bbolt.Bucket, s *state) error {
		if !covered(s, head.Seq) {
			s.Receipt, s.Receipted = &r, head.Seq
		}
		return nil
	})
}

// covered reports whether a receipt for seq would say nothing new.
func covered(s *state, seq uint64) bool {
	return seq < s.Receipted || seq == s.Receipted && s.Receipt != nil || seq < s.Before.Seq
}

// Rewind forgets what the hub acknowledged behind seq, because it has lost it. Entries before First
// cannot be had again, so it rewinds no further than to the head before that.
func (j *Journal) Rewind(seq uint64) error {
	err := j.update(adopt, func(_ *bbolt.Bucket, s *state) error {
		if s.Receipted > seq {
			s.Receipt, s.Receipted = nil, max(seq, s.Before.Seq)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("rewind journal to %d: %w", seq, err)
	}
	j.wake()
	return nil
}

// Prune deletes entries from the front whose wall time lies before the given time and which the hub has
// receipted, and appends an entry of KindPurge in the same transaction. It goes in steps that let
// passages through between them; n is how many entries are deleted, also when it ends with an error.
func (j *Journal) Prune(ctx context.Context, before time.Time, stamp entry.Stamp) (n int, err error) {
	for {
		if err := ctx.Err(); err != nil {
			return n, fmt.Errorf("prune journal: %w", err)
		}
		step, err := j.prune(before, stamp)
		n += step
		if err != nil {
			return n, fmt.Errorf("prune journal: %w", err)
		}
		if step < maxPrune {
			return n, nil
		}
	}
}

// prune does one step.
func (j *Journal) prune(before time.Time, stamp entry.Stamp) (n int, err error) {
	if !j.due(before) {
		return 0, nil
	}
	err = j.update(adopt, func(b *bbolt.Bucket, s *state) error {
		n = 0
		if s.Receipt == nil {
			return nil
		}
		last, err := drop(b, s, before)
		if err != nil || last == s.Before {
			return err
		}
		receipt, err := json.Marshal(s.Receipt)
		if err != nil {
			return err
		}
		d, err := entry.NewDraft(stamp, entry.Purge{First: s.Before.Seq + 1, Last: last.Seq, Receipt: receipt})
		if err != nil {
			return err
		}
		n, s.Before = int(last.Seq-s.Before.Seq), last
		_, err = add(b, s, d)
		return err
	})
	if err != nil {
		return 0, err
	}
	j.wake()
	return n, nil
}

// due reports whether the first entry may go, without a transaction that writes.
func (j *Journal) due(before time.Time) (due bool) {
	s := j.held.Load()
	if s.Receipt == nil || s.Receipted <= s.Before.Seq {
		return false
	}
	err := j.view(func(b *bbolt.Bucket) error {
		raw, err := get(b, s.Before.Seq+1)
		if err != nil {
			return err
		}
		e, err := entry.Parse(raw)
		due = e.Wall.Before(before)
		return err
	})
	return due || err != nil // the transaction that follows reports the error
}

// drop deletes up to maxPrune entries from the front and returns the head behind them.
func drop(b *bbolt.Bucket, s *state, before time.Time) (last entry.Head, err error) {
	last = s.Before
	for last.Seq < s.Receipted && last.Seq-s.Before.Seq < maxPrune {
		raw, err := get(b, last.Seq+1)
		if err != nil {
			return last, err
		}
		e, err := entry.Parse(raw)
		if err != nil || !e.Wall.Before(before) {
			return last, err
		}
		if last, err = last.Follow(raw); err != nil {
			return last, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if err := b.Delete(key(last.Seq)); err != nil {
			return last, err
		}
	}
	return last, nil
}
