package journal

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"gatepost/storage/entry"
)

var (
	damaged = flag.Int("damaged", 104, "how many damaged journals TestDamage tries")
	seeded  = flag.Uint64("seed", 0, "of the random damages, 0 = the time")
)

// A sample is a journal of several files, one of them deleted, closed and read into memory.
type sample struct {
	files   map[string][]byte
	used    map[string]int // bytes of a file that mean something
	entries map[uint64][]byte
	head    entry.Head
}

// newSample makes a journal whose entries 1 to 30 are deleted and whose newest file holds 17.
func newSample(t testing.TB) sample {
	t.Helper()
	dir := t.TempDir()
	j := openWith(t, dir, Options{Device: device, Entries: 30})
	fill(t, j, 105)
	if err := j.PutReceipt(receipt(t, j, 70)); err != nil {
		t.Fatal(err)
	}
	if n, err := j.Prune(t.Context(), day.Add(35*time.Minute), later); err != nil || n != 30 {
		t.Fatal(n, err)
	}
	fill(t, j, 1)
	s := sample{map[string][]byte{}, map[string]int{}, map[uint64][]byte{}, j.Head()}
	raws, err := j.Range(30, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	for i, raw := range raws {
		s.entries[uint64(31+i)] = raw
	}
	j.Close()
	names, err := fileNames(dir)
	if err != nil || len(names) != 3 {
		t.Fatal(names, err)
	}
	for _, name := range names {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		m, err := newestImage(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatal(err)
		}
		s.files[name], s.used[name] = raw, int(m.pages)*pageSize
	}
	return s
}

// put writes the sample into a new folder, with what damage makes of the bytes in use of one of its files.
func (s sample) put(t testing.TB, name string, damage func(b []byte) []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	for n, raw := range s.files {
		if n == name {
			part := damage(bytes.Clone(raw[:s.used[n]]))
			if len(part) == s.used[n] {
				part = append(part, raw[s.used[n]:]...)
			}
			raw = part
		}
		if err := os.WriteFile(filepath.Join(dir, n), raw, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// damages are the ways in which a card breaks a file.
func damages(random *rand.Rand) map[string]func(b []byte) []byte {
	page := func(b []byte) []byte { return b[random.IntN(len(b)/pageSize)*pageSize:][:pageSize] }
	noise := func(p []byte) {
		for i := range p {
			p[i] = byte(random.Uint32())
		}
	}
	return map[string]func(b []byte) []byte{
		"bit":     func(b []byte) []byte { b[random.IntN(len(b))] ^= 1 << random.IntN(8); return b },
		"byte":    func(b []byte) []byte { b[random.IntN(len(b))] = byte(random.Uint32()); return b },
		"header":  func(b []byte) []byte { page(b)[random.IntN(64)]++; return b },
		"cut":     func(b []byte) []byte { return b[:random.IntN(len(b))] },
		"zeros":   func(b []byte) []byte { clear(page(b)); return b },
		"garbage": func(b []byte) []byte { noise(b[random.IntN(len(b)/512)*512:][:512]); return b },
		"noise":   func(b []byte) []byte { noise(page(b)); return b },
		"swap": func(b []byte) []byte {
			p, q := page(b), page(b)
			c := bytes.Clone(p)
			copy(p, q)
			copy(q, c)
			return b
		},
	}
}

// TestDamage breaks journals at random. Each must open, give every entry as it was written or say that it is in doubt,
// keep the damaged file, and go on. Nothing may crash.
func TestDamage(t *testing.T) {
	s := newSample(t)
	seed := *seeded
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	kinds := damages(random)
	names, files := slices.Sorted(maps.Keys(kinds)), slices.Sorted(maps.Keys(s.files))
	var repaired, lost int
	for i := range *damaged {
		kind, file := names[i%len(names)], files[random.IntN(len(files))]
		n, ok := s.survive(t, fmt.Sprintf("%d, %s in %s", i, kind, file), s.put(t, file, kinds[kind]))
		if lost += n; ok {
			repaired++
		}
	}
	// The line is read by the proof.
	fmt.Printf("damaged=%d repaired=%d entries-lost=%d unnoticed=0\n", *damaged, repaired, lost)
	if repaired < *damaged/3 {
		t.Errorf("only %d of %d damages hit anything: the test does not reach the files", repaired, *damaged)
	}
}

// survive opens a damaged journal and checks all that it says and does. It returns how many entries are lost, and
// whether anything was repaired.
func (s sample) survive(t *testing.T, name, dir string) (lost int, repaired bool) {
	t.Helper()
	before, err := Check(dir, hubPub)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	j, err := Open(dir, Options{Device: device, Entries: 30})
	if err != nil {
		t.Fatalf("%s: %v; check: %q", name, err, before.Damage)
	}
	defer j.Close()
	if err := j.Scrub(t.Context()); err != nil {
		t.Fatalf("%s: scrub: %v", name, err)
	}
	repairs := j.Repairs()
	if (len(repairs) > 0) != (len(before.Damage) > 0) {
		t.Fatalf("%s: check found %q, open repaired %+v", name, before.Damage, repairs)
	}
	inDoubt := func(seq uint64) bool {
		return slices.ContainsFunc(repairs, func(r Repair) bool { return r.First <= seq && seq <= r.Last })
	}
	got := map[uint64][]byte{}
	readAllFrom(t, name, j, func(seq uint64, raw []byte) { got[seq] = raw })
	for seq, want := range s.entries {
		if !bytes.Equal(got[seq], want) {
			if lost++; !inDoubt(seq) {
				t.Fatalf("%s: entry %d is lost and nobody noticed; repairs %+v", name, seq, repairs)
			}
		}
	}
	for _, raw := range got {
		if seq := after(raw).Seq; s.entries[seq] == nil && seq <= s.head.Seq && !inDoubt(seq) {
			t.Fatalf("%s: entry %d came from nowhere", name, seq)
		}
	}
	if j.Head().Seq < s.head.Seq {
		t.Fatalf("%s: it ends with entry %d, sequences would be used twice", name, j.Head().Seq)
	}
	if aside, err := os.ReadDir(filepath.Join(dir, damagedName)); len(repairs) > 0 && (err != nil || len(aside) == 0) {
		t.Fatalf("%s: the damaged file was not kept: %v", name, err)
	}
	fill(t, j, 3)
	last := j.Head().Seq
	j.Close()
	if r, err := Check(dir, hubPub); err != nil || len(r.Damage) > 0 || r.Last != last {
		t.Fatalf("%s: afterwards %+v, %v", name, r, err)
	}
	return lost, len(repairs) > 0
}

// readAllFrom calls fn for every entry that j has.
func readAllFrom(t *testing.T, name string, j *Journal, fn func(seq uint64, raw []byte)) {
	t.Helper()
	for from := j.First() - 1; ; {
		raws, err := j.Range(from, 7, 1<<20)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(raws) == 0 {
			return
		}
		for _, raw := range raws {
			from = after(raw).Seq
			fn(from, raw)
		}
	}
}

// TestAimedDamage aims where chance seldom hits, and where bbolt itself would notice nothing.
func TestAimedDamage(t *testing.T) {
	s := newSample(t)
	files := slices.Sorted(maps.Keys(s.files))
	newest, old := files[2], files[0]
	le := binary.LittleEndian
	for _, c := range []struct {
		name, file string
		damage     func(b []byte) []byte
		lost       int // at the most; what is not damaged must be saved
	}{
		{"the last entry", newest, func(b []byte) []byte { return flip(b, s.entries[s.head.Seq]) }, 1},
		{"an entry of a sealed file", old, func(b []byte) []byte { return flip(b, s.entries[40]) }, 1},
		{"the last entry of a sealed file", old, func(b []byte) []byte { return flip(b, s.entries[60]) }, 1},
		{"the first entry of all", old, func(b []byte) []byte { return flip(b, s.entries[31]) }, 1},
		{"every state of a sealed file", old, func(b []byte) []byte { return replace(b, stateKey, []byte("STATE OF 9")) }, 0},
		{"every state of the newest file", newest, func(b []byte) []byte { return replace(b, stateKey, []byte("STATE OF 9")) }, 1},
		{"both meta pages of the newest file", newest, func(b []byte) []byte { clear(b[:2*pageSize]); return b }, 0},
		{"the newer meta page", newest, func(b []byte) []byte {
			m, _, _ := readMetas(bytes.NewReader(b), int64(len(b)))
			clear(b[(m.tx%2)*pageSize:][:pageSize])
			return b
		}, 0},
		{"the key of a sealed file's last entry", old, func(b []byte) []byte {
			return replace(b, append(key(60), s.entries[60]...), append(key(1<<62), s.entries[60]...))
		}, 0},
		{"a sealed file cut to nothing", old, func([]byte) []byte { return nil }, 30},
		{"the newest file cut to nothing", newest, func([]byte) []byte { return nil }, 17},
		{"an older tail in the place of the newest", newest, func(b []byte) []byte {
			m, err := newestImage(bytes.NewReader(b), int64(len(b)))
			if err != nil {
				t.Fatal(err)
			}
			_, tail, err := m.buckets()
			if err != nil {
				t.Fatal(err)
			}
			page := le.Uint64(tail)
			for id := uint64(2); id < m.pages; id++ { // the newest that is not in use
				if p := b[id*pageSize:][:pageSize]; id != page && bytes.Contains(p, stateKey) {
					copy(b[page*pageSize+8:][:pageSize-8], p[8:])
				}
			}
			return b
		}, 20},
	} {
		dir := s.put(t, c.file, c.damage)
		lost, repaired := s.survive(t, c.name, dir)
		if !repaired || lost > c.lost {
			t.Errorf("%s: %d entries lost, %d would be right; repaired: %v", c.name, lost, c.lost, repaired)
		}
	}
}

// flip turns a bit of every copy of an entry's last byte.
func flip(b, raw []byte) []byte {
	bad := bytes.Clone(raw)
	bad[len(bad)-1] ^= 1
	return replace(b, raw, bad)
}

// replace writes a new text over each copy of an old one of the same length.
func replace(b, old, fresh []byte) []byte {
	if !bytes.Contains(b, old) {
		panic("nothing to damage")
	}
	return bytes.ReplaceAll(b, old, fresh)
}

// A card that dies seldom spoils one file alone. Of two in a row each is still salvaged for itself.
func TestTwoDamagedFiles(t *testing.T) {
	s := newSample(t)
	files := slices.Sorted(maps.Keys(s.files))
	dir := s.put(t, files[1], func(b []byte) []byte { return flip(b, s.entries[75]) })
	newest := filepath.Join(dir, files[2])
	raw := bytes.Clone(s.files[files[2]])
	clear(raw[:2*pageSize]) // both meta pages: nothing leads to its state
	if err := os.WriteFile(newest, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if lost, repaired := s.survive(t, "two files", dir); !repaired || lost != 1 {
		t.Errorf("%d entries lost, 1 would be right", lost)
	}
	// Where not even the newest file's first entry is left, only what hangs on it is in doubt as well.
	dir = s.put(t, files[1], func(b []byte) []byte { return flip(b, s.entries[75]) })
	if err := os.WriteFile(filepath.Join(dir, files[2]), replace(raw, s.entries[91], make([]byte, len(s.entries[91]))), 0o600); err != nil {
		t.Fatal(err)
	}
	if lost, repaired := s.survive(t, "two files and the joint", dir); !repaired || lost > 3 {
		t.Errorf("%d entries lost, 3 would be right", lost)
	}
}

func TestMissingFiles(t *testing.T) {
	s := newSample(t)
	files := slices.Sorted(maps.Keys(s.files))
	for i, name := range files[:2] {
		dir := s.put(t, "", nil)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
		j := open(t, dir)
		if r := j.Repairs(); len(r) != 1 || r[0].InDoubt() != 30 || r[0].First != uint64(31+30*i) {
			t.Errorf("without %s: %+v", name, r)
		}
		if h, err := j.Hash(60); err != nil || h != after(s.entries[60]).Hash { // the gap hands it on
			t.Errorf("without %s: hash of entry 60 %v, %v", name, h, err)
		}
		if _, err := j.Hash(uint64(45 + 30*i)); !errors.Is(err, ErrGap) {
			t.Errorf("without %s: hash of a lost entry: %v", name, err)
		}
		j.Close()
		if r, err := Check(dir, hubPub); err != nil || len(r.Damage) > 0 || r.Lost != 30 || r.First != 31 {
			t.Errorf("without %s: %+v, %v", name, r, err)
		}
	}
}

// Damage that comes while the journal runs is noticed by reading and by the next write, and repaired without a restart.
func TestDamageWhileRunning(t *testing.T) {
	s := newSample(t)
	for _, name := range slices.Sorted(maps.Keys(s.files)) {
		dir := s.put(t, "", nil)
		j := openWith(t, dir, Options{Device: device, Entries: 30})
		seq := uint64(40)
		if name == fileName(entry.Head{Seq: 90}) {
			seq = 95
		} else if name == fileName(entry.Head{Seq: 60}) {
			seq = 75
		}
		path := filepath.Join(dir, name)
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		f, err := os.OpenFile(path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := f.WriteAt(flip(raw, s.entries[seq]), 0); err != nil {
			t.Fatal(err)
		}
		f.Close()
		readAllFrom(t, name, j, func(uint64, []byte) {})
		if r := j.Repairs(); len(r) != 1 || r[0].First != seq || r[0].Last != seq {
			t.Errorf("%s: %+v", name, r)
		}
		fill(t, j, 2)
		j.Close()
		if r, err := Check(dir, hubPub); err != nil || len(r.Damage) > 0 || r.Lost != 1 {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
}

// A flaky reader fails so many times at each place.
type flaky struct {
	r     io.ReaderAt
	times int
	met   map[int64]int
}

func (f *flaky) ReadAt(b []byte, at int64) (int, error) {
	if f.met[at]++; f.met[at] <= f.times {
		return 0, syscall.EIO
	}
	return f.r.ReadAt(b, at)
}

// What can be read at all is no damage.
func TestPassingFault(t *testing.T) {
	s := newSample(t)
	for name, raw := range s.files {
		for times, want := range map[int]bool{1: true, 4: true, 1 << 30: false} {
			m, torn, err := readMetas(&flaky{bytes.NewReader(raw), times, map[int64]int{}}, int64(len(raw)))
			if err == nil && torn == "" {
				_, err = m.from(0, nothing)
			}
			if (err == nil && torn == "") != want {
				t.Errorf("%s, %d times: %s, %v", name, times, torn, err)
			}
		}
	}
}

func TestSalvage(t *testing.T) {
	s := newSample(t)
	files := slices.Sorted(maps.Keys(s.files))
	dir := s.put(t, files[0], func(b []byte) []byte { return flip(b, s.entries[40]) })
	to := filepath.Join(t.TempDir(), "salvaged")
	repairs, r, err := Salvage(dir, to)
	if err != nil || len(repairs) != 1 || repairs[0].First != 40 || repairs[0].Last != 40 {
		t.Fatalf("%+v, %v", repairs, err)
	}
	if len(r.Damage) > 0 || r.First != 31 || r.Last != s.head.Seq || r.Lost != 1 || r.Receipted != 70 {
		t.Errorf("%+v", r)
	}
	for name := range s.files {
		raw, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil || name != files[0] && !bytes.Equal(raw, s.files[name]) {
			t.Errorf("%s was changed: %v", name, err)
		}
	}
	if _, _, err := Salvage(dir, to); !errors.Is(err, os.ErrExist) {
		t.Errorf("into a folder that is there: %v", err)
	}
	if _, _, err := Salvage(t.TempDir(), filepath.Join(t.TempDir(), "x")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("of nothing: %v", err)
	}
	// A lone file from a broken card is a journal, too.
	lone := t.TempDir()
	if err := os.WriteFile(filepath.Join(lone, files[1]), s.files[files[1]], 0o600); err != nil {
		t.Fatal(err)
	}
	if _, r, err := Salvage(lone, filepath.Join(t.TempDir(), "x")); err != nil || r.First != 61 || r.Last != 90 || r.Entries != 30 {
		t.Errorf("a lone file: %+v, %v", r, err)
	}
}

// patched returns the bytes in use of one of the sample's files with a patch laid over them.
func (s sample) patched(file uint8, at uint32, patch []byte) []byte {
	names := slices.Sorted(maps.Keys(s.files))
	name := names[int(file)%len(names)]
	b := bytes.Clone(s.files[name][:s.used[name]])
	copy(b[int(at)%len(b):], patch)
	return b
}

// seedPatches lays patches where the format has its joints.
func seedPatches(f *testing.F) {
	f.Add(uint8(0), uint32(0), []byte{})
	for page := range uint32(7) {
		f.Add(uint8(page), page*pageSize+8, []byte{0x01, 0, 0xff, 0xff})
		f.Add(uint8(page), page*pageSize+16, []byte{1, 2, 3, 4, 5, 6, 7, 8})
		f.Add(uint8(page), page*pageSize+3000, []byte{1, 1, 0, 0, 0, 0, 0, 0, 0, 42})
	}
}

// FuzzInspect gives the page reader files that no test thought of.
func FuzzInspect(f *testing.F) {
	s := newSample(f)
	seedPatches(f)
	f.Fuzz(func(t *testing.T, file uint8, at uint32, patch []byte) {
		b := s.patched(file, at, patch)
		m, _, err := readMetas(bytes.NewReader(b), int64(len(b)))
		if err != nil {
			return
		}
		var found finding
		if s, err := m.from(0, found.take); err == nil && s.Tx != m.tx {
			t.Error("a state of another transaction")
		}
	})
}

// FuzzCarve gives the carver bytes that no journal wrote. What is vouched for must be what was written.
func FuzzCarve(f *testing.F) {
	s := newSample(f)
	seedPatches(f)
	f.Fuzz(func(t *testing.T, file uint8, at uint32, patch []byte) {
		d := carve(s.patched(file, at, patch), 30, 1<<20)
		for _, raw := range d.vouched(s.head) {
			if want := s.entries[after(raw).Seq]; want != nil && !bytes.Equal(raw, want) {
				t.Errorf("entry %d is another", after(raw).Seq)
			}
		}
	})
}

// TestModel does random things to a journal and to a plain map, which must agree.
func TestModel(t *testing.T) {
	seed := *seeded
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 3))
	dir := t.TempDir()
	o := Options{Device: device, Entries: 12, Period: time.Hour}
	j := openWith(t, dir, o)
	model := map[uint64][]byte{}
	var first, head, receipted uint64 = 1, 0, 0
	now := day
	appendOne := func() {
		d := draft(t, now, int(random.Uint32()))
		d.Body = d.Body[:len(d.Body):len(d.Body)]
		e, err := j.Append(context.Background(), d)
		if err != nil || e.Seq != head+1 || !bytes.Equal(e.Body, d.Body) {
			t.Fatalf("append: entry %d behind %d, %v", e.Seq, head, err)
		}
		head++
		model[head], _ = e.Marshal()
	}
	for range 3000 {
		now = now.Add(time.Duration(random.IntN(120)) * time.Second)
		switch n := random.IntN(100); {
		case n < 60:
			appendOne()
		case n < 80:
			from := first - 1 + uint64(random.IntN(int(head-first+3)))
			raws, err := j.Range(from, 1+random.IntN(40), 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for i, raw := range raws {
				if !bytes.Equal(raw, model[from+1+uint64(i)]) {
					t.Fatalf("entry %d is another", from+1+uint64(i))
				}
			}
			if len(raws) == 0 && from < head {
				t.Fatalf("nothing behind %d of %d", from, head)
			}
		case n < 88 && head > receipted:
			receipted += 1 + uint64(random.IntN(int(head-receipted)))
			if err := j.PutReceipt(receipt(t, j, receipted)); err != nil {
				t.Fatal(err)
			}
		case n < 90:
			to := uint64(random.IntN(int(receipted) + 1))
			if err := j.Rewind(to); err != nil {
				t.Fatal(err)
			}
			receipted = min(receipted, max(to, first-1))
		case n < 94:
			before := now.Add(-time.Duration(random.IntN(4)) * time.Hour)
			if n, err := j.Prune(context.Background(), before, entry.Stamp{Wall: now, Trust: entry.TrustClock}); err != nil {
				t.Fatal(err)
			} else if n > 0 {
				for seq := first; seq < first+uint64(n); seq++ {
					if e, _ := entry.Parse(model[seq]); seq > receipted || !e.Wall.Before(before) {
						t.Fatalf("entry %d of %v was deleted; receipted %d, before %v", seq, e.Wall, receipted, before)
					}
					delete(model, seq)
				}
				first += uint64(n)
				head++
				raw, err := j.Range(head-1, 1, 1<<20)
				if err != nil || len(raw) != 1 {
					t.Fatalf("the certificate: %v", err)
				}
				model[head] = raw[0]
			}
		case n < 97:
			j.Close()
			j = openWith(t, dir, o)
		}
		if j.First() != first || j.Head().Seq != head || j.Receipted() != receipted {
			t.Fatalf("first %d, head %d, receipted %d; want %d, %d, %d", j.First(), j.Head().Seq, j.Receipted(), first, head, receipted)
		}
	}
	seq := first
	readAllFrom(t, "at the end", j, func(at uint64, raw []byte) {
		if at != seq || !bytes.Equal(raw, model[at]) {
			t.Fatalf("entry %d, want %d", at, seq)
		}
		seq++
	})
	if seq != head+1 {
		t.Fatalf("it ends with entry %d of %d", seq-1, head)
	}
}
