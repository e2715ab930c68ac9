// Package bhyt reads the code of Vietnam's health-insurance card (BHYT): 16 fields and "$", split by "|".
//
//	0 number: 10 digits, or 2 letters and 13 digits    8 issued
//	1 name, hexadecimal UTF-8                          9 code
//	2 birth, dd/mm/yyyy or yyyy                       10 parent's name, hexadecimal, or -
//	3 sex, 1 male, 2 female                           11 code
//	4 address, hexadecimal, or -                      12 five-year date after a space, or -
//	5 where it is used                                13 check string
//	6 valid from                                      14 code
//	7 valid to, or -                                  15 office, hexadecimal
//
// Cards are no longer printed since June 2025 and still in pockets. Nothing is signed by a published scheme,
// so the code proves nothing. Fields that name other people are dropped.
package bhyt

import (
	"encoding/hex"
	"strings"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

const fields = 16

// Parse returns what text claims; ok is false when it is no insurance card's code at all.
func Parse(text string) (c claim.Claims, ok bool) {
	f := strings.Split(text, "|")
	ends := f[len(f)-1] == "$"
	if !(ends && len(f) == fields+1) && !(number(f[0]) && (ends || len(f) >= fields)) {
		return c, false
	}
	person, fault := read(f)
	if fault != "" {
		return claim.Not(claim.BHYT, entry.ReasonMalformed, fault), true
	}
	return claim.Claims{Family: claim.BHYT, Person: person}, true
}

func read(f []string) (p claim.Person, fault string) {
	if len(f) != fields+1 || f[fields] != "$" {
		return p, "not 16 fields and a dollar sign"
	}
	var ok bool
	if p.Number = f[0]; !number(p.Number) {
		return p, "the number is neither 10 digits nor 2 letters and 13 digits"
	}
	if p.Name, ok = claim.Name(unhex(f[1])); !ok {
		return p, "no name in its place"
	}
	if p.Birth, ok = claim.Birth("02/01/2006", f[2]); !ok {
		return p, "no date of birth in its place"
	}
	switch f[3] {
	case "1":
		p.Sex = "male"
	case "2":
		p.Sex = "female"
	default:
		return p, "no sex in its place"
	}
	if f[4] != "-" {
		if p.Address, ok = claim.Address(unhex(f[4])); !ok || p.Address == "" {
			return p, "no address in its place"
		}
	}
	for _, i := range []int{6, 7, 8, 12} {
		if s := strings.TrimSpace(f[i]); s != "-" && s != "" {
			if _, ok := claim.Date("02/01/2006", s); !ok {
				return p, "a date that no calendar has"
			}
		}
	}
	return p, ""
}

func number(s string) bool {
	switch len(s) {
	case 10:
		return claim.Digits(s)
	case 15:
		return letter(s[0]) && letter(s[1]) && claim.Digits(s[2:])
	}
	return false
}

func letter(c byte) bool { return c >= 'A' && c <= 'Z' }

// unhex returns the text, or "" when s is not hexadecimal.
func unhex(s string) string {
	b, err := hex.DecodeString(s)
	if err != nil {
		return ""
	}
	return string(b)
}
