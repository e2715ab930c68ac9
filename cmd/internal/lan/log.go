package lan

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const (
	lookEvery = 200 * time.Millisecond // at the journal's head, while a reader waits; that costs an atomic load
	readSize  = 1 << 20                // bytes of entries at once
)

// log is a journal as a pull.Log. The place of an entry is its sequence, so that places stay where they are whatever is
// pruned, and each record is a batch of one entry, signed when it is read: one signature a line, for which nothing need be
// kept. Entries are as they would go to the hub; in the place of a lost one, for which a gap stands, is an alarm.
type log struct {
	journal *journal.Journal
	key     ed25519.PrivateKey
	epoch   string
	aside   string
}

// Epoch implements pull.Log.
func (l *log) Epoch() string { return l.epoch }

// Wait implements pull.Log.
func (l *log) Wait(ctx context.Context, after uint64) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for l.journal.Head().Seq <= after {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// Read implements pull.Log.
func (l *log) Read(_ context.Context, after uint64, most int) (records []wire.Record, last uint64, err error) {
	onWire, err := uplink.OnWire(l.aside)
	if err != nil {
		return nil, 0, err
	}
	raws, after, err := l.read(after, most)
	if err != nil {
		return nil, 0, err
	}
	for _, raw := range raws {
		if raw, err = onWire(raw); err != nil {
			return nil, 0, err
		}
		r, err := l.record(raw)
		if err != nil {
			return nil, 0, err
		}
		for after++; after < r.Seq && len(records) < most; after++ {
			records = append(records, l.lost(after))
		}
		if len(records) < most {
			records = append(records, r)
		}
		after = r.Seq
	}
	return records, l.journal.Head().Seq, nil
}

// read returns the entries behind after, or behind what was pruned, and where they begin.
func (l *log) read(after uint64, most int) (raws [][]byte, from uint64, err error) {
	for {
		from = max(after, l.journal.First()-1)
		raws, err = l.journal.Range(from, most, readSize)
		if !errors.Is(err, journal.ErrPruned) || l.journal.First()-1 <= from { // else pruned just now
			return raws, from, err
		}
	}
}

func (l *log) record(raw []byte) (r wire.Record, err error) {
	e, err := entry.Parse(raw)
	if err != nil {
		return r, err
	}
	b, err := wire.Sign(l.key, [][]byte{raw})
	if err != nil {
		return r, err
	}
	text, err := b.Marshal()
	return wire.Record{Seq: e.Seq, At: e.Wall, Raw: text}, err
}

func (l *log) lost(seq uint64) wire.Record {
	return wire.Record{Seq: seq, Alarm: &wire.Alarm{Device: l.journal.Device, Seq: seq, Kind: wire.AlarmLost}}
}

// epoch names the journal whose boots are counted by boot, from the file in dir. Every start counts on, so that a count
// that does not is another journal's, which gets another name.
func epoch(dir string, boot uint32) (name string, err error) {
	path := filepath.Join(dir, "epoch")
	var last uint32
	text, err := os.ReadFile(path)
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%16s %d\n", &name, &last)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if _, hexErr := hex.DecodeString(name); err != nil || hexErr != nil || len(name) != 16 || boot <= last {
		fresh := make([]byte, 8)
		if _, err := rand.Read(fresh); err != nil {
			return "", err
		}
		name = hex.EncodeToString(fresh)
	}
	return name, durable.Write(path, fmt.Appendf(nil, "%s %d\n", name, boot), 0o600)
}
