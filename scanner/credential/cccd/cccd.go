// Package cccd reads the code of Vietnam's citizen card (CCCD) and of the identity card (căn cước) that
// followed it on 1 July 2024:
//
//	number|old number or empty|name|ddmmyyyy|Nam or Nữ|address|ddmmyyyy of issue
//
// The identity card adds fields, which may name relatives: they are dropped unread. A form with six fields,
// without the old number, is of doubtful origin: it is read and flagged. Nothing in the code is signed (the
// card's signature is in its chip), so it proves nothing.
package cccd

import (
	"strings"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// Parse returns what text claims; ok is false when it is no card's code at all. A text that begins like one
// and is broken further on is a malformed one.
func Parse(text string) (c claim.Claims, ok bool) {
	f := strings.Split(text, "|")
	if !looks(f) {
		return c, false
	}
	doubtful := len(f) == 6
	if doubtful {
		f = append([]string{f[0], ""}, f[1:]...)
	}
	person, fault := read(f)
	if fault != "" {
		return claim.Not(claim.CCCD, entry.ReasonMalformed, fault), true
	}
	return claim.Claims{Family: claim.CCCD, Doubtful: doubtful, Person: person}, true
}

// looks tells a card's code by its number, or by the sex in its place.
func looks(f []string) bool {
	if len(f) < 2 {
		return false
	}
	if number := strings.TrimSpace(f[0]); len(number) == 12 && claim.Digits(number) {
		return true
	}
	return len(f) >= 7 && sex(f[4]) != "" || len(f) == 6 && sex(f[3]) != ""
}

// read takes the seven fields of a card; fault says which one is wrong.
func read(f []string) (p claim.Person, fault string) {
	if len(f) < 7 {
		return p, "too few fields"
	}
	for i := range f[:7] {
		f[i] = strings.TrimSpace(f[i])
	}
	var ok bool
	if p.Number = f[0]; len(p.Number) != 12 || !claim.Digits(p.Number) {
		return p, "the number is not 12 digits"
	}
	if f[1] != "" && (!claim.Digits(f[1]) || len(f[1]) != 9 && len(f[1]) != 12) {
		return p, "the old number is not 9 or 12 digits"
	}
	if p.Name, ok = claim.Name(f[2]); !ok {
		return p, "no name in its place"
	}
	if p.Birth, ok = claim.Birth("02012006", f[3]); !ok {
		return p, "no date of birth in its place"
	}
	if p.Sex = sex(f[4]); p.Sex == "" {
		return p, "no sex in its place"
	}
	if p.Address, ok = claim.Address(f[5]); !ok {
		return p, "the address is too long"
	}
	if _, ok = claim.Date("02012006", f[6]); !ok {
		return p, "no date of issue in its place"
	}
	return p, ""
}

func sex(s string) string {
	switch claim.Fold(s) {
	case "NAM":
		return "male"
	case "NU":
		return "female"
	}
	return ""
}
