package kiosk

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/scanner/credential"
	"gatepost/storage/entry"
)

// guess reports whether a thief who has guessed the card that a tag is of can see that the guess is right: by any 32 bytes of any
// file of the gate as the tag's key.
func (b *bench) guess(card string, tag []byte) (right bool) {
	b.t.Helper()
	text := append([]byte("gatepost/tag/1\x00"), credential.Parse(card, credential.Trust{}).Keys()[0]...)
	windows := 0
	err := filepath.WalkDir(b.dir, func(path string, e fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // the journal's next file, which has its name by now
		}
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		raw, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		for i := range max(0, len(raw)-sha256.Size+1) {
			key := raw[i : i+sha256.Size]
			if key[0] == 0 && bytes.Count(key, []byte{0}) > 16 {
				continue // an empty page, and no random key
			}
			windows++
			h := hmac.New(sha256.New, key)
			h.Write(text)
			right = right || bytes.Equal(h.Sum(nil)[:len(tag)], tag)
		}
		return err
	})
	if err != nil || windows < 100 {
		b.t.Fatalf("%d keys tried, %v", windows, err)
	}
	return right
}

// Who steals the card can test guesses against the tags of the day, and against those of no day before: what has made them is
// nowhere on it any more.
func TestWhatAThiefCanGuess(t *testing.T) {
	b := newBench(t)
	b.show(cardA)
	var tag []byte
	for e, err := range b.Journal.Last(1) {
		if err != nil {
			t.Fatal(err)
		}
		p, err := entry.Decode[entry.Passage](e)
		if tag = p.Tag; err != nil || len(tag) == 0 {
			t.Fatalf("no tag, %v", err)
		}
	}
	if !b.guess(cardA, tag) {
		t.Error("on the same day the right guess is not known to be: the thief is none")
	}
	if b.guess(cardB, tag) {
		t.Error("a wrong guess is right")
	}
	b.pass(24 * time.Hour)
	b.show(cardB) // by this the day has turned at the gate
	if b.guess(cardA, tag) {
		t.Error("on the next day a guess at yesterday's passage can be tested")
	}
}
