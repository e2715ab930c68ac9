// Package trust reads whose signatures count: a bundle, which is what kiosks have, and the lists of keys that authorities
// publish, of which a bundle is made.
//
// A bundle is JSON: schema (1), made (RFC 3339), declarers (base64 of raw Ed25519 keys) and issuers, each with key (base64 of a
// SubjectPublicKeyInfo in DER), id (base64), uses and site as in claim.Issuer. Who signed it is its carrier's to check: the
// detached signature of a file, or the order that it came in.
package trust

import (
	"bytes"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"time"

	"gatepost/scanner/credential/claim"
)

const (
	// Context is what the signature beside a bundle's file is over, before the file.
	Context = "gatepost/trust/1\n"
	// MaxBundle is the most bytes of a bundle: what a list of two thousand keys needs.
	MaxBundle = 1 << 20

	schema  = 1
	maxID   = 64
	maxSite = 200
)

type bundle struct {
	Schema    int       `json:"schema"`
	Made      time.Time `json:"made"`
	Declarers [][]byte  `json:"declarers"`
	Issuers   []issuer  `json:"issuers"`
}

type issuer struct {
	ID   []byte      `json:"id,omitempty"`
	Key  []byte      `json:"key"`
	Uses []claim.Use `json:"uses,omitempty"`
	Site string      `json:"site,omitempty"`
}

// Marshal writes a bundle.
func Marshal(t claim.Trust) ([]byte, error) {
	b := bundle{Schema: schema, Made: t.Made.UTC().Truncate(time.Second), Declarers: [][]byte{}, Issuers: []issuer{}}
	for _, d := range t.Declarers {
		b.Declarers = append(b.Declarers, d)
	}
	for _, i := range t.Issuers {
		der, err := x509.MarshalPKIXPublicKey(i.Key)
		if err != nil {
			return nil, fmt.Errorf("trust bundle: %w", err)
		}
		b.Issuers = append(b.Issuers, issuer{i.ID, der, i.Uses, i.Site})
	}
	text, err := json.MarshalIndent(b, "", " ")
	if err == nil {
		_, err = Parse(text)
	}
	return append(text, '\n'), err
}

// Parse reads a bundle. Its error names the first fault.
func Parse(text []byte) (t claim.Trust, err error) {
	if len(text) > MaxBundle {
		return t, fmt.Errorf("trust bundle: exceeds %d bytes", MaxBundle)
	}
	var b bundle
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&b); err != nil {
		return t, fmt.Errorf("trust bundle: %w", err)
	}
	if d.More() {
		return t, errors.New("trust bundle: something stands behind it")
	}
	if b.Schema != schema || b.Made.IsZero() {
		return t, fmt.Errorf("trust bundle: schema %d made at %v: this program knows schema %d with a time", b.Schema, b.Made, schema)
	}
	t.Made = b.Made
	for n, key := range b.Declarers {
		if len(key) != ed25519.PublicKeySize {
			return claim.Trust{}, fmt.Errorf("trust bundle: declarer %d has no Ed25519 key", n+1)
		}
		t.Declarers = append(t.Declarers, key)
	}
	for n, i := range b.Issuers {
		read, err := i.read()
		if err != nil {
			return claim.Trust{}, fmt.Errorf("trust bundle: issuer %d: %w", n+1, err)
		}
		t.Issuers = append(t.Issuers, read)
	}
	return t, nil
}

func (i issuer) read() (claim.Issuer, error) {
	key, err := x509.ParsePKIXPublicKey(i.Key)
	if err == nil {
		err = claim.CheckKey(key)
	}
	if err != nil {
		return claim.Issuer{}, err
	}
	for _, u := range i.Uses {
		if !slices.Contains(claim.Uses(), u) {
			return claim.Issuer{}, fmt.Errorf("use %q is not one of %q", u, claim.Uses())
		}
	}
	if len(i.ID) > maxID || i.Site != "" && !IsSite(i.Site) {
		return claim.Issuer{}, fmt.Errorf("an id of %d bytes, or a site %.40q that is no https address", len(i.ID), i.Site)
	}
	return claim.Issuer{Key: key, ID: i.ID, Uses: i.Uses, Site: i.Site}, nil
}

// IsSite reports whether s can name an issuer of SMART Health Cards: an https address without a slash at its end.
func IsSite(s string) bool {
	u, err := url.Parse(s)
	return err == nil && u.Scheme == "https" && u.Host != "" && u.RawQuery == "" && u.Fragment == "" && s[len(s)-1] != '/' && len(s) <= maxSite
}
