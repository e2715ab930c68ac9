package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/storage/entry"
)

// TestDamage breaks a good file in many places. Whatever Check calls whole must hold every entry as it
// was written and take more; whatever it does not must be an error of Open, or be repaired by bbolt's second
// meta page. Nothing may crash.
func TestDamage(t *testing.T) {
	good, want := sample(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	random := rand.New(rand.NewPCG(seed, 2))
	damages := map[string]func(b []byte) []byte{
		"bit":   func(b []byte) []byte { b[random.IntN(len(b))] ^= 1 << random.IntN(8); return b },
		"byte":  func(b []byte) []byte { b[random.IntN(len(b))] = byte(random.Uint32()); return b },
		"head":  func(b []byte) []byte { b[random.IntN(len(b)/pageSize)*pageSize+random.IntN(64)]++; return b },
		"cut":   func(b []byte) []byte { return b[:random.IntN(len(b))] },
		"zeros": func(b []byte) []byte { clear(b[random.IntN(len(b)/512)*512:][:512]); return b },
		"swap": func(b []byte) []byte {
			p, q := b[random.IntN(len(b)/pageSize)*pageSize:][:pageSize], b[random.IntN(len(b)/pageSize)*pageSize:][:pageSize]
			for i := range p {
				p[i], q[i] = q[i], p[i]
			}
			return b
		},
		"noise": func(b []byte) []byte {
			p := b[random.IntN(len(b)/pageSize)*pageSize:][:pageSize]
			for i := range p {
				p[i] = byte(random.Uint32())
			}
			return b
		},
	}
	found := 0
	for name, damage := range damages {
		for range 60 {
			if tryDamaged(t, name, damage(bytes.Clone(good)), want) {
				found++
			}
		}
	}
	if found < 150 {
		t.Errorf("only %d of %d damages were found: the test does not reach the file", found, 60*len(damages))
	}
}

// TestSmallDamageIsFound aims where chance seldom hits, and where bbolt itself would notice nothing.
func TestSmallDamageIsFound(t *testing.T) {
	good, want := sample(t)
	m, _, err := openImage(bytes.NewReader(good), int64(len(good)))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.find(&finding{}); err != nil {
		t.Fatal(err)
	}
	le := binary.LittleEndian
	last := want[len(want)-1]
	damages := map[string]func(b []byte){
		"last entry's body": func(b []byte) { replace(b, last, append(last[:len(last)-1:len(last)-1], last[len(last)-1]^1)) },
		"boot in the state": func(b []byte) { replace(b, []byte(device+"\x02\x01"), []byte(device+"\x02\x05")) },
		"a used page in the list of free ones": func(b []byte) {
			le.PutUint64(b[m.free*pageSize+pageHeader:], m.root)
		},
		"a free page missing in the list": func(b []byte) { b[m.free*pageSize+10]-- },
	}
	for id := uint64(2); id+1 < m.pages; id++ {
		if m.used[id] && m.used[id+1] { // freeing it would free its neighbour, too
			damages[fmt.Sprintf("overflow of page %d", id)] = func(b []byte) { b[id*pageSize+12]++ }
		}
	}
	if len(damages) < 10 {
		t.Fatalf("only %d damages", len(damages))
	}
	for name, damage := range damages {
		b := bytes.Clone(good)
		damage(b)
		if bytes.Equal(b, good) {
			t.Fatalf("%s: nothing is damaged", name)
		}
		if !tryDamaged(t, name, b, want) {
			t.Errorf("%s: not found", name)
		}
	}
}

// replace writes a new text over each copy of an old one of the same length.
func replace(b, old, fresh []byte) {
	for i := bytes.Index(b, old); i >= 0; i = bytes.Index(b, old) {
		copy(b[i:], fresh)
	}
}

// sample returns the bytes of a journal with deleted entries, free pages and a receipt, and its entries.
func sample(t *testing.T) (file []byte, entries [][]byte) {
	t.Helper()
	dir := t.TempDir()
	j := open(t, dir)
	fill(t, j, 400)
	if err := j.PutReceipt(receipt(t, j, 300)); err != nil {
		t.Fatal(err)
	}
	if _, err := j.Prune(t.Context(), day.Add(100*time.Minute), entry.Stamp{Wall: day}); err != nil {
		t.Fatal(err)
	}
	fill(t, j, 20)
	entries, err := j.Range(j.First()-1, 1000, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	j.Close()
	file, err = os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	// Most of the file's end was never used; damage there would prove nothing.
	r, err := os.Open(filepath.Join(dir, fileName))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	m, _, err := openImage(r, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	return file[:m.pages*pageSize], entries
}

// tryDamaged reports whether the damage was found.
func tryDamaged(t *testing.T, name string, file []byte, want [][]byte) bool {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, fileName), file, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := Check(dir, hubPub)
	checked := err == nil && len(r.Damage) == 0
	if checked && r.Entries != len(want) {
		t.Fatalf("%s: check calls %d entries of %d whole", name, r.Entries, len(want))
	}
	j, err := Open(dir, Options{Device: device})
	if err != nil {
		if checked || !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrDevice) {
			t.Fatalf("%s: check found %q, open says %v", name, r.Damage, err)
		}
		return true
	}
	defer j.Close()
	if !checked && j.Doubt() == "" {
		t.Fatalf("%s: open finds nothing and check %q", name, r.Damage)
	}
	got, err := j.Range(j.First()-1, 1000, 1<<20)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%s: entry %d is not what was written", name, i)
		}
	}
	if checked && len(got) != len(want) {
		t.Fatalf("%s: %d entries of %d", name, len(got), len(want))
	}
	fill(t, j, 5)
	last := j.Head().Seq
	j.Close()
	whole(t, dir, r.First, last)
	return !checked
}

// FuzzInspect gives the page reader files that no test thought of.
func FuzzInspect(f *testing.F) {
	dir := f.TempDir()
	j, err := Open(dir, Options{Device: device})
	if err != nil {
		f.Fatal(err)
	}
	fill(f, j, 30)
	j.Close()
	file, err := os.ReadFile(filepath.Join(dir, fileName))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(file[:12*pageSize], 0, byte(0))
	f.Add(file[:4*pageSize], 4200, byte(1))
	f.Fuzz(func(t *testing.T, b []byte, at int, v byte) {
		if at >= 0 && at < len(b) {
			b[at] = v
		}
		r := bytes.NewReader(b)
		m, _, err := openImage(r, int64(len(b)))
		if err != nil {
			return
		}
		var found finding
		if m.find(&found) == nil && m.account() == nil && found.agree() == nil && found.entries > 0 && found.Head.Seq == 0 {
			t.Error("entries without a head")
		}
	})
}
