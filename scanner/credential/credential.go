// Package credential turns the text of a code into claims about a person.
//
// It is pure: trust comes as an argument, and whether a declaration is fresh is not decided here, for that
// takes a clock. It never fails: any text gives claims, and claims that cannot be used say why. It does not
// promise that a claim is true unless it is Verified: most codes that people carry prove nothing.
//
// Each family of codes has a folder of its own below this one.
package credential

import (
	"fmt"
	"unicode/utf8"

	"gatepost/scanner/credential/bhyt"
	"gatepost/scanner/credential/cccd"
	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/hc1"
	"gatepost/scanner/credential/hd1"
	"gatepost/scanner/credential/known"
	"gatepost/scanner/credential/personal"
	"gatepost/scanner/credential/shc"
	"gatepost/scanner/credential/venue"
	"gatepost/storage/entry"
)

// What a code says; see package claim.
type (
	Claims      = claim.Claims
	Declaration = claim.Declaration
	Proof       = claim.Proof
	Issuer      = claim.Issuer
	Family      = claim.Family
	Person      = claim.Person
	Trust       = claim.Trust
)

// The families.
const (
	CCCD     = claim.CCCD
	Personal = claim.Personal
	BHYT     = claim.BHYT
	Venue    = claim.Venue
	HD1      = claim.HD1
	HC1      = claim.HC1
	SHC      = claim.SHC
	Paper    = claim.Paper
	Known    = claim.Known
	Unknown  = claim.Unknown
)

// Families lists those that can name a person: what a policy may take.
func Families() []Family { return claim.Families() }

// MaxText is the most bytes that a code is read of: a version-40 code's most alphanumeric characters.
const MaxText = 4296

// Parse returns what text claims.
func Parse(text string, trust Trust) Claims {
	if len(text) > MaxText {
		return claim.Not(Unknown, entry.ReasonUnknown, fmt.Sprintf("longer than %d bytes", MaxText))
	}
	for _, parse := range []func(string, Trust) (Claims, bool){hd1.Parse, hc1.Parse, shc.Parse} {
		if c, ok := parse(text, trust); ok {
			return c
		}
	}
	for _, parse := range []func(string) (Claims, bool){venue.Parse, known.Parse} {
		if c, ok := parse(text); ok {
			return c
		}
	}
	if binary(text) {
		return claim.Not(Unknown, entry.ReasonUnknown, "binary")
	}
	for _, parse := range []func(string) (Claims, bool){personal.Parse, cccd.Parse, bhyt.Parse} {
		if c, ok := parse(text); ok {
			return c
		}
	}
	detail := "no known kind of code"
	if text == "" {
		detail = "empty"
	}
	return claim.Not(Unknown, entry.ReasonUnknown, detail)
}

// binary reports whether text holds what no printed text does.
func binary(text string) bool {
	for _, r := range text {
		if r < ' ' && r != '\n' && r != '\r' && r != '\t' || r == utf8.RuneError {
			return true
		}
	}
	return false
}
