package journal

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gatepost/storage/entry"
)

// A Report is what Check found. The journal is whole when Damage is empty.
type Report struct {
	Device    string   `json:"device"`
	Files     int      `json:"files"`
	First     uint64   `json:"first"`   // sequence of the first entry that is here
	Last      uint64   `json:"last"`    // of the last one; First-1 when there is none
	Head      string   `json:"head"`    // hash of the last entry, hexadecimal
	Entries   int      `json:"entries"` // that were read and stand in their chain
	Lost      uint64   `json:"lost"`    // that gaps stand for: damage of earlier days, which was repaired
	Boots     uint32   `json:"boots"`
	Receipted uint64   `json:"receipted"` // the hub holds everything up to here
	Damage    []string `json:"damage"`
}

// Check reads the whole journal in dir and changes nothing: every page in use, every link of the chain,
// and that the receipt lies on it; its signature, too, unless hub (the hub's receipt key) is nil.
// Damage stands in the report. The error says that there was nothing to read: fs.ErrNotExist, ErrLocked when a kiosk has
// the journal open, or what the system said.
func Check(dir string, hub ed25519.PublicKey) (Report, error) {
	r, err := check(dir, &folder{}, hub)
	if err != nil {
		return Report{}, fmt.Errorf("check journal: %w", err)
	}
	return r, nil
}

func check(dir string, f *folder, hub ed25519.PublicKey) (r Report, err error) {
	lock, err := lockDir(dir, false, 0)
	if err != nil {
		return r, err
	}
	defer lock.Close()
	if err := f.survey(dir, "", true); err != nil {
		return r, err
	}
	if len(f.found) == 0 {
		return r, fmt.Errorf("no file of a journal in %s: %w", dir, fs.ErrNotExist)
	}
	newest := f.found[len(f.found)-1]
	r = Report{
		Device: newest.Device, Files: len(f.found), First: f.found[0].Start.Seq + 1, Last: newest.Head.Seq, Head: newest.Head.Hash.String(),
		Boots: newest.Boot, Receipted: newest.Receipted, Damage: []string{},
	}
	for _, found := range f.found {
		r.Entries += found.entries
		r.Lost += found.lost
		if found.err != nil {
			r.Damage = append(r.Damage, found.name+": "+found.err.Error())
		}
	}
	if newest.err == nil && newest.Before.Seq+1 > r.First { // a deletion that a power cut interrupted
		r.First = newest.Before.Seq + 1
	}
	if newest.Receipt != nil {
		if err := f.checkReceipt(dir, newest, hub); err != nil {
			r.Damage = append(r.Damage, err.Error())
		}
	}
	return r, nil
}

// checkReceipt checks the newest receipt against the entry that it speaks of and, unless hub is nil, its signature.
func (f *folder) checkReceipt(dir string, s *finding, hub ed25519.PublicKey) error {
	head, err := s.Receipt.Head()
	if err != nil {
		return err
	}
	own := s.Before
	for _, found := range f.found {
		if found.err == nil && found.Start.Seq < head.Seq && head.Seq <= found.Head.Seq {
			own, err = headAt(head.Seq, func(fn func(uint64, []byte) error) error {
				_, err := readFile(filepath.Join(dir, found.name), head.Seq, fn)
				return err
			})
		}
	}
	if err != nil && !errors.Is(err, ErrGap) || head.Seq != s.Receipted || err == nil && own != head {
		return fmt.Errorf("receipt for entry %d is not on this chain", head.Seq)
	}
	if hub == nil {
		return nil
	}
	return s.Receipt.Check(hub, s.Device)
}

// A finding is what examine read of a file.
type finding struct {
	state
	name    string
	size    int64
	err     error      // what is wrong, an ErrDamaged; or why it could not be opened
	trust   knowledge  // of state.Head
	entries int        // read and in their chain
	lost    uint64     // that gaps among them stand for
	chain   entry.Head // behind the last entry read
}

// knowledge says how well the end of a file is known.
type knowledge uint8

const (
	unknown knowledge = iota
	nearly            // up to the last transaction
	exactly
)

func (f *finding) span() span { return span{f.Start, f.Head} }

// examine reads the file at path, whole or only what leads to its state. A sector that cannot be read is damage.
func examine(path string, whole bool) *finding {
	found := &finding{name: filepath.Base(path)}
	f, err := os.Open(path)
	if err != nil {
		found.err = err
		return found
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		found.err = err
		return found
	}
	found.size = info.Size()
	found.err = guard(func() error { return found.inspect(f, whole) })
	return found
}

func (f *finding) inspect(r *os.File, whole bool) error {
	m, torn, err := readMetas(r, f.size)
	if err != nil {
		return err
	}
	if f.state, err = m.from(1<<62, nothing); err != nil {
		return err
	}
	f.trust = exactly
	if torn != "" {
		f.trust = nearly
		return fmt.Errorf("%w: %s", ErrDamaged, torn)
	}
	if !whole {
		return nil
	}
	if m, _, err = readMetas(r, f.size); err != nil { // anew: this time every page is seen once
		return err
	}
	f.chain = f.Start
	if _, err := m.from(0, f.take); err != nil {
		return err
	}
	switch {
	case f.chain != f.Head:
		return fmt.Errorf("%w: it ends with entry %d, not %d, or with another one", ErrDamaged, f.chain.Seq, f.Head.Seq)
	case f.Receipted > f.Head.Seq || f.Receipted < f.Before.Seq:
		return fmt.Errorf("%w: receipt for entry %d", ErrDamaged, f.Receipted)
	}
	return nil
}

func nothing(uint64, []byte) error { return nil }

// take reads an entry.
func (f *finding) take(seq uint64, raw []byte) error {
	next, err := f.chain.Follow(raw)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", ErrDamaged, err)
	case seq != next.Seq:
		return fmt.Errorf("%w: entry %d stands under the number %d", ErrDamaged, next.Seq, seq)
	}
	if lost := next.Seq - f.chain.Seq - 1; lost > 0 || next.Hash != entry.HashOf(raw) {
		if g, err := gapOf(raw); err == nil {
			f.lost += g.Last - g.First + 1
		}
	}
	f.chain = next
	f.entries++
	return nil
}

func gapOf(raw []byte) (entry.Gap, error) {
	e, err := entry.Parse(raw)
	if err != nil {
		return entry.Gap{}, err
	}
	return entry.Decode[entry.Gap](e)
}
