package journal

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"gatepost/storage/entry"
)

// A Report is what Check found. The journal is whole when Damage is empty.
type Report struct {
	Device    string   `json:"device"`
	First     uint64   `json:"first"` // sequence of the first entry that is here
	Last      uint64   `json:"last"`  // of the last one; First-1 when there is none
	Head      string   `json:"head"`  // hash of the last entry, hexadecimal
	Entries   int      `json:"entries"`
	Boots     uint32   `json:"boots"`
	Receipted uint64   `json:"receipted"` // the hub holds everything up to here
	Damage    []string `json:"damage"`
}

// Check reads the whole journal in dir and changes nothing: every page in use, every link of the chain,
// and that the receipt lies on it; its signature, too, unless hub (the hub's receipt key) is nil.
// Damage stands in the report; the reading stops where the first is found, so that the figures are those
// from before it. The error says that there was nothing to read: ErrLocked when a kiosk has the journal
// open, or what the system said.
func Check(dir string, hub ed25519.PublicKey) (Report, error) {
	f, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		return Report{}, fmt.Errorf("check journal: %w", err)
	}
	defer f.Close()
	if err := lock(f, syscall.LOCK_SH, 0); err != nil {
		return Report{}, fmt.Errorf("check journal: %w", err)
	}
	found, err := inspect(f, 0)
	if err == nil && found.Receipt != nil {
		found, err = inspect(f, found.Receipt.Seq)
	}
	if err != nil && !errors.Is(err, ErrDamaged) {
		return Report{}, fmt.Errorf("check journal: %w", err)
	}
	r := Report{
		Device: found.Device, First: found.Before.Seq + 1, Last: found.Head.Seq, Head: found.Head.Hash.String(),
		Entries: found.entries, Boots: found.Boot, Receipted: found.Receipted, Damage: []string{},
	}
	if found.doubt != "" {
		r.Damage = append(r.Damage, found.doubt+": the newest entries may be missing")
	}
	if err != nil {
		r.Damage = append(r.Damage, err.Error())
	}
	if found.Receipt != nil {
		if err := found.checkReceipt(hub); err != nil {
			r.Damage = append(r.Damage, err.Error())
		}
	}
	return r, nil
}

// checkReceipt checks the receipt against the entry that it speaks of and, unless hub is nil, its signature.
func (f *finding) checkReceipt(hub ed25519.PublicKey) error {
	head, err := f.Receipt.Head()
	if err != nil {
		return err
	}
	if head.Seq != f.Receipted || head.Hash != f.wanted {
		return fmt.Errorf("receipt for entry %d is not on this chain", head.Seq)
	}
	if hub == nil {
		return nil
	}
	return f.Receipt.Check(hub, f.Device)
}

// A finding is what inspect read.
type finding struct {
	state
	doubt   string     // why the newest entries may be missing
	entries int        // read and in their chain
	before  entry.Head // of the first entry read
	chain   entry.Head // behind the last entry read
	want    uint64
	wanted  entry.Hash // of the entry want
}

// inspect reads all of f that is in use. With an error the finding is what was read before it.
func inspect(f *os.File, want uint64) (found finding, err error) {
	info, err := f.Stat()
	if err != nil {
		return found, err
	}
	found.want = want
	m, doubt, err := openImage(f, info.Size())
	found.doubt = doubt
	if err != nil {
		return found, err
	}
	if err := m.find(&found); err != nil {
		return found, err
	}
	if err := m.account(); err != nil {
		return found, err
	}
	return found, found.agree()
}

// find reads the one bucket that there is.
func (m *image) find(found *finding) error {
	var value []byte
	err := m.walk(m.root, nil, nil, 0, func(l leaf) error {
		if value != nil || !l.bucket || !bytes.Equal(l.key, bucketName) {
			return fmt.Errorf("%w: another bucket", ErrDamaged)
		}
		value = l.value
		return nil
	})
	if err != nil {
		return err
	}
	return m.bucket(value, found.take)
}

// take reads an entry, or the state, which stands behind them all.
func (f *finding) take(l leaf) error {
	switch {
	case l.bucket:
		return fmt.Errorf("%w: a bucket among the entries", ErrDamaged)
	case bytes.Equal(l.key, stateKey):
		return f.unpack(l.value)
	case f.entries == 0:
		e, err := entry.Parse(l.value)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		f.before = entry.Head{Seq: e.Seq - 1, Hash: e.Prev}
		f.chain = f.before
	}
	next, err := f.chain.Follow(l.value)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if !bytes.Equal(l.key, key(next.Seq)) {
		return fmt.Errorf("%w: entry %d stands under another number", ErrDamaged, next.Seq)
	}
	if next.Seq == f.want {
		f.wanted = next.Hash
	}
	f.chain = next
	f.entries++
	return nil
}

// agree compares the entries with the state.
func (f *finding) agree() error {
	if f.entries == 0 {
		f.before, f.chain = f.Before, f.Before
	}
	switch {
	case f.before != f.Before:
		return fmt.Errorf("%w: it begins behind entry %d, not %d", ErrDamaged, f.before.Seq, f.Before.Seq)
	case f.chain != f.Head:
		return fmt.Errorf("%w: it ends with entry %d, not %d, or with another one", ErrDamaged, f.chain.Seq, f.Head.Seq)
	case f.Receipted > f.Head.Seq || f.Receipted < f.Before.Seq:
		return fmt.Errorf("%w: receipt for entry %d", ErrDamaged, f.Receipted)
	}
	if f.want == f.Before.Seq {
		f.wanted = f.Before.Hash
	}
	return nil
}
