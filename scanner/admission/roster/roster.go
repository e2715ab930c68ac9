// Package roster holds a list of people, such as those who are expected today, by salted hashes of the keys under which
// package credential recognises them: whoever finds the list can test a guess against it, slowly, and read nobody.
//
// A roster is CBOR, an array of version (1), salt, rounds and hashes: each the first 8 bytes of PBKDF2-HMAC-SHA256 (RFC 8018)
// of a key, ascending, one behind the other.
package roster

import (
	"bytes"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"sort"

	"github.com/fxamacker/cbor/v2"
)

const (
	version  = 1
	hashSize = 8  // bytes: of 30,000 hashes none is somebody else's by accident
	saltSize = 16 // bytes

	// Rounds is what Build takes: a few milliseconds of a small computer for each look-up.
	Rounds    = 10_000
	maxRounds = 100_000

	// MaxKeys is the most keys of a roster: what fits into an order.
	MaxKeys = 32_000
)

// A Roster is safe for concurrent use. The zero Roster has nobody.
type Roster struct {
	salt   []byte
	rounds int
	hashes []byte
}

// file is the CBOR of a Roster.
type file struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	Salt    []byte
	Rounds  int
	Hashes  []byte
}

// Build returns the bytes of a roster with these keys, under a new salt. each, which may be nil, is called before every key, and
// its error ends the work.
func Build(keys []string, each func() error) ([]byte, error) {
	keys = slices.Compact(slices.Sorted(slices.Values(keys)))
	if len(keys) == 0 || len(keys) > MaxKeys {
		return nil, fmt.Errorf("roster: %d keys, where 1 to %d are wanted: split the list", len(keys), MaxKeys)
	}
	r := Roster{salt: make([]byte, saltSize), rounds: Rounds}
	rand.Read(r.salt) // never fails
	hashes := make([][]byte, len(keys))
	for i, key := range keys {
		if each != nil {
			if err := each(); err != nil {
				return nil, err
			}
		}
		var err error
		if hashes[i], err = r.hash(key); err != nil {
			return nil, fmt.Errorf("roster: %w", err)
		}
	}
	slices.SortFunc(hashes, bytes.Compare)
	hashes = slices.CompactFunc(hashes, bytes.Equal)
	return cbor.Marshal(file{Version: version, Salt: r.salt, Rounds: r.rounds, Hashes: slices.Concat(hashes...)})
}

// Parse reads a roster.
func Parse(raw []byte) (Roster, error) {
	var f file
	if err := cbor.Unmarshal(raw, &f); err != nil {
		return Roster{}, errors.New("roster: not one: make it with \"gatectl roster build\"")
	}
	n := len(f.Hashes) / hashSize
	switch {
	case f.Version != version:
		return Roster{}, fmt.Errorf("roster: version %d, where this program knows %d", f.Version, version)
	case len(f.Salt) != saltSize || f.Rounds < 1 || f.Rounds > maxRounds:
		return Roster{}, fmt.Errorf("roster: a salt of %d bytes and %d rounds, where %d and 1 to %d are wanted", len(f.Salt), f.Rounds, saltSize, maxRounds)
	case len(f.Hashes)%hashSize != 0 || n == 0 || n > MaxKeys:
		return Roster{}, fmt.Errorf("roster: %d bytes of hashes, where 1 to %d times %d are wanted", len(f.Hashes), MaxKeys, hashSize)
	}
	r := Roster{f.Salt, f.Rounds, f.Hashes}
	for i := 1; i < n; i++ {
		if bytes.Compare(r.at(i-1), r.at(i)) >= 0 {
			return Roster{}, errors.New("roster: the hashes do not ascend")
		}
	}
	return r, nil
}

// Len returns how many keys are on the roster.
func (r Roster) Len() int { return len(r.hashes) / hashSize }

// Has reports whether a person is on the roster. Of the person's keys only the first counts: it is theirs alone, where a later
// one may be a namesake's.
func (r Roster) Has(keys []string) bool {
	if len(keys) == 0 || r.Len() == 0 {
		return false
	}
	h, err := r.hash(keys[0])
	if err != nil {
		return false // of what Parse let through none does
	}
	i := sort.Search(r.Len(), func(i int) bool { return bytes.Compare(r.at(i), h) >= 0 })
	return i < r.Len() && bytes.Equal(r.at(i), h)
}

func (r Roster) at(i int) []byte { return r.hashes[i*hashSize : (i+1)*hashSize] }

func (r Roster) hash(key string) ([]byte, error) {
	return pbkdf2.Key(sha256.New, key, r.salt, r.rounds, hashSize)
}

// A Set is the rosters of a gate, by name.
type Set map[string]Roster

// Of returns which of the named rosters have a person.
func (s Set) Of(keys []string, names ...string) (with []string) {
	for _, name := range names {
		if s[name].Has(keys) {
			with = append(with, name)
		}
	}
	return with
}
