package uplink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"slices"

	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// maxAside is how many entries may be set aside. A hub that refuses more has a fault of its own.
const maxAside = 100

// aside holds the entries that the hub refused: the hash of each, by its sequence. Its file has a line for each, the
// sequence and the hash in hexadecimal. Nobody may take a line out: the hub holds a gap under that sequence, so that the entry
// would not be sent again, but deleted.
type aside map[uint64]entry.Hash

// poison means that the hub refuses a batch of one entry.
type poison struct{ *refusal }

// A trial is an entry for which a gap was sent, while it is not known whether the hub took that.
type trial struct {
	entry.Head
	why error
}

// gapFor returns the entry that stands for raw on the wire: a gap with raw's place in the chain, so that what is before
// and behind it still fits.
func gapFor(raw []byte) ([]byte, error) {
	e, err := entry.Parse(raw)
	if err != nil {
		return nil, err
	}
	after, err := entry.HeadOf(raw)
	if err != nil {
		return nil, err
	}
	return e.With(entry.Gap{First: e.Before().Seq + 1, Last: e.Seq, Why: "refused by the hub", Hash: after.Hash[:]})
}

// onWire returns what is sent for an entry of the journal.
func (a aside) onWire(raw []byte) ([]byte, error) {
	if len(a) == 0 {
		return raw, nil
	}
	h, err := entry.HeadOf(raw)
	if hash, ok := a[h.Seq]; err != nil || !ok || hash != h.Hash {
		return raw, err
	}
	return gapFor(raw)
}

// sendGap sends a gap in the place of raw, which the hub refused. Only a hub that takes the gap has something against the
// entry; one that refuses that, too, refuses everything.
func (u *Uplink) sendGap(ctx context.Context, raw []byte, why *poison) error {
	h, err := entry.HeadOf(raw)
	if err != nil {
		return err
	}
	if u.asideErr != nil { // nothing may be written over it
		return u.stuck(errors.Join(why, u.asideErr))
	}
	if _, ok := u.aside[h.Seq]; ok || len(u.aside) >= maxAside {
		return u.stuck(why)
	}
	gap, err := gapFor(raw)
	if err != nil {
		return err
	}
	// It is set aside before the gap goes: if the answer is lost, and then perhaps the power, a receipt for the gap must not
	// pass for one for the entry.
	u.aside[h.Seq] = h.Hash
	if err := u.aside.save(u.Aside); err != nil {
		delete(u.aside, h.Seq)
		return fmt.Errorf("set an entry aside: %w", err)
	}
	u.trial = trial{h, why}
	err = u.post(ctx, [][]byte{gap})
	if p := (*poison)(nil); errors.As(err, &p) {
		u.trial = trial{}
		delete(u.aside, h.Seq)
		return errors.Join(u.stuck(why), u.aside.save(u.Aside))
	}
	if err == nil {
		u.tellAside()
	}
	return err // if it is the answer that got lost, the next contact tells
}

// tellAside tells that a gap stands at the hub for the entry of the trial. The entry stays in the journal.
func (u *Uplink) tellAside() {
	t := u.trial
	u.trial, u.limit = trial{}, wire.MaxEntries
	u.Log.Error("entry set aside", "seq", t.Seq, "reason", t.why)
	if u.OnAlarm != nil {
		u.OnAlarm(fmt.Sprintf("the hub refuses entry %d; it stays here, and a gap was sent in its place: %v", t.Seq, t.why))
	}
}

// recall reads what was set aside by an earlier run. While that cannot be read, nothing more is set aside.
func (u *Uplink) recall() {
	a, err := loadAside(u.Aside)
	if u.asideErr = err; err != nil {
		u.Log.Error("what was set aside cannot be read; its entries are kept, and no other is set aside", "error", err)
		return
	}
	u.aside = a
}

// SetAside returns the sequences of the entries that were set aside, from the file that Options.Aside names. The hub
// holds a gap for each of them and its receipts cover that, so that they must not be deleted here.
func SetAside(path string) ([]uint64, error) {
	a, err := loadAside(path)
	if err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	return slices.Sorted(maps.Keys(a)), nil
}

// OnWire returns what an uplink whose Options.Aside names this file sends for an entry: the entry, or the gap that stands
// for one that was set aside.
func OnWire(path string) (func(raw []byte) ([]byte, error), error) {
	a, err := loadAside(path)
	if err != nil {
		return nil, fmt.Errorf("read what was set aside: %w", err)
	}
	return a.onWire, nil
}

func loadAside(path string) (aside, error) {
	if path == "" {
		return aside{}, nil
	}
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return aside{}, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxAside*100))
	if err != nil {
		return nil, err
	}
	return parseAside(text)
}

func parseAside(text []byte) (aside, error) {
	a := aside{}
	for line := range bytes.Lines(text) {
		var seq uint64
		var hash string
		if _, err := fmt.Sscanf(string(line), "%d %64s\n", &seq, &hash); err != nil {
			return nil, fmt.Errorf("list of entries set aside: %w", err)
		}
		h, err := entry.ParseHash(hash)
		if err != nil || len(a) == maxAside {
			return nil, fmt.Errorf("list of entries set aside: %.100q, or more than %d", line, maxAside)
		}
		a[seq] = h
	}
	return a, nil
}

// text is what parseAside reads.
func (a aside) text() (text []byte) {
	for _, seq := range slices.Sorted(maps.Keys(a)) {
		text = fmt.Appendf(text, "%d %v\n", seq, a[seq])
	}
	return text
}

// save writes a to path durably; without a path, a is forgotten with the program.
func (a aside) save(path string) error {
	if path == "" {
		return nil
	}
	return durable.Write(path, a.text(), 0o600)
}
