// Package wiretest is a hub's log in memory, for the tests of what reads one.
package wiretest

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// A Log satisfies what pull and desk read from. Devices are named by one byte, from which their key follows.
type Log struct {
	at time.Time

	mu      sync.Mutex
	epoch   string
	records []wire.Record
	heads   map[byte]entry.Head
	news    chan struct{}
}

// New returns an empty log, whose records will say that they were stored at that time.
func New(epoch string, at time.Time) *Log {
	return &Log{at: at, epoch: epoch, heads: map[byte]entry.Head{}, news: make(chan struct{})}
}

// Key returns the key of a device.
func Key(device byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{device}, ed25519.SeedSize))
}

// ID returns the id of a device.
func ID(device byte) string { return entry.DeviceID(Key(device).Public().(ed25519.PublicKey)) }

// Epoch names the log.
func (l *Log) Epoch() string { return l.epoch }

// Read returns up to most records behind the place after, and the newest place.
func (l *Log) Read(_ context.Context, after uint64, most int) ([]wire.Record, uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	last := uint64(len(l.records))
	if after >= last {
		return nil, last, nil
	}
	return l.records[after:min(last, after+uint64(most))], last, nil
}

// Wait returns when there is a record behind the place after.
func (l *Log) Wait(ctx context.Context, after uint64) error {
	for {
		l.mu.Lock()
		n, news := len(l.records), l.news
		l.mu.Unlock()
		if uint64(n) > after {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Add appends a record.
func (l *Log) Add(r wire.Record) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r.Seq, r.At = uint64(len(l.records)+1), l.at
	l.records = append(l.records, r)
	close(l.news)
	l.news = make(chan struct{})
}

// Batch appends a signed batch of the bodies, all of one time, which go on in the device's chain.
func (l *Log) Batch(t testing.TB, device byte, stamp entry.Stamp, bodies ...entry.Body) {
	t.Helper()
	var raws [][]byte
	h := l.heads[device]
	for _, body := range bodies {
		d, err := entry.NewDraft(stamp, body)
		must(t, err)
		raw, err := entry.Entry{Kind: d.Kind, Seq: h.Seq + 1, Boot: 3, Stamp: d.Stamp, Prev: h.Hash, Body: d.Body}.Marshal()
		must(t, err)
		raws, h = append(raws, raw), entry.Head{Seq: h.Seq + 1, Hash: entry.HashOf(raw)}
	}
	b, err := wire.Sign(Key(device), raws)
	must(t, err)
	raw, err := b.Marshal()
	must(t, err)
	l.heads[device] = h
	l.Add(wire.Record{Raw: raw})
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
