package claim

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Keys returns the names under which the same person is recognised again at one venue. A remembered
// declaration is found when any key matches, so a key must never belong to two people, and must not tie
// together what the person did not show together:
//
//   - "qid:…" alone for a unified personal code: it hides most of the card's number by default, and the venue
//     is not to learn whose card it is.
//   - "id:…" for a card's full number, and "tail:NAME|YEAR|LAST4", because a declaration carries no more of
//     the number than its tail: with it the bare card is recognised after the declaration.
//   - "bhyt:…" alone for an insurance card: its numbers are another space, whose tails say nothing about a card's.
//   - "proof:NAME|BIRTH" for an authority's certificate, which has no number: the whole date, or none.
//   - "slip:…" for somebody with a paper slip and no card, else the card's keys for what the guard wrote down.
//   - for a declaration its qid where it carries one, else the tail.
func (c Claims) Keys() []string {
	p := c.Person
	switch {
	case c.Reason != "":
		return nil
	case c.Family == Personal || c.Family == HD1 && p.QID != "":
		return keys("qid:", p.QID)
	case c.Family == BHYT:
		return keys("bhyt:", p.Number)
	case c.Family == Paper && p.Number == "":
		return keys("slip:", p.Slip)
	case c.Family == CCCD || c.Family == Paper:
		return append(keys("id:", p.Number), p.tailKey()...)
	case c.Family == HC1 || c.Family == SHC:
		return keys("proof:", proofKey(p))
	case c.Family == HD1:
		return p.tailKey()
	}
	return nil
}

func keys(prefix, value string) []string {
	if value == "" {
		return nil
	}
	return []string{prefix + value}
}

// proofKey is a name and a whole date of birth: the least by which a code without a number tells two people apart.
func proofKey(p Person) string {
	if p.Name == "" || len(p.Birth) != len("2006-01-02") {
		return ""
	}
	return Fold(p.Name) + "|" + p.Birth
}

func (p Person) tailKey() []string {
	tail := p.lastDigits(4)
	if p.Name == "" || p.Year() == "" || tail == "" {
		return nil
	}
	return []string{"tail:" + Fold(p.Name) + "|" + p.Year() + "|" + tail}
}

// lastDigits returns the last n digits of the number, or "" when fewer are shown.
func (p Person) lastDigits(n int) string {
	if len(p.Number) < n || !Digits(p.Number[len(p.Number)-n:]) {
		return ""
	}
	return p.Number[len(p.Number)-n:]
}

// Short returns what the gate's screen may show: the given name, the last word of a Vietnamese name, with
// the year of birth and the number's last three digits: "Khương 75 …317". What is not known is left out.
func (p Person) Short() string {
	var parts []string
	if words := strings.Fields(p.Name); len(words) > 0 {
		parts = append(parts, given(words[len(words)-1]))
	}
	if y := p.Year(); y != "" {
		parts = append(parts, y[2:])
	}
	if tail := p.lastDigits(3); tail != "" {
		parts = append(parts, "…"+tail)
	}
	return strings.Join(parts, " ")
}

// maxGiven is the most letters of a given name that a gate's screen shows.
const maxGiven = 12

// given writes KHƯƠNG as Khương and cuts what no screen has room for.
func given(word string) string {
	letters := []rune(word)
	if word == strings.ToUpper(word) {
		letters = append(letters[:1:1], []rune(strings.ToLower(string(letters[1:])))...)
	}
	if len(letters) > maxGiven {
		letters = append(letters[:maxGiven-1:maxGiven-1], '…')
	}
	return string(letters)
}

// Fold writes a name as cards without accents do: "Trần Thị Bích Đào" becomes "TRAN THI BICH DAO".
// The letter đ has no decomposition and is folded by hand.
func Fold(name string) string {
	var b strings.Builder
	for _, r := range norm.NFD.String(strings.ToUpper(Text(name))) {
		switch {
		case unicode.Is(unicode.Mn, r):
		case r == 'Đ', r == 'Ð': // the second is Icelandic and stands in many Vietnamese texts all the same
			b.WriteByte('D')
		default:
			b.WriteRune(r)
		}
	}
	return b.String()
}

// Text returns s in NFC, with single spaces and none at its ends.
func Text(s string) string { return norm.NFC.String(strings.Join(strings.Fields(s), " ")) }

// MaxName is the most bytes of a name that any family accepts, MaxAddress of an address.
const (
	MaxName    = 128
	MaxAddress = 512
)

// Name reads a person's name: letters, with what stands between letters in names. ok is false for
// anything else, such as a number in the name's field.
func Name(s string) (name string, ok bool) {
	name = Text(s)
	if name == "" || len(name) > MaxName || !utf8.ValidString(name) {
		return "", false
	}
	letter := false
	for _, r := range name {
		switch {
		case unicode.IsLetter(r):
			letter = true
		case unicode.Is(unicode.M, r), strings.ContainsRune(" .,'’-()…", r):
		default:
			return "", false
		}
	}
	return name, letter
}

// SignedName reads a name that an authority has signed, without what no name has, as pictures: who signed it has checked it,
// and a gate shows it to nobody whole.
func SignedName(s string) (name string, ok bool) {
	return Name(strings.Map(func(r rune) rune {
		if unicode.IsLetter(r) || unicode.Is(unicode.M, r) || strings.ContainsRune(" .'’-", r) {
			return r
		}
		return ' '
	}, s))
}

// Address reads an address, which may be empty.
func Address(s string) (address string, ok bool) {
	address = Text(s)
	return address, len(address) <= MaxAddress && utf8.ValidString(address)
}
