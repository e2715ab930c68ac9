package journal

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/storage/entry"
)

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
	own, err := j.Hash(head.Seq)
	switch {
	case errors.Is(err, ErrPruned), errors.Is(err, ErrGap): // the hub holds what is no longer here
	case errors.Is(err, ErrAhead) || err == nil && own != head.Hash:
		return ErrFork
	case err != nil:
		return err
	}
	if covered(s, head.Seq) {
		return nil
	}
	j.writing.Lock()
	defer j.writing.Unlock()
	return j.update(adopt, func(_ tree, s *state) error {
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
	j.writing.Lock()
	defer j.writing.Unlock()
	err := j.update(adopt, func(_ tree, s *state) error {
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

// Prune deletes the sealed files from the front that the hub has receipted whole and whose entries were all made before
// the given time. It appends an entry of KindPurge first, the certificate, so that no power cut deletes without one;
// n is how many entries are deleted. stamp is the time now, which must be trusted. A file with an entry that is to be
// spared stays, and so do all behind it: the hub signed for a gap in such an entry's place, not for the entry. Which ones
// those are is asked when the receipt has been read: an entry is set aside before a receipt for its gap can come.
func (j *Journal) Prune(ctx context.Context, before time.Time, stamp entry.Stamp, spare ...func() ([]uint64, error)) (n int, err error) {
	n, err = j.prune(ctx, before, stamp, spare)
	if err != nil {
		return n, fmt.Errorf("prune journal: %w", err)
	}
	if n > 0 {
		j.wake()
	}
	return n, nil
}

func (j *Journal) prune(ctx context.Context, before time.Time, stamp entry.Stamp, spare []func() ([]uint64, error)) (n int, err error) {
	j.writing.Lock()
	defer j.writing.Unlock()
	if err := errors.Join(j.heal(), j.dropPurged()); err != nil { // what an earlier failure left undone
		return 0, err
	}
	if _, err := j.turnOver(stamp, 1); err != nil && !errors.Is(err, ErrFull) { // a quiet gate's file ages, too
		return 0, err
	}
	last, err := j.due(ctx, before, stamp.Wall, spare)
	if err != nil || last == j.held.Load().Before {
		return 0, err
	}
	err = j.update(adopt, func(t tree, s *state) error {
		receipt, err := json.Marshal(s.Receipt)
		if err != nil {
			return err
		}
		d, err := entry.NewDraft(stamp, entry.Purge{First: s.Before.Seq + 1, Last: last.Seq, Receipt: receipt})
		if err != nil {
			return err
		}
		n, s.Before = int(last.Seq-s.Before.Seq), last
		_, err = t.add(s, d)
		return err
	})
	if err != nil {
		return 0, err
	}
	return n, j.dropPurged()
}

// due returns the head behind the files that may go.
func (j *Journal) due(ctx context.Context, before, now time.Time, spare []func() ([]uint64, error)) (last entry.Head, err error) {
	s := j.held.Load()
	last = s.Before
	var spared []uint64
	for _, f := range spare {
		more, err := f()
		if err != nil {
			return last, err
		}
		spared = append(spared, more...)
	}
	for _, old := range j.sealed {
		if s.Receipt == nil || old.head.Seq > s.Receipted {
			return last, nil
		}
		if slices.ContainsFunc(spared, func(seq uint64) bool { return old.start.Seq < seq && seq <= old.head.Seq }) {
			return last, nil
		}
		age, err := j.madeBefore(ctx, old.head.Seq, now)
		if err != nil || !age.Before(before) {
			return last, err
		}
		last = old.head
	}
	return last, nil
}

// madeBefore returns a time before which entry seq was made: the first that a clock told behind it, for the order of
// entries is certain and their times are not. A time that has not come yet was told by a clock that went wrong.
func (j *Journal) madeBefore(ctx context.Context, seq uint64, now time.Time) (time.Time, error) {
	for after := seq - 1; ; {
		raws, err := j.read(after, 100, 1<<20)
		if err != nil || len(raws) == 0 || ctx.Err() != nil {
			return now, errors.Join(err, ctx.Err())
		}
		for _, raw := range raws {
			e, err := entry.Parse(raw)
			if err != nil {
				return now, err
			}
			if e.Trust >= entry.TrustClock && !e.Wall.After(now) {
				return e.Wall, nil
			}
			after = e.Seq
		}
	}
}

// dropPurged deletes the files that lie before the first entry that is kept.
func (j *Journal) dropPurged() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	before := j.held.Load().Before.Seq
	if len(j.sealed) == 0 || j.sealed[0].head.Seq > before {
		return nil
	}
	for len(j.sealed) > 0 && j.sealed[0].head.Seq <= before {
		if err := os.Remove(filepath.Join(j.dir, fileName(j.sealed[0].start))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		j.sealed = j.sealed[1:]
	}
	return syncDir(j.dir)
}
