// Package shc reads SMART Health Cards (SMART Health Cards Framework 1.4):
//
//	"shc:/" + pairs of digits, each a character's code minus 45, of a JWS in its compact form
//
// signed with ES256, whose payload is raw DEFLATE of JSON: iss, nbf, exp and vc with a FHIR bundle of a Patient and of
// Immunizations or Observations. A card too long for one code is in several, "shc:/1/2/…", which a Joiner puts together.
//
// Whether a card is in force is not decided here: that takes a clock.
package shc

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strings"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"
	"gatepost/storage/entry"
)

const (
	// Prefix begins every code of this family.
	Prefix = "shc:/"

	maxSingle   = 1195            // characters of the JWS in one code
	maxInflated = 64 << 10        // bytes; real ones have two or three thousand
	maxTime     = 100_000_000_000 // seconds; more are milliseconds, as some have written
	half        = 32              // bytes of r, and of s, in a signature
	cardType    = "https://smarthealth.cards#health-card"
)

// payload is the JSON inside.
type payload struct {
	Issuer  string      `json:"iss"`
	From    json.Number `json:"nbf"`
	Expires json.Number `json:"exp"`
	Card    struct {
		Types   []string `json:"type"`
		Subject struct {
			Bundle struct {
				Entries []struct {
					Resource resource `json:"resource"`
				} `json:"entry"`
			} `json:"fhirBundle"`
		} `json:"credentialSubject"`
	} `json:"vc"`
}

// resource is what counts here of a Patient, an Immunization or an Observation.
type resource struct {
	Type      string          `json:"resourceType"`
	Names     json.RawMessage `json:"name"` // of a Patient a list of names, of others anything
	Birth     string          `json:"birthDate"`
	Status    string          `json:"status"`
	Occurred  string          `json:"occurrenceDateTime"`
	Effective string          `json:"effectiveDateTime"`
}

type name struct {
	Family string   `json:"family"`
	Given  []string `json:"given"`
	Text   string   `json:"text"`
}

// Parse returns what text claims, a whole card in one code or as a Joiner gives it; ok is false when it is none. The claims
// name the person only when a trusted issuer's signature covers them.
func Parse(text string, trust claim.Trust) (c claim.Claims, ok bool) {
	token := text
	if len(text) >= len(Prefix) && strings.EqualFold(text[:len(Prefix)], Prefix) {
		var err error
		if token, err = single(text[len(Prefix):]); err != nil {
			return claim.Not(claim.SHC, entry.ReasonMalformed, err.Error()), true
		}
	} else if h, err := readHeader(text); err != nil || h.Zip != "DEF" {
		return c, false // another token
	}
	c, reason, err := verify(token, trust)
	if err != nil {
		return claim.Not(claim.SHC, reason, err.Error()), true
	}
	return c, true
}

// single returns the token of a card in one code.
func single(digits string) (string, error) {
	if strings.Contains(digits, "/") {
		return "", errors.New("one of several codes of a card")
	}
	token, err := characters(digits)
	if err == nil && len(token) > maxSingle {
		return "", fmt.Errorf("longer than the %d characters of one code", maxSingle)
	}
	return token, err
}

// characters reads pairs of digits.
func characters(digits string) (string, error) {
	if len(digits)%2 != 0 {
		return "", errors.New("an odd number of digits")
	}
	token := make([]byte, 0, len(digits)/2)
	for ; digits != ""; digits = digits[2:] {
		if !claim.Digits(digits[:2]) {
			return "", errors.New("something else than digits")
		}
		n := (digits[0]-'0')*10 + digits[1] - '0'
		if n > 'z'-45 {
			return "", errors.New("a pair of digits that is no character")
		}
		token = append(token, n+45)
	}
	return string(token), nil
}

type header struct {
	Alg string `json:"alg"`
	Zip string `json:"zip"`
	Kid string `json:"kid"`
}

func readHeader(token string) (h header, err error) {
	first, _, _ := strings.Cut(token, ".")
	raw, err := base64.RawURLEncoding.DecodeString(first)
	if err == nil {
		err = json.Unmarshal(raw, &h)
	}
	return h, err
}

// verify reads a token and checks who signed it; an error has its reason beside it.
func verify(token string, trust claim.Trust) (c claim.Claims, r entry.Reason, err error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return c, entry.ReasonMalformed, errors.New("not a signed token")
	}
	h, err := readHeader(token)
	if err != nil {
		return c, entry.ReasonMalformed, errors.New("its header is broken")
	}
	if h.Alg != "ES256" || h.Zip != "DEF" {
		return c, entry.ReasonMalformed, fmt.Errorf("signed with %.10q and packed with %.10q, where cards have ES256 and DEF", h.Alg, h.Zip)
	}
	kid, err := base64.RawURLEncoding.DecodeString(h.Kid)
	if err != nil || len(kid) != sha256.Size {
		return c, entry.ReasonMalformed, errors.New("its kid is no thumbprint")
	}
	sig, err := base64.RawURLEncoding.Strict().DecodeString(parts[2])
	if err != nil || len(sig) != 2*half {
		return c, entry.ReasonMalformed, errors.New("its signature is not 64 bytes")
	}
	packed, err := base64.RawURLEncoding.Strict().DecodeString(parts[1])
	if err != nil {
		return c, entry.ReasonMalformed, errors.New("its payload is not base64")
	}
	raw, err := envelope.InflateRaw(packed, maxInflated)
	if err != nil {
		return c, entry.ReasonMalformed, errors.New("its payload is not deflated")
	}
	c, site, err := read(raw)
	if err != nil {
		return c, entry.ReasonMalformed, err
	}
	named := slices.IndexFunc(trust.Issuers, func(i claim.Issuer) bool { return i.Site != "" && i.Site == site && bytes.Equal(i.ID, kid) })
	if named < 0 {
		return c, entry.ReasonSigner, fmt.Errorf("kid %x is no trusted issuer's at that address", kid[:8])
	}
	i := trust.Issuers[named]
	key, _ := i.Key.(*ecdsa.PublicKey)
	hash := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if key == nil || !ecdsa.Verify(key, hash[:], new(big.Int).SetBytes(sig[:half]), new(big.Int).SetBytes(sig[half:])) {
		return c, entry.ReasonSignature, errors.New("the signature does not fit")
	}
	if !i.May(c.Proof.Use) {
		return c, entry.ReasonSigner, errors.New("its issuer's key is not for this kind of card")
	}
	return c, "", nil
}

// read takes the claims and the issuer's address out of a payload. Its errors hold nothing of a person.
func read(raw []byte) (c claim.Claims, site string, err error) {
	var p payload
	if err := json.Unmarshal(raw, &p); err != nil {
		return c, "", errors.New("not the claims of a card")
	}
	if !slices.Contains(p.Card.Types, cardType) {
		return c, "", errors.New("a signed token, and no health card")
	}
	proof := &claim.Proof{}
	if proof.Issued, err = moment(p.From); err != nil || proof.Issued.IsZero() {
		return c, "", errors.New("no time from which it counts")
	}
	if proof.Expires, err = moment(p.Expires); err != nil {
		return c, "", errors.New("no time until which it counts")
	}
	c = claim.Claims{Family: claim.SHC, Verified: true, Proof: proof}
	for _, e := range p.Card.Subject.Bundle.Entries {
		if err := add(&c, e.Resource); err != nil {
			return c, "", err
		}
	}
	switch {
	case c.Person.Name == "":
		return c, "", errors.New("no name")
	case proof.Use == "":
		return c, "", errors.New("it says nothing of the person")
	}
	return c, p.Issuer, nil
}

// add takes what one resource says into the claims. Doses are counted, and the last one's day stands for all; a card with doses
// is none of a test.
func add(c *claim.Claims, r resource) error {
	switch {
	case r.Type == "Patient" && c.Person.Name != "":
		return errors.New("two people")
	case r.Type == "Patient":
		var names []name
		if err := json.Unmarshal(r.Names, &names); err != nil || len(names) == 0 {
			return errors.New("no name")
		}
		n := names[0]
		text := strings.TrimSpace(n.Family + " " + strings.Join(n.Given, " "))
		if text == "" {
			text = n.Text
		}
		c.Person.Name, _ = claim.SignedName(text)
		c.Person.Birth = claim.SignedBirth(r.Birth)
	case r.Type == "Immunization" && r.Status == "completed":
		day := claim.Day(r.Occurred)
		if c.Proof.Use != claim.UseDose {
			c.Proof.Use, c.Proof.Date = claim.UseDose, day
		}
		c.Proof.Doses++
		if c.Proof.Date != "" && day != "" {
			c.Proof.Date = max(c.Proof.Date, day)
		} else {
			c.Proof.Date = "" // of one dose nobody knows the day, so it may be the last
		}
	case r.Type == "Observation" && c.Proof.Use == "":
		c.Proof.Use, c.Proof.Date = claim.UseTest, claim.Day(r.Effective)
	}
	return nil
}

// moment reads a NumericDate; "" is the zero time.
func moment(n json.Number) (t time.Time, err error) {
	if n == "" {
		return t, nil
	}
	f, err := n.Float64()
	if err != nil || !(f > 0 && f <= maxTime) {
		return t, errors.New("not a time")
	}
	return time.Unix(int64(f), 0).UTC(), nil
}
