// Package paper makes claims of what a guard writes down for somebody who has no code: a card that the camera cannot read,
// or a paper slip. Nothing of it is proven; the answers to the questions are what the gate goes by.
package paper

import (
	"errors"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"gatepost/scanner/credential/claim"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName = 120 // bytes
	maxSlip = 20  // characters
)

// ErrNobody means that neither a name nor a number says who it is.
var ErrNobody = errors.New("neither a name nor a number is written")

// Write returns the claims of p as a guard put them in, with spaces around and letters in any composition. Birth may also
// be dd/mm/yyyy. Its errors are fit for the guard's eyes and show nothing of p.
func Write(p claim.Person) (claim.Claims, error) {
	p.Name = strings.Join(strings.Fields(norm.NFC.String(p.Name)), " ")
	p.Birth, p.Slip = strings.TrimSpace(p.Birth), strings.ToUpper(strings.TrimSpace(p.Slip))
	p.Number = strings.ReplaceAll(strings.TrimSpace(p.Number), " ", "")
	p = claim.Person{Name: p.Name, Birth: p.Birth, Number: p.Number, Slip: p.Slip}
	var faults []error
	if p.Name == "" && p.Number == "" && p.Slip == "" {
		faults = append(faults, ErrNobody)
	}
	if len(p.Name) > maxName || !utf8.ValidString(p.Name) || strings.ContainsFunc(p.Name, func(r rune) bool { return !unicode.IsPrint(r) }) {
		faults = append(faults, errors.New("the name is too long, or not a text"))
	}
	if p.Birth != "" {
		layout := "02/01/2006"
		if strings.Contains(p.Birth, "-") {
			layout = time.DateOnly
		}
		birth, ok := claim.Birth(layout, p.Birth)
		if p.Birth = birth; !ok {
			faults = append(faults, errors.New("the birth is neither a year nor dd/mm/yyyy"))
		}
	}
	if p.Number != "" && (!claim.Digits(p.Number) || len(p.Number) != 9 && len(p.Number) != 12) {
		faults = append(faults, errors.New("a card's number has 9 or 12 digits"))
	}
	if len(p.Slip) > maxSlip || strings.ContainsFunc(p.Slip, func(r rune) bool { return !(r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r == '-' || r == '/') }) {
		faults = append(faults, errors.New("a slip's number has at most 20 letters, digits, - and /"))
	}
	if len(faults) > 0 {
		return claim.Claims{}, errors.Join(faults...)
	}
	return claim.Claims{Family: claim.Paper, Person: p}, nil
}
