package kiosk

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/scanner/credential"
	"gatepost/storage/entry"
	"gatepost/storage/memory"
)

// thief copies everything that the card of the gate holds at that moment.
func (b *bench) thief() (dir string) {
	b.t.Helper()
	dir = b.t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(b.dir)); err != nil {
		b.t.Fatal(err)
	}
	return dir
}

// guess tries every number from 0 to 999 at the end of cardA's against the tags of the journal, by what the stolen memory can
// compute at a time that the thief chooses, and returns how many passages it ties to a person.
func (b *bench) guess(stolen string, at time.Time, tags [][]byte) (tied int) {
	b.t.Helper()
	m, err := memory.Open(filepath.Join(stolen, "memory"), morning.Location(), at, rand.Reader)
	if err != nil {
		b.t.Fatal(err)
	}
	defer m.Close()
	for n := range 1000 {
		text := cardA[:9] + fmt.Sprintf("%03d", n) + cardA[12:]
		tag := m.Tag(credential.Parse(text, credential.Trust{}).Keys(), at)
		for _, t := range tags {
			if bytes.Equal(t, tag) {
				tied++
			}
		}
	}
	return tied
}

// Who steals the card can test guesses against the tags of the day, and against those of no day before: yesterday's key is gone
// from everything that the card holds, whatever time the thief's clock shows.
func TestWhatAThiefCanGuess(t *testing.T) {
	b := newBench(t)
	b.show(cardA)
	var tags [][]byte
	for e, err := range b.Journal.Last(100) {
		if err != nil {
			t.Fatal(err)
		}
		if p, err := entry.Decode[entry.Passage](e); err == nil && len(p.Tag) > 0 {
			tags = append(tags, p.Tag)
		}
	}
	if len(tags) != 1 {
		t.Fatalf("%d passages with a tag", len(tags))
	}
	if tied := b.guess(b.thief(), b.now, tags); tied != 1 {
		t.Errorf("on the same day %d passages are tied to a person: the guesses are none", tied)
	}
	first := b.now
	b.pass(24 * time.Hour)
	b.show(cardB) // the day has turned at the gate
	stolen := b.thief()
	for name, at := range map[string]time.Time{"the day itself": b.now, "the day before": first, "a year before": first.AddDate(-1, 0, 0)} {
		copied := t.TempDir()
		if err := os.CopyFS(copied, os.DirFS(stolen)); err != nil {
			t.Fatal(err)
		}
		if tied := b.guess(copied, at, tags); tied != 0 {
			t.Errorf("by a clock that shows %s, %d of yesterday's passages are tied to a person", name, tied)
		}
	}
}
