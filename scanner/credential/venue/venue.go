// Package venue knows the printed code of a place from 2021: a web address and the place's code. It names a
// place and no person, and the guard should hear just that.
package venue

import (
	_ "embed"
	"strings"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

//go:embed venue.txt
var addresses string // how such codes begin, one a line

// Parse returns what text claims; ok is false when it is no place's code.
func Parse(text string) (c claim.Claims, ok bool) {
	for address := range strings.Lines(addresses) {
		if begins(text, strings.TrimSpace(address)) {
			return claim.Not(claim.Venue, entry.ReasonNotPerson, "the code of a place"), true
		}
	}
	return c, false
}

func begins(text, prefix string) bool {
	return len(text) >= len(prefix) && strings.EqualFold(text[:len(prefix)], prefix)
}
