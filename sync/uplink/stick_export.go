package uplink

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/wire"
)

// Export puts onto the stick at dir what no receipt covers, as batches in the bytes that travel to a hub. What lies there
// already is not written again, and what is receipted is removed. It tells progress how many of how many entries are
// there, at the start and after each batch. A stick that is full (ErrStickFull) or pulled out is an error, and what was
// written before counts; the journal is only read. ErrFork of the journal when the stick holds another chain of this
// device.
//
// aside is the file of Options.Aside, "" where there is none: for the entries in it their gaps travel.
func Export(ctx context.Context, j *journal.Journal, key ed25519.PrivateKey, aside, dir string, progress func(done, total uint64)) error {
	onWire, err := OnWire(aside)
	if err != nil {
		return fmt.Errorf("export to stick: %w", err)
	}
	s, err := OpenStick(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	pub := key.Public().(ed25519.PublicKey)
	x := export{Stick: s, j: j, key: key, pub: pub, device: entry.DeviceID(pub), onWire: onWire}
	if err := x.run(ctx, progress); err != nil {
		return fmt.Errorf("export to stick: %w", err)
	}
	return nil
}

// TakeReceipts keeps the receipt that a hub has left for device on the stick at dir, if there is one. An older one than
// the journal has changes nothing. ErrFork of the journal when the hub has signed for another chain.
func TakeReceipts(j *journal.Journal, receiptKey ed25519.PublicKey, device, dir string) error {
	s, err := OpenStick(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	r, ok, err := s.Receipt(device)
	if err != nil || !ok {
		return err
	}
	if err := r.Check(receiptKey, device); err != nil {
		return fmt.Errorf("receipt on the stick: %w", err)
	}
	return j.PutReceipt(r)
}

// export is one export.
type export struct {
	*Stick
	j      *journal.Journal
	key    ed25519.PrivateKey
	pub    ed25519.PublicKey
	device string
	onWire func(raw []byte) ([]byte, error)
	there  []Span // on the stick
}

func (x *export) run(ctx context.Context, progress func(done, total uint64)) (err error) {
	if err := x.prepare(x.device); err != nil {
		return err
	}
	if x.there, err = x.Batches(x.device); err != nil {
		return err
	}
	from, head := x.j.Receipted(), x.j.Head().Seq
	if seq, ok := x.again(x.device); ok {
		from = min(seq, head)
	}
	from = max(from, x.j.First()-1)
	if err := x.sweep(from); err != nil {
		return err
	}
	progress(0, head-from)
	for at := from; at < head; {
		if err := ctx.Err(); err != nil {
			return err
		}
		if at, err = x.batch(at); err != nil {
			return err
		}
		progress(min(at, head)-from, head-from)
	}
	return nil
}

// sweep removes what nobody needs any more: batches up to the sequence to that are this journal's own, and files that no
// hub will ever take. What another card or another device has signed stays, for somebody may need it.
func (x *export) sweep(to uint64) error {
	for _, p := range x.there {
		raw, err := x.Batch(x.device, p)
		if err != nil && !errors.Is(err, errUnfit) {
			return err
		}
		if b, err := wire.Parse(raw); err == nil && (b.Device != x.device || b.Verify(x.pub) == nil && (p.Last > to || !x.ours(b))) {
			continue
		}
		if err := x.root.Remove(path.Join(stickTop, x.device, p.String())); err != nil {
			return err
		}
	}
	return nil
}

// ours reports whether b ends on this journal's chain.
func (x *export) ours(b wire.Batch) bool {
	hash, err := x.j.Hash(b.After().Seq)
	return err == nil && hash == b.After().Hash
}

// batch sees to it that one batch behind the entry at lies on the stick, and returns where it ends.
func (x *export) batch(at uint64) (end uint64, err error) {
	const overhead = 256 + 8*wire.MaxEntries + 64*maxAside // of a batch besides its entries: device, signature, lengths, gaps
	entries, err := x.j.Range(at, wire.MaxEntries, wire.MaxBatch-overhead)
	if err != nil {
		return at, err
	}
	for i, raw := range entries { // a hub that refused an entry would refuse it again, and all behind it
		if entries[i], err = x.onWire(raw); err != nil {
			return at, err
		}
	}
	for _, p := range x.there { // the longest first
		if p.First != at+1 {
			continue
		}
		if raw := x.sign(upTo(entries, p.Last)); raw != nil {
			if old, err := x.Batch(x.device, p); err == nil && bytes.Equal(old, raw) {
				return p.Last, nil
			}
		}
	}
	raw := x.sign(entries)
	b, err := wire.Parse(raw)
	if err != nil {
		return at, fmt.Errorf("entries behind %d: %w", at, err)
	}
	p := Span{b.Before().Seq + 1, b.After().Seq}
	if err := x.guard(p, b); err != nil {
		return at, err
	}
	return p.Last, x.write(path.Join(stickTop, x.device, p.String()), raw)
}

// guard keeps a batch from being written over that another card signed with this device's key.
func (x *export) guard(p Span, b wire.Batch) error {
	old, err := x.Batch(x.device, p)
	if err != nil {
		return nil // not there, or not to be read: writing tells
	}
	if o, err := wire.Parse(old); err == nil && o.Verify(x.pub) == nil && o.After() != b.After() {
		return fmt.Errorf("%w: %v on the stick holds other entries of this device: was the card cloned or set back?", journal.ErrFork, p)
	}
	return nil
}

// sign returns the bytes of a batch of entries, or nil when they are none.
func (x *export) sign(entries [][]byte) []byte {
	b, err := wire.Sign(x.key, entries)
	if err != nil {
		return nil
	}
	raw, err := b.Marshal()
	if err != nil {
		return nil
	}
	return raw
}

// upTo returns the entries up to that with the sequence last, or nil if none has it.
func upTo(entries [][]byte, last uint64) [][]byte {
	for i, raw := range entries {
		if h, err := entry.HeadOf(raw); err == nil && h.Seq == last {
			return entries[:i+1]
		}
	}
	return nil
}
