// Package personal reads the unified personal code of 2021's apps, still shown by some today, after guideline
// v1.1 of the Ministry of Information and Communications (Decision 1405/QD-BTTTT, 11 September 2021):
//
//	SoGiayTo|HoTen|NgaySinh|LoaiDinhDanh|QID|EXT
//
// EXT is split by "<": proxy's QID, sex (0 unknown, 1 male, 2 female), insurance number, phone, and a
// signature with no published scheme. Of EXT only the sex is kept. The apps star the first six characters of
// the number and the day and month of birth, so the QID is what tells people apart. The code is fixed for
// each person: a picture of it works for ever, and it proves nothing.
package personal

import (
	"strings"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// Parse returns what text claims; ok is false when it is no personal code at all.
func Parse(text string) (c claim.Claims, ok bool) {
	f := strings.Split(text, "|")
	if len(f) != 6 && len(f) != 5 || f[3] != "0" && f[3] != "1" {
		return c, false
	}
	person, fault := read(f)
	if fault != "" {
		return claim.Not(claim.Personal, entry.ReasonMalformed, fault), true
	}
	return claim.Claims{Family: claim.Personal, Person: person}, true
}

func read(f []string) (p claim.Person, fault string) {
	var ok bool
	if p.Number = strings.TrimSpace(f[0]); !number(p.Number) {
		return p, "the number has characters that no card's has"
	}
	if p.Name, ok = claim.Name(f[1]); !ok {
		return p, "no name in its place"
	}
	if p.Birth, ok = birth(f[2]); !ok {
		return p, "no date of birth in its place"
	}
	if p.QID = strings.TrimSpace(f[4]); len(p.QID) < 6 || len(p.QID) > 32 || !claim.Digits(p.QID) {
		return p, "the QID is not 6 to 32 digits"
	}
	if len(f) == 6 {
		p.Sex = sex(f[5])
	}
	return p, ""
}

// number accepts what passports and cards carry, with stars for what the app hides; it may be empty.
func number(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && c != '*' {
			return false
		}
	}
	return len(s) <= 20
}

// birth reads yyyy-mm-dd, of which day and month may be stars.
func birth(s string) (string, bool) {
	if year, rest, _ := strings.Cut(s, "-"); rest == "**-**" {
		s = year
	}
	return claim.Birth("2006-01-02", s)
}

func sex(ext string) string {
	f := strings.Split(ext, "<")
	switch {
	case len(f) > 1 && f[1] == "1":
		return "male"
	case len(f) > 1 && f[1] == "2":
		return "female"
	}
	return ""
}
