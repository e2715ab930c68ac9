package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const intoRetry = 250 * time.Millisecond // before a follower first tries again; twice as long each time, up to pullRetry

// A filler takes a hub's log into a database.
type filler struct {
	env
	*pullFlags
	client *pull.Client
	db     *database

	at      string      // cursor of the next page
	pending []pull.Line // entries whose batch has not come to its end; only whole ones are stored
	told    string      // the cursor that the hub has last been told

	stored, there, forked int
}

// intoDatabase pulls until there is no more, or until ctx ends when it follows.
func (f *pullFlags) intoDatabase(ctx context.Context, e env, c *pull.Client) int {
	db, err := newDatabase(f.into, f.consumer)
	if err != nil {
		return fail(e, "pull", err)
	}
	l := &filler{env: e, pullFlags: f, client: c, db: db}
	defer db.close()
	if err = l.run(ctx); db.cursor != "" {
		fmt.Fprintf(e.err, "cursor %s\n", db.cursor)
	}
	fmt.Fprintf(e.out, "%d entries stored, %d were there, %d contradict them\n", l.stored, l.there, l.forked)
	if err == nil && l.forked > 0 {
		err = fmt.Errorf("%d entries contradict those that are stored: see the table gatepost_fork", l.forked)
	}
	if err != nil {
		return fail(e, "pull", err)
	}
	return exitOK
}

func (l *filler) run(ctx context.Context) error {
	wait, retry := time.Duration(0), intoRetry
	for {
		ended, err := l.step(ctx, wait)
		switch {
		case l.follow && ctx.Err() != nil:
			return nil // interrupting is how one stops to follow
		case err != nil && l.follow && passing(err):
			fmt.Fprintf(l.err, "gatectl pull: %v; trying again\n", err)
			if !pause(ctx, retry) {
				return nil
			}
			retry = min(2*retry, pullRetry)
			continue
		case err != nil || ended && !l.follow:
			return err
		}
		retry = intoRetry
		if l.follow {
			wait = pullWait
		}
	}
}

// step takes one page, and stores what is whole. It reports whether there is nothing more now.
func (l *filler) step(ctx context.Context, wait time.Duration) (ended bool, err error) {
	if err := l.ready(ctx); err != nil {
		return false, err
	}
	if err := l.tell(ctx); err != nil {
		return false, err
	}
	next, n, err := l.client.Page(ctx, l.at, pull.DefaultLimit, wait, func(line pull.Line) error {
		l.pending = append(l.pending, line)
		return nil
	})
	if p := (wire.Problem{}); errors.As(err, &p) && p.Status == http.StatusGone && p.Start != "" && p.Start != l.at {
		return false, l.anew(ctx, p.Start)
	}
	ended, l.at = err == nil && n == 0 && next == l.at, next
	if err := l.store(ctx); err != nil { // what came before a fault is good
		return false, err
	}
	if ended && len(l.pending) > 0 {
		return false, errors.New("the log ends inside a batch")
	}
	return ended, err
}

// ready connects, and goes on from where the database is.
func (l *filler) ready(ctx context.Context) error {
	if l.db.loaded {
		return nil
	}
	if err := l.db.connect(ctx); err != nil {
		return err
	}
	status, err := l.client.Status(ctx)
	if err != nil {
		return err
	}
	found, err := l.db.load(ctx, status.Epoch)
	if err == nil && !found {
		err = l.db.begin(ctx, status.Epoch, "")
	}
	if err != nil {
		return err
	}
	l.resume()
	return nil
}

// resume goes on with the pull where the database stands.
func (l *filler) resume() {
	heads := map[string]entry.Head{}
	for device, at := range l.db.chains {
		heads[device] = at.Head
	}
	l.client.Resume(heads)
	l.at, l.pending = l.db.cursor, nil
}

// anew goes to the start that a hub names when it no longer has what the cursor stands for.
func (l *filler) anew(ctx context.Context, start string) error {
	to, err := pull.ParseCursor(start)
	if err != nil {
		return err
	}
	what := "its log is a new one, and entries come again"
	if to.Epoch == l.db.epoch {
		what = "it no longer has what comes behind the cursor"
	}
	fmt.Fprintf(l.err, "gatectl pull: the hub sends us to %s: %s\n", start, what)
	if err := l.db.begin(ctx, to.Epoch, start); err != nil {
		return err
	}
	l.resume()
	return nil
}

// store stores the batches that have come whole, and then tells the hub.
func (l *filler) store(ctx context.Context) error {
	whole, to := len(l.pending), l.at
	for whole > 0 && l.pending[whole-1].Batch == nil {
		whole--
	}
	switch rest := len(l.pending) - whole; {
	case rest > wire.MaxEntries:
		return fmt.Errorf("a batch of device %s has no end", l.pending[whole].Device)
	case rest > 0 && whole == 0, to == l.db.cursor:
		return nil
	case rest > 0:
		to = l.pending[whole-1].Cursor
	}
	s, err := l.db.put(ctx, l.pending[:whole], to)
	if err != nil {
		return err
	}
	l.pending = slices.Clone(l.pending[whole:])
	l.count(s)
	return l.tell(ctx)
}

func (l *filler) count(s *sorting) {
	if s == nil {
		return
	}
	l.stored, l.there, l.forked = l.stored+len(s.fresh), l.there+s.there, l.forked+len(s.forks)
	for _, line := range s.torn {
		fmt.Fprintf(l.err, "gatectl pull: device %s was cloned or rolled back: entry %d with hash %s contradicts what is stored; it and all behind it go to gatepost_fork\n",
			line.Device, line.Seq, line.Hash)
	}
}

// tell puts the consumer's cursor: what stands before it is committed.
func (l *filler) tell(ctx context.Context) error {
	if l.consumer == "" || l.db.cursor == "" || l.db.cursor == l.told {
		return nil
	}
	err := l.client.PutCursor(ctx, l.consumer, l.db.cursor)
	p := wire.Problem{}
	switch errors.As(err, &p); p.Status {
	case http.StatusConflict:
		if l.told == "" {
			fmt.Fprintln(l.err, "gatectl pull: the hub was told more than the database holds, which was put back: what it lacks comes again")
		}
	case http.StatusGone: // the next page says where to begin
	default:
		if err != nil {
			return fmt.Errorf("put the consumer's cursor: %w", err)
		}
	}
	l.told = l.db.cursor
	return nil
}
