package journal

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/storage/entry"
)

// A Repair is what became of a damaged file: it lies below "damaged" as it was found, and what the chain vouched for was
// carried over. A file may need several, one for each gap; First is 0 where nothing is missing.
type Repair struct {
	File  string `json:"file"`
	First uint64 `json:"first"` // of the entries that are lost or in doubt
	Last  uint64 `json:"last"`
	Why   string `json:"why"`
}

// InDoubt returns how many entries the repair could not save; it may count some that never were.
func (r Repair) InDoubt() uint64 {
	if r.First == 0 {
		return 0
	}
	return r.Last - r.First + 1
}

// Repairs returns what this run had to repair so far.
func (j *Journal) Repairs() []Repair {
	j.writing.Lock()
	defer j.writing.Unlock()
	return append([]Repair(nil), j.repairs...)
}

// Scrub reads every sealed file whole and repairs what it finds damaged, until ctx ends. It lets passages through.
func (j *Journal) Scrub(ctx context.Context) error {
	for at := j.First() - 1; ; {
		raws, err := j.Range(max(at, j.First()-1), 100, 1<<20)
		switch {
		case errors.Is(err, ErrPruned) && ctx.Err() == nil: // a moment ago
			continue
		case err != nil || ctx.Err() != nil:
			return fmt.Errorf("scrub journal: %w", errors.Join(err, ctx.Err()))
		case len(raws) == 0:
			return nil
		}
		at = after(raws[len(raws)-1]).Seq
	}
}

// repairFrom examines the files from the one on in which seq stands, repairs the first that is damaged, and reports
// whether there was one.
func (j *Journal) repairFrom(seq uint64) bool {
	j.writing.Lock()
	defer j.writing.Unlock()
	for i, s := range j.sealed {
		if s.head.Seq < seq {
			continue
		}
		found := examine(filepath.Join(j.dir, fileName(s.start)), true)
		if found.err == nil && found.span() == s {
			continue
		}
		if found.err == nil {
			found.err = fmt.Errorf("%w: it is another file", ErrDamaged)
		}
		return j.repairSealed(i, found) == nil // else the reader reports the damage
	}
	if examine(j.path(), true).err == nil {
		return false
	}
	j.health = broken
	return j.heal() == nil
}

// repairSealed repairs the sealed file i while the journal runs.
func (j *Journal) repairSealed(i int, found *finding) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.sealed[i]
	repairs, err := repairFile(j.dir, found, *j.held.Load(), s.start, &s.head)
	if err == nil {
		j.repairs = append(j.repairs, repairs...)
	}
	return err
}

// repairNewest repairs the newest file while the journal runs, which knows how it must end.
func (j *Journal) repairNewest(found *finding) error {
	held := *j.held.Load()
	found.state, found.trust = held, exactly
	repairs, err := repairFile(j.dir, found, held, held.Start, nil)
	if err != nil {
		return err
	}
	j.repairs = append(j.repairs, repairs...)
	again := examine(j.path(), true)
	if again.err == nil { // else what is held is all that tells where the chain must go on
		j.held.Store(&again.state)
	}
	return again.err
}

// repair repairs what survey found damaged, file by file, so that all that is left is one chain.
func (f *folder) repair(dir, device string) (repairs []Repair, err error) {
	for i, found := range f.found {
		if found.err == nil {
			continue
		}
		os.Remove(filepath.Join(dir, spareName)) // its space may be needed; another is made when the journal is open
		s, start, next := f.context(dir, i, device)
		rs, err := repairFile(dir, found, s, start, next)
		if err != nil {
			return repairs, fmt.Errorf("repair %s: %w", found.name, err)
		}
		repairs = append(repairs, rs...)
		f.found[i] = examine(filepath.Join(dir, found.name), true)
	}
	f.join()
	for _, found := range f.found {
		if found.err != nil {
			return repairs, fmt.Errorf("repair %s: %w", found.name, found.err)
		}
	}
	return repairs, nil
}

// context returns what is known of a damaged file from its neighbours: the state of a file that can be read, the head
// behind which it begins, and the one at which the next file goes on, if there is one.
func (f *folder) context(dir string, i int, device string) (s state, start entry.Head, next *entry.Head) {
	found, newest := f.found[i], f.found[len(f.found)-1]
	s.Device, start = device, startOf(found.name)
	switch {
	case i > 0:
		s, start = f.found[i-1].state, f.found[i-1].Head
		s.Before = f.found[0].Start // older states do not know what was deleted since
	case newest.trust != unknown && newest.Before.Seq == start.Seq:
		start = newest.Before
	case found.trust != unknown:
		start = found.Start
	}
	if i+1 < len(f.found) {
		next = f.found[i+1].begins(dir)
	}
	return s, start, next
}

// begins returns the head behind which a file begins. Where its state cannot be read its name has the sequence, and its
// first entry, if it can be found, the hash.
func (f *finding) begins(dir string) *entry.Head {
	start := f.Start
	if f.trust != exactly {
		start = startOf(f.name)
		if raw, err := readAll(filepath.Join(dir, f.name)); err == nil {
			d := carve(raw, start.Seq, start.Seq+1)
			start = d.first(start)
		}
	}
	return &start
}

// repairFile puts a new file in the place of a damaged one, which begins behind start: the entries that the chain
// vouches for, and gaps for the others up to next, where the next file goes on. Without a next the file is the newest.
// s is the best state known from elsewhere.
func repairFile(dir string, found *finding, s state, start entry.Head, next *entry.Head) ([]Repair, error) {
	bound := start.Seq + maxEntries + passRoom
	if next != nil {
		bound = next.Seq
	}
	raw, err := readAll(filepath.Join(dir, found.name))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d := carve(raw, start.Seq, bound)
	if start.Seq > 0 && start.Hash == (entry.Hash{}) {
		start = d.first(start) // nothing else tells the hash before it
	}
	end := found.Head // the last entry that is known to have been there
	if next != nil {
		end = *next
	} else if d.state.Head.Seq > end.Seq && d.state.Head.Seq <= bound {
		end = d.state.Head
	}
	b := builder{repair: Repair{File: found.name, Why: why(found.err)}, at: start}
	b.last.Wall = time.UnixMilli(0) // of a gap before the first entry
	for _, raw := range d.vouched(end, found.Head, d.state.Head) {
		b.take(raw)
	}
	b.upTo(end)
	if next == nil {
		b.behind(found.trust, bound)
	}
	first := s.Before
	s = best(s, d.state, found.state)
	s.Start, s.Head, s.Began = start, b.at, 0
	if s.Before.Seq < first.Seq || s.Before.Seq > s.Head.Seq {
		s.Before = first
	}
	s.Receipted = min(max(s.Receipted, s.Before.Seq), s.Head.Seq)
	if s.Receipt != nil && s.Receipt.Seq != s.Receipted {
		s.Receipt = nil
	}
	s.Boot += uint32(b.doubt()) // each lost entry may have begun a boot
	return b.repairs(), replaceFile(dir, found.name, s, b.list)
}

// why is the reason of a repair without the words that every such error begins with.
func why(err error) string { return strings.TrimPrefix(err.Error(), ErrDamaged.Error()+": ") }

// first returns start with the hash that the entry behind it carries, if that was found.
func (d *debris) first(start entry.Head) entry.Head {
	for _, raw := range d.entries[start.Seq+1] {
		return before(raw)
	}
	return start
}

// best returns the state that knows most.
func best(s state, others ...state) state {
	device := s.Device
	for _, other := range others {
		if other.Device != "" && other.Head.Seq >= s.Head.Seq {
			s = other
		}
	}
	if device != "" {
		s.Device = device
	}
	return s
}

// A builder lines up the entries that are left and puts gaps between them.
type builder struct {
	repair Repair // its file and reason
	at     entry.Head
	last   entry.Entry // taken
	list   [][]byte
	gaps   []Repair
}

// take adds an entry, and before it a gap if entries are missing there. One that does not fit is left out.
func (b *builder) take(raw []byte) {
	e, err := entry.Parse(raw)
	if err != nil || e.Seq <= b.at.Seq {
		return
	}
	b.upTo(before(raw))
	if next, err := b.at.Follow(raw); err == nil {
		b.at, b.last, b.list = next, e, append(b.list, raw)
	}
}

// upTo puts a gap in the place of what is missing up to head, whose hash it hands on.
func (b *builder) upTo(head entry.Head) {
	if head.Seq <= b.at.Seq {
		return
	}
	gap := entry.Gap{Last: head.Seq}
	if head.Hash != (entry.Hash{}) { // unknown where two files in a row are damaged: then the gap's own hash does
		gap.Hash = head.Hash[:]
	}
	b.gap(head.Seq, gap)
}

// behind puts a gap behind the last that is known, for as many entries as may have stood there: none when the end is
// known, one transaction's when a meta page is broken, a whole file's when nothing tells. No sequence is used twice.
func (b *builder) behind(trust knowledge, bound uint64) {
	if trust == nearly {
		bound = b.at.Seq + maxMerge
	}
	if trust != exactly && bound > b.at.Seq {
		b.gap(bound+1, entry.Gap{Last: bound})
	}
}

// gap adds g, which begins behind the last entry, under the sequence seq.
func (b *builder) gap(seq uint64, g entry.Gap) {
	g.First, g.Why = b.at.Seq+1, b.repair.Why
	e := entry.Entry{Seq: seq, Boot: b.last.Boot, Stamp: entry.Stamp{Wall: b.last.Wall, Mono: b.last.Mono}, Prev: b.at.Hash}
	raw, err := e.With(g)
	if err == nil {
		b.at, err = b.at.Follow(raw)
	}
	if err != nil {
		panic(err) // a gap always fits
	}
	b.list = append(b.list, raw)
	r := b.repair
	r.First, r.Last = g.First, g.Last
	b.gaps = append(b.gaps, r)
}

func (b *builder) doubt() (n uint64) {
	for _, r := range b.gaps {
		n += r.InDoubt()
	}
	return n
}

// repairs returns the gaps, or the mere fact of a repair.
func (b *builder) repairs() []Repair {
	if len(b.gaps) == 0 {
		return []Repair{b.repair}
	}
	return b.gaps
}

// replaceFile sets a damaged file aside and puts a new one with entries in its place, under the same name. The old one
// has its second name before it loses the first.
func replaceFile(dir, name string, s state, entries [][]byte) error {
	aside := filepath.Join(dir, damagedName)
	if err := makeDir(aside); err != nil {
		return err
	}
	for i := 1; ; i++ {
		err := os.Link(filepath.Join(dir, name), filepath.Join(aside, fmt.Sprintf("%s.%d", name, i)))
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		break
	}
	if err := syncDir(aside); err != nil {
		return err
	}
	return room(makeFile(filepath.Join(dir, name), fileSize, s, entries...))
}

// Salvage copies the journal in the folder dir to the new folder to and repairs the copy; dir is only read. The report
// is of the copy. A lone damaged file is a journal of one file.
func Salvage(dir, to string) (repairs []Repair, r Report, err error) {
	if repairs, err = salvage(dir, to); err == nil {
		r, err = check(to, &folder{part: true}, nil)
	}
	if err != nil {
		err = fmt.Errorf("salvage journal: %w", err)
	}
	return repairs, r, err
}

func salvage(dir, to string) ([]Repair, error) {
	names, err := fileNames(dir)
	if err != nil {
		return nil, err
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("no file of a journal in %s: %w", dir, fs.ErrNotExist)
	}
	from, err := lockDir(dir, false, 0)
	if err != nil {
		return nil, err
	}
	defer from.Close()
	if err := os.Mkdir(to, 0o700); err != nil {
		return nil, err
	}
	for _, name := range names {
		raw, err := readAll(filepath.Join(dir, name))
		if err != nil {
			return nil, err
		}
		if err := os.WriteFile(filepath.Join(to, name), raw, 0o600); err != nil {
			return nil, room(err)
		}
	}
	lock, err := lockDir(to, true, 0)
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	f := folder{part: true}
	if err := f.survey(to, "", true); err != nil {
		return nil, err
	}
	return f.repair(to, "")
}
