package pull

import (
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"fmt"
	"os"
	"slices"
	"strings"

	"gatepost/sync/wire"
)

const minToken = 16 // characters; a shorter one could be guessed

// Tokens are the words that open a log.
type Tokens []Token

// A Token opens a log, or the part of it that comes from some areas. The word is kept as a hash.
type Token struct {
	sum   [sha256.Size]byte
	areas []string // none: all
}

// ReadTokens reads a file with one token a line, and behind it, divided by commas, the areas to which it is limited:
// "TOKEN Quang Minh, Mê Linh". Empty lines and lines that begin with # are left out.
func ReadTokens(path string) (Tokens, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	var all Tokens
	for i, line := range strings.Split(strings.TrimPrefix(string(raw), "\ufeff"), "\n") {
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		t, err := parseToken(line)
		if err == nil && slices.ContainsFunc(all, func(other Token) bool { return other.sum == t.sum }) {
			err = fmt.Errorf("this token stands here twice")
		}
		if err != nil {
			return nil, fmt.Errorf("read tokens: %s:%d: %w", path, i+1, err)
		}
		all = append(all, t)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("read tokens: %s holds none", path)
	}
	return all, nil
}

func parseToken(line string) (t Token, err error) {
	word, areas, limited := strings.Cut(strings.Replace(line, "\t", " ", 1), " ")
	if len(word) < minToken {
		return t, fmt.Errorf("a token has at least %d characters", minToken)
	}
	t.sum = sha256.Sum256([]byte(word))
	if !limited {
		return t, nil
	}
	for a := range strings.SplitSeq(areas, ",") {
		if a = strings.Trim(strings.TrimSpace(a), "/"); a == "" {
			return t, fmt.Errorf("an area behind the token is empty")
		}
		t.areas = append(t.areas, a)
	}
	return t, nil
}

// find returns the place of the token in t, or -1, in a time that does not depend on which it is.
func (t Tokens) find(word string) int {
	sum, found := sha256.Sum256([]byte(word)), -1
	for i, known := range t {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(sum[:], known.sum[:]), i, found)
	}
	return found
}

// ID is the token's fingerprint: it tells tokens apart and opens nothing.
func (t Token) ID() string { return hex.EncodeToString(t.sum[:4]) }

// everything tells whether the token is limited to no area.
func (t Token) everything() bool { return len(t.areas) == 0 }

// sees tells whether the token opens what comes from area: one of its own, or one that lies below, "Own/…".
func (t Token) sees(area string) bool {
	return t.everything() || wire.InAreas(area, t.areas)
}

// Find tells whether word is one of the tokens, and whether it opens what comes from area.
func (t Tokens) Find(word, area string) (known, sees bool) {
	i := t.find(word)
	return i >= 0, i >= 0 && t[i].sees(area)
}
