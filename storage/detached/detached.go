// Package detached signs a file by another one beside it, which holds base64 of an Ed25519 signature and a line feed. The
// signature is over a context, which ends with a line feed, and the file's bytes: what is signed for one use serves no other.
package detached

import (
	"crypto/ed25519"
	"encoding/base64"
	"slices"
	"strings"
)

// Sign returns the content of the file beside.
func Sign(key ed25519.PrivateKey, context string, text []byte) []byte {
	sig := ed25519.Sign(key, slices.Concat([]byte(context), text))
	return append(base64.StdEncoding.AppendEncode(nil, sig), '\n')
}

// Verify reports whether signature is what Sign wrote, whatever stands around it of spaces and line ends. A key of another
// size has signed nothing.
func Verify(key ed25519.PublicKey, context string, text, signature []byte) bool {
	sig, err := base64.StdEncoding.DecodeString(strings.TrimSpace(string(signature)))
	return err == nil && len(key) == ed25519.PublicKeySize && ed25519.Verify(key, slices.Concat([]byte(context), text), sig)
}
