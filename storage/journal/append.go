package journal

import (
	"context"
	"fmt"
	"slices"
	"sync"

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

// A queue is who waits for a transaction.
type queue struct {
	turn    chan struct{} // holds one token while somebody leads
	mu      sync.Mutex    // guards waiting
	waiting []*pending
}

func (q *queue) push(p *pending) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.waiting = append(q.waiting, p)
}

// take takes those who have waited longest out of the queue.
func (q *queue) take() []*pending {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := min(len(q.waiting), maxMerge)
	group := slices.Clone(q.waiting[:n])
	q.waiting = slices.Delete(q.waiting, 0, n)
	return group
}

// withdraw takes p out of the queue, unless it is in a transaction already.
func (q *queue) withdraw(p *pending) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	i := slices.Index(q.waiting, p)
	if i >= 0 {
		q.waiting = slices.Delete(q.waiting, i, i+1)
	}
	return i >= 0
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
	if len(d.Body) > entry.MaxBody {
		return entry.Entry{}, fmt.Errorf("body of %d bytes exceeds %d", len(d.Body), entry.MaxBody)
	}
	if err := ctx.Err(); err != nil {
		return entry.Entry{}, err
	}
	p := &pending{draft: d, done: make(chan struct{})}
	j.queue.push(p)
	select {
	case j.queue.turn <- struct{}{}:
		j.lead(p)
		<-j.queue.turn
	case <-p.done:
	case <-ctx.Done():
		if j.queue.withdraw(p) {
			return entry.Entry{}, ctx.Err()
		}
		<-p.done
	}
	return p.entry, p.err
}

// lead commits groups of those who wait until p is through. There is no goroutine that writes for all: to wake one, and
// to be woken by it, would cost a tenth of what the entry costs.
func (j *Journal) lead(p *pending) {
	for {
		select {
		case <-p.done:
			return
		default:
			j.keep()
		}
	}
}

// keep commits everybody who is waiting right now and tells each of them.
func (j *Journal) keep() {
	j.writing.Lock()
	defer j.writing.Unlock()
	group := j.admit(j.queue.take())
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
	if len(group) == 0 {
		return nil
	}
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
