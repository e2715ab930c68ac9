package claim

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"slices"
)

// A Use is what an issuer's key may sign.
type Use string

const (
	UseTest     Use = "test"
	UseDose     Use = "dose"
	UseRecovery Use = "recovery"
)

// Uses lists them.
func Uses() []Use { return []Use{UseTest, UseDose, UseRecovery} }

// usages names the extended key usages of the EU's digital certificates, in both arcs that states have written.
var usages = map[Use][]asn1.ObjectIdentifier{
	UseTest:     {{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 1}, {1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1, 1}},
	UseDose:     {{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 2}, {1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1, 2}},
	UseRecovery: {{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 3}, {1, 3, 6, 1, 4, 1, 0, 1847, 2021, 1, 3}},
}

// An Issuer is an authority's key.
type Issuer struct {
	Key  crypto.PublicKey // *ecdsa.PublicKey on P-256 or larger, or *rsa.PublicKey of 2048 to 4096 bits
	ID   []byte           // of which a kid is the beginning: SHA-256 of the key's certificate, or what a list without those calls it; may be empty
	Uses []Use            // what alone it may sign; empty: anything
	Site string           // the address that the issuer's SMART Health Cards name; "": the key signs no such cards, and HC1 alone
}

// NewIssuer reads a certificate in DER. Who signed it is not checked: it counts because it is in the list.
func NewIssuer(der []byte) (i Issuer, err error) {
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return i, fmt.Errorf("certificate: %w", err)
	}
	if err := CheckKey(c.PublicKey); err != nil {
		return i, fmt.Errorf("certificate: %w", err)
	}
	id := sha256.Sum256(der)
	i = Issuer{Key: c.PublicKey, ID: id[:]}
	for _, u := range Uses() {
		if slices.ContainsFunc(c.UnknownExtKeyUsage, func(o asn1.ObjectIdentifier) bool {
			return slices.ContainsFunc(usages[u], o.Equal)
		}) {
			i.Uses = append(i.Uses, u)
		}
	}
	return i, nil
}

// CheckKey returns an error for a key that no issuer may have.
func CheckKey(key crypto.PublicKey) error {
	switch k := key.(type) {
	case *ecdsa.PublicKey:
		if k.Curve == elliptic.P224() {
			return errors.New("a key on P-224")
		}
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 || k.N.BitLen() > 4096 {
			return fmt.Errorf("an RSA key of %d bits", k.N.BitLen())
		}
	default:
		return fmt.Errorf("a key of kind %T", k)
	}
	return nil
}

// May reports whether the issuer's key may sign u.
func (i Issuer) May(u Use) bool { return len(i.Uses) == 0 || slices.Contains(i.Uses, u) }
