package journal

import (
	"context"
	"fmt"

	"gatepost/storage/entry"
)

// maxMerge bounds the entries of one transaction. After a power cut that spoils the newest meta page so many are in doubt.
const maxMerge = 32

// A pending entry waits for its transaction.
type pending struct {
	draft entry.Draft
	entry entry.Entry
	err   error
	done  chan struct{} // closed when entry or err is set
}

// Append gives d its place in the chain and returns when it is durable. Callers that wait at the same
// time share a transaction. An error means that the entry is not kept; ErrFull among them. When no new file can be
// made, passages are refused first, so that there is room for entries that tell of it.
// The context ends the waiting for a turn; once the entry's transaction runs, Append waits for its result.
func (j *Journal) Append(ctx context.Context, d entry.Draft) (entry.Entry, error) {
	e, err := j.append(ctx, d)
	if err != nil {
		return entry.Entry{}, fmt.Errorf("append to journal: %w", err)
	}
	return e, nil
}

func (j *Journal) append(ctx context.Context, d entry.Draft) (entry.Entry, error) {
	if _, err := (entry.Entry{Body: d.Body}).Marshal(); err != nil {
		return entry.Entry{}, err
	}
	if err := ctx.Err(); err != nil {
		return entry.Entry{}, err
	}
	p := &pending{draft: d, done: make(chan struct{})}
	select {
	case j.queue <- p: // not buffered: the writer has taken it into its transaction
	case <-ctx.Done():
		return entry.Entry{}, ctx.Err()
	case <-j.quit:
		return entry.Entry{}, ErrClosed
	}
	<-p.done
	return p.entry, p.err
}

// write is the writer: it ends when Close closes quit.
func (j *Journal) write() {
	for {
		select {
		case p := <-j.queue:
			j.keep(j.gather(p))
		case <-j.quit:
			return
		}
	}
}

// gather takes everybody who is waiting right now.
func (j *Journal) gather(first *pending) []*pending {
	group := []*pending{first}
	for len(group) < maxMerge {
		select {
		case p := <-j.queue:
			group = append(group, p)
		default:
			return group
		}
	}
	return group
}

// keep commits the group and tells each of its callers.
func (j *Journal) keep(group []*pending) {
	j.writing.Lock()
	defer j.writing.Unlock()
	group = j.admit(group)
	if len(group) == 0 {
		return
	}
	err := j.update(revoke, func(t tree, s *state) (err error) {
		for _, p := range group {
			if p.entry, err = t.add(s, p.draft); err != nil {
				return err
			}
		}
		return nil
	})
	for _, p := range group {
		p.err = err
		close(p.done)
	}
	if err == nil {
		j.wake()
	}
}

// admit makes room for the group. Where there is none it turns away the passages, and everybody when the last of the
// reserve is used up.
func (j *Journal) admit(group []*pending) (admitted []*pending) {
	full, err := j.turnOver(group[0].draft.Stamp, len(group))
	if err == nil || !full {
		return group
	}
	left := j.Entries + passRoom - j.held.Load().count()
	for _, p := range group {
		if p.draft.Kind != entry.KindPassage && len(admitted) < left {
			admitted = append(admitted, p)
		} else {
			p.err = room(err)
			close(p.done)
		}
	}
	return admitted
}

// Ready returns nil when a passage could be kept now. It writes to find out.
func (j *Journal) Ready(now entry.Stamp) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	full, err := j.turnOver(now, 1)
	if !full || err == nil {
		err = j.update(adopt, func(tree, *state) error { return nil })
	}
	if err != nil {
		return fmt.Errorf("write to journal: %w", room(err))
	}
	return nil
}

// add puts one entry behind s.Head and moves it.
func (t tree) add(s *state, d entry.Draft) (e entry.Entry, err error) {
	e = entry.Entry{Kind: d.Kind, Seq: s.Head.Seq + 1, Boot: s.Boot, Stamp: d.Stamp, Prev: s.Head.Hash, Body: d.Body}
	raw, err := e.Marshal()
	if err != nil {
		return e, err
	}
	if s.Head, err = s.Head.Follow(raw); err != nil {
		return e, err
	}
	if err := t.insert(e.Seq, raw); err != nil {
		return e, err
	}
	if s.Began == 0 && d.Trust >= entry.TrustClock {
		s.Began = d.Wall.UnixMilli()
	}
	return entry.Parse(raw) // as it will be read: whole milliseconds, UTC
}

// wake tells the listener of Changed.
func (j *Journal) wake() {
	select {
	case j.changed <- struct{}{}:
	default: // it has a signal waiting
	}
}
