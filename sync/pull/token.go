package pull

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"os"
	"strings"
)

const minToken = 16 // characters; a shorter one could be guessed

// Tokens are the words that open a log. They are kept as hashes.
type Tokens [][sha256.Size]byte

// ReadTokens reads a file with one token a line. Empty lines and lines that begin with # are left out.
func ReadTokens(path string) (Tokens, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read tokens: %w", err)
	}
	var t Tokens
	for i, s := range strings.Split(strings.TrimPrefix(string(raw), "\ufeff"), "\n") {
		if s = strings.TrimSpace(s); s == "" || s[0] == '#' {
			continue
		}
		if len(s) < minToken {
			return nil, fmt.Errorf("read tokens: %s:%d: a token has at least %d characters", path, i+1, minToken)
		}
		t = append(t, sha256.Sum256([]byte(s)))
	}
	if len(t) == 0 {
		return nil, fmt.Errorf("read tokens: %s holds none", path)
	}
	return t, nil
}

// Has tells whether token is one of t, in a time that does not depend on which.
func (t Tokens) Has(token string) bool {
	sum, found := sha256.Sum256([]byte(token)), 0
	for _, known := range t {
		found |= subtle.ConstantTimeCompare(sum[:], known[:])
	}
	return found == 1
}
