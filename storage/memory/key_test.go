package memory

import (
	"bytes"
	"os"
	"slices"
	"testing"
	"time"
)

// Under a key of zeros, which a power cut or destroy can leave, everybody can compute what is made: it is none.
func TestZerosAreNoKey(t *testing.T) {
	zeros := make([]byte, dayKeySize)
	for name, c := range map[string]struct {
		before []byte
		stays  bool // the good key, which is behind
	}{
		"all":                {zeros, false},
		"a time before them": {append([]byte{0, 0, 1, 2, 3, 4, 5, 6}, zeros[8:]...), false},
		"a hole":             {zeros, true},
	} {
		m := open(t, t.TempDir(), noon)
		tag, file := m.Tag(card, noon), c.before
		if c.stays {
			file = slices.Concat(file, m.today.all[0])
		}
		if err := os.WriteFile(m.path("day", m.today.date, "key"), file, 0o600); err != nil {
			t.Fatal(err)
		}
		m = again(t, m, noon)
		got, none := m.Tag(card, noon), tagUnder(zeros, card[0])
		if bytes.Equal(got, none[:]) || bytes.Equal(got, tag) != c.stays {
			t.Errorf("%s: tag %x, was %x", name, got, tag)
		}
		if slices.ContainsFunc(m.today.all, func(k []byte) bool { return wiped(k[8:]) }) {
			t.Errorf("%s: who passed is looked for under zeros", name)
		}
	}
	m := open(t, t.TempDir(), noon)
	declare(t, m, card, noon.Add(time.Hour), noon)
	if err := os.WriteFile(m.path("remember", "2026-11-23", "key"), make([]byte, keySize), 0o600); err != nil {
		t.Fatal(err)
	}
	if m = again(t, m, noon); len(m.days) > 0 {
		t.Error("declarations are kept under zeros")
	}
}

// A first key that could not be written goes to the disk with the next one.
func TestKeyThatWasNotWritten(t *testing.T) {
	a, b, tomorrow := open(t, t.TempDir(), noon), open(t, t.TempDir(), noon), noon.AddDate(0, 0, 1)
	path := a.path("day", "2026-11-24", "key")
	if err := os.Mkdir(path, 0o700); err != nil { // root may write everywhere else
		t.Fatal(err)
	}
	a.Tag(card, tomorrow)
	if len(a.Losses()) == 0 {
		t.Fatal("the key was written")
	}
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	s, err := b.Share(a.Have(tomorrow), tomorrow)
	if err != nil {
		t.Fatal(err)
	}
	if news, err := a.Take(s, tomorrow); !news || err != nil {
		t.Fatal(news, err)
	}
	tag := a.Tag(card, tomorrow)
	if a = again(t, a, tomorrow); len(a.today.all) != 2 || !bytes.Equal(a.Tag(card, tomorrow), tag) {
		t.Errorf("%d keys after a restart, want 2", len(a.today.all))
	}
}
