package desk

import (
	"context"
	"fmt"
	"time"

	"gatepost/storage/view"
	"gatepost/sync/wire"
)

const (
	pageSize    = 64    // records read at once
	pageEntries = 16384 // of which one transaction has enough
)

// A Log is what Follow reads; a hub is one.
type Log interface {
	// Epoch names the log.
	Epoch() string
	// Read returns up to max records behind the place after, and the place of the newest one of all.
	Read(ctx context.Context, after uint64, max int) (records []wire.Record, last uint64, err error)
	// Wait returns when there is a record behind the place after, or with ctx's error.
	Wait(ctx context.Context, after uint64) error
}

// Follow keeps v up to date with log until ctx ends, and calls changed after each step. It returns nil when
// ctx has ended; after any other error it can be called again.
func Follow(ctx context.Context, log Log, v *view.View, changed func()) error {
	err := follow(ctx, log, v, changed)
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("follow the log: %w", err)
}

func follow(ctx context.Context, log Log, v *view.View, changed func()) error {
	_, last, err := log.Read(ctx, 0, 0)
	if err != nil {
		return err
	}
	at, err := v.Resume(ctx, log.Epoch(), last)
	if err != nil {
		return err
	}
	for {
		if err := log.Wait(ctx, at); err != nil {
			return err
		}
		records, err := page(ctx, log, at)
		if err != nil {
			return err
		}
		if err := v.Apply(ctx, records...); err != nil {
			return err
		}
		at += uint64(len(records))
		changed()
	}
}

// page reads what one transaction applies behind the place at. Small batches make it many records: each transaction costs
// something of its own.
func page(ctx context.Context, log Log, at uint64) (all []view.Record, err error) {
	for entries := 0; entries < pageEntries; {
		records, _, err := log.Read(ctx, at+uint64(len(all)), pageSize)
		if err != nil || len(records) == 0 {
			return all, err
		}
		for _, r := range viewed(records) {
			all = append(all, r)
			if entries++; r.Batch != nil {
				entries += len(r.Batch.Entries)
			}
		}
	}
	return all, nil
}

// viewed turns records of the log into those of the view. One that cannot be read, which no hub stores, is
// passed over: it must not keep the later ones from the pages.
func viewed(records []wire.Record) []view.Record {
	all := make([]view.Record, len(records))
	for i, r := range records {
		all[i] = view.Record{Seq: r.Seq, At: r.At}
		if a := r.Alarm; a != nil {
			all[i].Alarm = &view.Alarm{Device: a.Device, Seq: a.Seq, Ours: a.Ours, Theirs: a.Theirs, Kind: a.Kind}
		} else if l := r.Release; l != nil {
			all[i].Release = &view.Release{
				Case: l.Case, By: l.By, Token: l.Token, Entries: l.Entries(), Devices: len(l.Devices),
				From: time.UnixMilli(l.From), To: time.UnixMilli(l.To),
			}
		} else if b, err := wire.Parse(r.Raw); err == nil {
			all[i].Batch = &view.Batch{Device: b.Device, Entries: b.Entries}
		}
	}
	return all
}
