// Package hc1 reads the digital certificates of the EU and of the WHO:
//
//	"HC1:" + base45(zlib(COSE_Sign1(CWT)))
//
// signed with ES256 or PS256 (EU eHealth Network, "Electronic Health Certificates", volume 1, and the JSON schema 1.3.0). The
// CWT has 4 (expires), 6 (issued) and -260, in which 1 is the certificate: name, date of birth and one of doses (v), a test (t)
// or a recovery (r). What states have written otherwise is read as they meant it: a tag 61 outside, nulls, whole numbers as
// floats, spaces around texts, a kid in the other header.
//
// Whether a certificate is in force is not decided here: that takes a clock.
package hc1

import (
	"bytes"
	"crypto/rsa"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"
	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

const (
	// Prefix begins every code of this family.
	Prefix = "HC1:"

	kidSize     = 8
	maxInflated = 16 << 10 // bytes; real ones have one or two thousand
	maxTime     = 253402300799
)

// payload is the CWT.
type payload struct {
	Expires number                `cbor:"4,keyasint"`
	Issued  number                `cbor:"6,keyasint"`
	Health  map[int64]certificate `cbor:"-260,keyasint"`
}

type certificate struct {
	Name struct {
		Family    text `cbor:"fn"`
		Given     text `cbor:"gn"`
		FamilyICA text `cbor:"fnt"` // as a passport's machine-readable lines have it
		GivenICA  text `cbor:"gnt"`
	} `cbor:"nam"`
	Birth text `cbor:"dob"`
	Doses []struct {
		Dose number `cbor:"dn"`
		Of   number `cbor:"sd"`
		Date text   `cbor:"dt"`
	} `cbor:"v"`
	Tests []struct {
		Date text `cbor:"sc"`
	} `cbor:"t"`
	Recoveries []struct {
		Date text `cbor:"fr"`
	} `cbor:"r"`
}

// Parse returns what text claims; ok is false when it does not begin as a certificate. The claims name the person only when
// a trusted issuer's signature covers them.
func Parse(code string, trust claim.Trust) (c claim.Claims, ok bool) {
	rest, ok := strings.CutPrefix(code, Prefix)
	if !ok {
		return c, false
	}
	msg, detail := unwrap(rest)
	if detail != "" {
		return claim.Not(claim.HC1, entry.ReasonMalformed, detail), true
	}
	c, err := read(msg.Payload)
	if err != nil {
		return claim.Not(claim.HC1, entry.ReasonMalformed, err.Error()), true
	}
	if reason, detail := check(msg, trust, c.Proof.Use); reason != "" {
		return claim.Not(claim.HC1, reason, detail), true
	}
	return c, true
}

// unwrap takes the wrappings off; detail says which one is broken.
func unwrap(code string) (msg *cose.Sign1Message, detail string) {
	packed, err := envelope.Decode45(code)
	if err != nil {
		return nil, "not base45"
	}
	raw, err := envelope.Inflate(packed, maxInflated)
	if err != nil {
		return nil, "not a zlib stream"
	}
	raw = bytes.TrimPrefix(raw, []byte{0xd8, 61}) // the tag of a CWT, RFC 8392 section 6
	msg = cose.NewSign1Message()
	if len(raw) > 0 && raw[0] == 0x84 { // no tag at all
		err = (*cose.UntaggedSign1Message)(msg).UnmarshalCBOR(raw)
	} else {
		err = msg.UnmarshalCBOR(raw)
	}
	if err != nil {
		return nil, "not a COSE_Sign1 message"
	}
	return msg, ""
}

// check looks for the issuer whose key fits: those whose certificate the kid names first, then the others, for a kid is a
// hint.
func check(msg *cose.Sign1Message, trust claim.Trust, use claim.Use) (reason entry.Reason, detail string) {
	alg, err := msg.Headers.Protected.Algorithm()
	if errors.Is(err, cose.ErrAlgorithmNotFound) { // some have it, like the kid, where the signature does not cover it
		alg, err = cose.ProtectedHeader(msg.Headers.Unprotected).Algorithm()
	}
	if err != nil || alg != cose.AlgorithmES256 && alg != cose.AlgorithmPS256 {
		return entry.ReasonMalformed, "signed with neither ES256 nor PS256"
	}
	kid, _ := msg.Headers.Protected[cose.HeaderLabelKeyID].([]byte)
	if kid == nil {
		kid, _ = msg.Headers.Unprotected[cose.HeaderLabelKeyID].([]byte)
	}
	signed, err := signedBytes(msg)
	if err != nil {
		return entry.ReasonMalformed, "its headers are broken"
	}
	known := false
	for _, named := range []bool{true, false} {
		if !named && len(kid) > 0 && len(kid) < kidSize {
			break // what short kids name is there, or it is nobody's; longer ones may be of a state's own making
		}
		for _, i := range trust.Issuers {
			if i.Site != "" || (len(kid) > 0 && bytes.HasPrefix(i.ID, kid)) != named || isRSA(i) != (alg == cose.AlgorithmPS256) {
				continue
			}
			known = known || named
			if v, err := cose.NewVerifier(alg, i.Key); err != nil || v.Verify(signed, msg.Signature) != nil {
				continue
			}
			if !i.May(use) {
				return entry.ReasonSigner, "its issuer's key is not for this kind of certificate"
			}
			return "", ""
		}
	}
	if known {
		return entry.ReasonSignature, "the signature does not fit"
	}
	return entry.ReasonSigner, fmt.Sprintf("kid %x is no trusted issuer's", kid)
}

// signedBytes returns what a COSE_Sign1 message's signature is over: RFC 9052, section 4.4.
func signedBytes(msg *cose.Sign1Message) ([]byte, error) {
	protected, err := msg.Headers.MarshalProtected() // as it was written
	if err != nil {
		return nil, err
	}
	return cbor.Marshal([]any{"Signature1", cbor.RawMessage(protected), []byte{}, msg.Payload})
}

func isRSA(i claim.Issuer) bool {
	_, ok := i.Key.(*rsa.PublicKey)
	return ok
}

// read takes the claims out of a payload. Its errors hold nothing of a person.
func read(raw []byte) (c claim.Claims, err error) {
	var p payload
	if err := decoding.Unmarshal(raw, &p); err != nil {
		return c, errors.New("not the claims of a certificate")
	}
	h, ok := p.Health[1]
	if !ok {
		return c, errors.New("no certificate inside")
	}
	person, err := personOf(h)
	if err != nil {
		return c, err
	}
	proof := &claim.Proof{Issued: moment(p.Issued), Expires: moment(p.Expires)}
	switch {
	case len(h.Doses) > 0:
		d := h.Doses[len(h.Doses)-1]
		proof.Use, proof.Doses, proof.Of, proof.Date = claim.UseDose, int(d.Dose), int(d.Of), claim.Day(string(d.Date))
	case len(h.Tests) > 0:
		proof.Use, proof.Date = claim.UseTest, claim.Day(string(h.Tests[0].Date))
	case len(h.Recoveries) > 0:
		proof.Use, proof.Date = claim.UseRecovery, claim.Day(string(h.Recoveries[0].Date))
	default:
		return c, errors.New("it says nothing of the person")
	}
	return claim.Claims{Family: claim.HC1, Verified: true, Person: person, Proof: proof}, nil
}

// personOf reads a name, the family's first as in Vietnam, and the day or year of birth where it is one.
func personOf(h certificate) (p claim.Person, err error) {
	family, given := h.Name.Family, h.Name.Given
	if family == "" {
		family = text(strings.ReplaceAll(string(h.Name.FamilyICA), "<", " "))
	}
	if given == "" {
		given = text(strings.ReplaceAll(string(h.Name.GivenICA), "<", " "))
	}
	name, ok := claim.SignedName(string(family) + " " + string(given))
	if !ok {
		return p, errors.New("no name")
	}
	return claim.Person{Name: name, Birth: claim.SignedBirth(string(h.Birth))}, nil
}

func moment(n number) time.Time {
	if n <= 0 || n > maxTime {
		return time.Time{}
	}
	return time.Unix(int64(n), 0).UTC()
}

// A number is a whole one, however it is written: of a float the fraction is left out; null is 0.
type number int64

func (n *number) UnmarshalCBOR(b []byte) error {
	if len(b) > 0 && b[0]>>5 <= 1 { // a whole number, as almost all of them are
		return decoding.Unmarshal(b, (*int64)(n))
	}
	var v any
	if err := decoding.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*n = 0
	case int64:
		*n = number(v)
	case float64:
		if !(math.Abs(v) < 1<<52) {
			return errors.New("not a number")
		}
		*n = number(v)
	default:
		return errors.New("not a number")
	}
	return nil
}

// A text is one without spaces around; null is empty.
type text string

func (t *text) UnmarshalCBOR(b []byte) error {
	if len(b) > 0 && b[0]>>5 == 3 { // a text, as almost all of them are
		err := decoding.Unmarshal(b, (*string)(t))
		*t = text(strings.TrimSpace(string(*t)))
		return err
	}
	var v any
	if err := decoding.Unmarshal(b, &v); err != nil {
		return err
	}
	switch v := v.(type) {
	case nil:
		*t = ""
	case string:
		*t = text(strings.TrimSpace(v))
	case time.Time: // a tag 0
		*t = text(v.UTC().Format(time.RFC3339))
	default:
		return errors.New("not a text")
	}
	return nil
}

var decoding = must(cbor.DecOptions{
	DupMapKey: cbor.DupMapKeyEnforcedAPF, IntDec: cbor.IntDecConvertSignedOrFail, MaxNestedLevels: 8,
	MaxArrayElements: 16, MaxMapPairs: 32,
}.DecMode())

// must serves package variables whose arguments are constants.
func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
