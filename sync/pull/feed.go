package pull

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"gatepost/sync/wire"
)

const (
	pageRead = 8      // records in memory at once
	maxScan  = 20_000 // records passed over for one page, so that a token with few gates is answered in time
)

// A piece is the entries from..to of one record that a page shows.
type piece struct {
	wire.Batch
	seq      uint64 // of the record
	from, to int
}

func (p piece) size() (n int) {
	for _, raw := range p.Entries[p.from:p.to] {
		n += len(raw)
	}
	return n
}

// feed walks the log from a cursor.
type feed struct {
	log     Log
	sees    func(device string) bool
	at      Cursor
	left    int // entries that may still be given
	scanned int // records read
}

// wait returns the first pieces; when there are none yet, it waits for them that long.
func (f *feed) wait(ctx context.Context, most time.Duration) ([]piece, error) {
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		pieces, err := f.next(ctx)
		if err != nil || len(pieces) > 0 || most == 0 || f.scanned >= maxScan {
			return pieces, err
		}
		if f.log.Wait(timed, f.at.Seq) != nil {
			return nil, nil // no news in time
		}
	}
}

// next returns more, or nothing when all that the log holds now has been read, or enough for one page.
func (f *feed) next(ctx context.Context) (pieces []piece, err error) {
	for len(pieces) == 0 && f.left > 0 && f.scanned < maxScan {
		records, last, err := f.log.Read(ctx, f.at.after(), pageRead)
		if err != nil {
			return nil, err
		}
		if f.at.Epoch != f.log.Epoch() || f.at.Seq > last {
			return nil, gone(ctx, f.log)
		}
		at := f.at
		for _, r := range records {
			if f.left == 0 {
				break
			}
			if r.Seq > f.at.Seq+1 {
				return nil, f.hole(ctx, r.Seq)
			}
			p, err := f.take(r)
			if err != nil {
				return nil, err
			}
			if p.from < p.to {
				pieces = append(pieces, p)
			}
		}
		f.scanned += len(records)
		if at == f.at {
			break
		}
	}
	return pieces, nil
}

// take returns the unread entries of r, as many as may still be given, and moves the cursor behind them.
func (f *feed) take(r wire.Record) (p piece, err error) {
	if r.Seq != f.at.Seq {
		f.at = Cursor{f.at.Epoch, r.Seq, 0}
	}
	if !r.IsBatch() { // officers see it on their pages
		return p, nil
	}
	b, err := wire.Parse(r.Raw)
	if err != nil || !f.sees(b.Device) {
		return p, err
	}
	p = piece{b, r.Seq, f.at.Done, min(f.at.Done+f.left, len(b.Entries))}
	if p.from < p.to {
		f.left -= p.to - p.from
		f.at.Done = p.to
	}
	return p, nil
}

// hole says why the record behind the cursor is not there but one from seq on: the log's beginning was trimmed, or else
// it is damaged, which to begin anew would not mend.
func (f *feed) hole(ctx context.Context, seq uint64) error {
	from, err := start(ctx, f.log)
	if err != nil {
		return err
	}
	if from.Seq <= f.at.Seq {
		return fmt.Errorf("records %d to %d are missing", f.at.Seq+1, seq-1)
	}
	return gone(ctx, f.log)
}

// start returns the first cursor that works: the log's beginning, or what is left of it.
func start(ctx context.Context, log Log) (Cursor, error) {
	c := Cursor{Epoch: log.Epoch()}
	records, _, err := log.Read(ctx, 0, 1)
	if err != nil {
		return c, err
	}
	if len(records) > 0 && records[0].Seq > 1 {
		c.Seq = records[0].Seq
	}
	return c, nil
}

// gone tells a reader of a log that is not there any more where it may begin anew.
func gone(ctx context.Context, log Log) error {
	from, err := start(ctx, log)
	if err != nil {
		return err
	}
	p := problem(wire.ProblemCursor, http.StatusGone, "the log of this cursor is gone")
	p.Start = from.String()
	return p
}
