package roster

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"
)

func TestRoster(t *testing.T) {
	var keys []string
	for i := range 40 {
		keys = append(keys, fmt.Sprintf("id:%012d", i*7))
	}
	told := 0
	raw, err := Build(slices.Concat(keys, keys[:3]), func() error { told++; return nil })
	if err != nil || told != len(keys) {
		t.Fatalf("%v, told of %d", err, told)
	}
	r, err := Parse(raw)
	if err != nil || r.Len() != len(keys) {
		t.Fatalf("%v, %d keys", err, r.Len())
	}
	for i := range 40 * 7 {
		key := fmt.Sprintf("id:%012d", i)
		if r.Has([]string{key}) != (i%7 == 0) {
			t.Errorf("%s: %v", key, i%7 != 0)
		}
	}
	if r.Has([]string{"id:1", keys[0]}) {
		t.Error("a second key counts")
	}
	if r.Has(nil) || (Roster{}).Has(keys) {
		t.Error("nobody is on the roster, or somebody on none")
	}
	if strings.Contains(string(raw), "0000000") {
		t.Error("a number can be read")
	}
	over := errors.New("over")
	if _, err := Build(keys, func() error { return over }); !errors.Is(err, over) {
		t.Errorf("called off: %v", err)
	}
	again, err := Build(keys, nil)
	if err != nil || string(again) == string(raw) {
		t.Errorf("the salt is the same: %v", err)
	}
}

// The hash, as other programs compute it: Python's hashlib.pbkdf2_hmac("sha256", b"id:012345678912", bytes(16), 10000, 8).
func TestHash(t *testing.T) {
	r := Roster{salt: make([]byte, saltSize), rounds: Rounds}
	h, err := r.hash("id:012345678912")
	if got := fmt.Sprintf("%x", h); err != nil || got != "687f75d12ba94475" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	salt, hashes := make([]byte, saltSize), []byte("aaaaaaaabbbbbbbb")
	good := file{Version: version, Salt: salt, Rounds: 1, Hashes: hashes}
	for want, change := range map[string]func(*file){
		"version 2":    func(f *file) { f.Version = 2 },
		"salt of 3":    func(f *file) { f.Salt = salt[:3] },
		"0 rounds":     func(f *file) { f.Rounds = 0 },
		"100001 round": func(f *file) { f.Rounds = maxRounds + 1 },
		"15 bytes":     func(f *file) { f.Hashes = hashes[:15] },
		"0 bytes":      func(f *file) { f.Hashes = nil },
		"ascend":       func(f *file) { f.Hashes = []byte("bbbbbbbbaaaaaaaa") },
		"256008 bytes": func(f *file) { f.Hashes = make([]byte, hashSize*(MaxKeys+1)) },
	} {
		f := good
		change(&f)
		raw, err := cbor.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Parse(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := Parse([]byte("name,number\n")); err == nil {
		t.Error("a table is a roster")
	}
	for _, n := range []int{0, MaxKeys + 1} {
		keys := make([]string, n)
		for i := range keys {
			keys[i] = fmt.Sprint(i)
		}
		if _, err := Build(keys, nil); err == nil {
			t.Errorf("%d keys make a roster", n)
		}
	}
}

func FuzzParse(f *testing.F) {
	raw, err := cbor.Marshal(file{Version: version, Salt: make([]byte, saltSize), Rounds: 1, Hashes: []byte("aaaaaaaabbbbbbbb")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		r, err := Parse(raw)
		if err != nil {
			return
		}
		if r.Len() == 0 || r.rounds <= 2 && r.Has([]string{"x"}) && r.Has([]string{"y"}) && r.Has([]string{"z"}) {
			t.Error("a roster of everybody, or nobody")
		}
	})
}
