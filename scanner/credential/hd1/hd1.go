// Package hd1 issues and reads the signed declaration of this project:
//
//	"HD1:" + base45(zlib(COSE_Sign1(CWT claims)))
//
// The signature is Ed25519 (COSE algorithm -8). The protected header carries the kid: the first 8 bytes of
// the SHA-256 of the declarer's public key. The claims are 4 (expires) and 6 (issued) of RFC 8392 and the
// private claim -65537, the first that RFC 8392 leaves to private use, a map:
//
//	1  form, "ID/VERSION"                        5  QID, if the person showed one
//	2  answers by question id: true or false,    6  the last digits of the person's card
//	   whole numbers, short texts                7  who declared, if another than the person
//	3  name                                      8  plate, where the form asks for one
//	4  year of birth
//
// 5 and 6 are whole numbers where no leading zero is lost, else texts. An unknown key is dropped unread.
//
// A declaration fits a version-10-M code. A name that is too long for that loses its accents first, which
// keys of the person do not mind, and is then cut with "…".
//
// Whether a declaration is fresh, and what its answers mean, is not decided here.
package hd1

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"
	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

const (
	// Prefix begins every code of this family.
	Prefix = "HD1:"
	// MaxText is the most characters of one: a version-10-M code's, alphanumeric.
	MaxText = 311

	maxAnswers = 32
	maxShort   = 64 // bytes of a text that is not a name
	maxNumber  = 1_000_000_000
	kidSize    = 8
)

// payload is the CWT claims map.
type payload struct {
	Expires int64 `cbor:"4,keyasint"`
	Issued  int64 `cbor:"6,keyasint"`
	Body    body  `cbor:"-65537,keyasint"`
}

type body struct {
	Form     string         `cbor:"1,keyasint"`
	Answers  map[string]any `cbor:"2,keyasint"`
	Name     string         `cbor:"3,keyasint"`
	Year     int            `cbor:"4,keyasint"`
	QID      digits         `cbor:"5,keyasint,omitempty"`
	Tail     digits         `cbor:"6,keyasint,omitempty"`
	Declarer string         `cbor:"7,keyasint,omitempty"`
	Plate    string         `cbor:"8,keyasint,omitempty"`
}

// digits is a text of digits that is written as a number where no leading zero is lost: half the bytes.
type digits string

func (d digits) MarshalCBOR() ([]byte, error) {
	if n, err := strconv.ParseUint(string(d), 10, 64); err == nil && strconv.FormatUint(n, 10) == string(d) {
		return cbor.Marshal(n)
	}
	return cbor.Marshal(string(d))
}

func (d *digits) UnmarshalCBOR(b []byte) error {
	var n uint64
	if cbor.Unmarshal(b, &n) == nil {
		*d = digits(strconv.FormatUint(n, 10))
		return nil
	}
	return cbor.Unmarshal(b, (*string)(d))
}

// Parse returns what text claims; ok is false when it does not begin as a declaration. The claims name the
// person only when a trusted declarer's signature covers them.
func Parse(text string, trust claim.Trust) (c claim.Claims, ok bool) {
	code, ok := strings.CutPrefix(text, Prefix)
	if !ok {
		return c, false
	}
	msg, detail := unwrap(code)
	if detail != "" {
		return claim.Not(claim.HD1, entry.ReasonMalformed, detail), true
	}
	if reason, detail := check(msg, trust); reason != "" {
		return claim.Not(claim.HD1, reason, detail), true
	}
	c, err := read(msg.Payload)
	if err != nil {
		return claim.Not(claim.HD1, entry.ReasonMalformed, err.Error()), true
	}
	return c, true
}

// unwrap takes the wrappings off; detail says which one is broken.
func unwrap(code string) (msg *cose.Sign1Message, detail string) {
	if len(code)+len(Prefix) > 2*MaxText {
		return nil, "longer than any declaration"
	}
	packed, err := envelope.Decode45(code)
	if err != nil {
		return nil, "not base45"
	}
	raw, err := envelope.Inflate(packed, maxInflated)
	if err != nil {
		return nil, "not a zlib stream"
	}
	msg = cose.NewSign1Message()
	if err := msg.UnmarshalCBOR(raw); err != nil {
		return nil, "not a COSE_Sign1 message"
	}
	return msg, ""
}

// check looks for the trusted declarer that the kid names and checks the signature.
func check(msg *cose.Sign1Message, trust claim.Trust) (reason entry.Reason, detail string) {
	kid, _ := msg.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if len(kid) != kidSize {
		return entry.ReasonMalformed, "no kid of 8 bytes"
	}
	if alg, err := msg.Headers.Protected.Algorithm(); err != nil || alg != cose.AlgorithmEdDSA {
		return entry.ReasonMalformed, "not signed with Ed25519"
	}
	known := false
	for _, pub := range trust.Declarers {
		if !bytes.Equal(kid, keyID(pub)) {
			continue
		}
		known = true
		if v, err := cose.NewVerifier(cose.AlgorithmEdDSA, pub); err == nil && msg.Verify(nil, v) == nil {
			return "", ""
		}
	}
	if known {
		return entry.ReasonSignature, "the signature does not fit"
	}
	return entry.ReasonSigner, fmt.Sprintf("kid %x is no trusted declarer's", kid)
}

func keyID(pub ed25519.PublicKey) []byte {
	sum := sha256.Sum256(pub)
	return sum[:kidSize]
}

// read takes the claims out of a payload whose signature was checked. Its errors hold nothing of a person.
func read(raw []byte) (c claim.Claims, err error) {
	var p payload
	if err := decoding.Unmarshal(raw, &p); err != nil {
		return c, errors.New("not the claims of a declaration")
	}
	b := p.Body
	d := &claim.Declaration{
		Answers: b.Answers, Issued: time.Unix(p.Issued, 0).UTC(), Expires: time.Unix(p.Expires, 0).UTC(),
		Declarer: claim.Text(b.Declarer), Plate: claim.Text(b.Plate), Tail: string(b.Tail),
	}
	person := claim.Person{Birth: strconv.Itoa(b.Year), QID: string(b.QID)}
	if b.Tail != "" {
		person.Number = strings.Repeat("*", 8) + string(b.Tail)
	}
	var version string
	d.Form, version, _ = strings.Cut(b.Form, "/")
	d.Version, _ = strconv.Atoi(version)
	var named, born bool
	person.Name, named = claim.Name(b.Name)
	_, born = claim.Date("2006", person.Birth)
	switch {
	case d.Form == "" || d.Version < 1 || strconv.Itoa(d.Version) != version || len(b.Form) > maxShort:
		return c, errors.New("no form")
	case p.Issued <= 0 || p.Expires <= p.Issued || p.Expires > maxTime:
		return c, errors.New("its times are impossible")
	case !named:
		return c, errors.New("no name")
	case !born:
		return c, errors.New("no year of birth")
	case b.QID != "" && (!claim.Digits(person.QID) || len(b.QID) > 32), b.Tail != "" && !isTail(string(b.Tail)):
		return c, errors.New("QID or tail are no digits")
	case len(b.Declarer) > claim.MaxName || len(b.Plate) > maxShort:
		return c, errors.New("a text is too long")
	}
	if err := checkAnswers(b.Answers); err != nil {
		return c, err
	}
	return claim.Claims{Family: claim.HD1, Verified: true, Person: person, Declaration: d}, nil
}

// isTail reports whether s can be the last digits of a card's number.
func isTail(s string) bool { return claim.Digits(s) && len(s) == 4 }

// checkAnswers refuses what is neither true or false nor a small whole number nor a short text.
func checkAnswers(answers map[string]any) error {
	if len(answers) > maxAnswers {
		return fmt.Errorf("more than %d answers", maxAnswers)
	}
	for id, a := range answers {
		ok := id != "" && len(id) <= maxShort
		switch v := a.(type) {
		case bool:
		case int64:
			ok = ok && v >= -maxNumber && v <= maxNumber
		case string:
			ok = ok && len(v) <= maxShort && utf8.ValidString(v)
		default:
			ok = false
		}
		if !ok {
			return errors.New("an answer that no form asks for")
		}
	}
	return nil
}

// maxTime is the end of the year 9999 in seconds since 1970.
const maxTime = 253402300799

var decoding = must(cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, IntDec: cbor.IntDecConvertSignedOrFail, MaxNestedLevels: 4,
	MaxArrayElements: 16, MaxMapPairs: 64, IndefLength: cbor.IndefLengthForbidden, TagsMd: cbor.TagsForbidden,
}.DecMode())

var encoding = must(cbor.CoreDetEncOptions().EncMode())

// must serves package variables whose arguments are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
