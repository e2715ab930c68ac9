package journal

import (
	"context"
	"fmt"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// maxMerge bounds the entries of one transaction.
const maxMerge = 256

// A pending entry waits for its transaction.
type pending struct {
	draft entry.Draft
	entry entry.Entry
	err   error
	done  chan struct{} // closed when entry or err is set
}

// Append gives d its place in the chain and returns when it is durable. Callers that wait at the same
// time share a transaction. An error means that the entry is not kept; ErrFull among them.
// The context ends the waiting for a turn; once the entry's transaction runs, Append waits for its result.
func (j *Journal) Append(ctx context.Context, d entry.Draft) (entry.Entry, error) {
	if _, err := (entry.Entry{Body: d.Body}).Marshal(); err != nil {
		return entry.Entry{}, fmt.Errorf("append to journal: %w", err)
	}
	if err := ctx.Err(); err != nil {
		return entry.Entry{}, fmt.Errorf("append to journal: %w", err)
	}
	p := &pending{draft: d, done: make(chan struct{})}
	select {
	case j.queue <- p: // not buffered: the writer has taken it into its transaction
	case <-ctx.Done():
		return entry.Entry{}, fmt.Errorf("append to journal: %w", ctx.Err())
	case <-j.quit:
		return entry.Entry{}, fmt.Errorf("append to journal: %w", ErrClosed)
	}
	<-p.done
	if p.err != nil {
		return entry.Entry{}, fmt.Errorf("append to journal: %w", p.err)
	}
	return p.entry, nil
}

// write is the writer: it ends when Close closes quit.
func (j *Journal) write() {
	defer close(j.done)
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
	err := j.update(revoke, func(b *bbolt.Bucket, s *state) error {
		for _, p := range group {
			var err error
			if p.entry, err = add(b, s, p.draft); err != nil {
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

// add puts one entry behind s.Head and moves it.
func add(b *bbolt.Bucket, s *state, d entry.Draft) (entry.Entry, error) {
	e := entry.Entry{Kind: d.Kind, Seq: s.Head.Seq + 1, Boot: s.Boot, Stamp: d.Stamp, Prev: s.Head.Hash, Body: d.Body}
	raw, err := e.Marshal()
	if err != nil {
		return e, err
	}
	b.FillPercent = 0.95 // entries only ever come at the end
	if err := b.Put(key(e.Seq), raw); err != nil {
		return e, err
	}
	if s.Head, err = s.Head.Follow(raw); err != nil {
		return e, err
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
