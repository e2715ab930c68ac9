package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/url"
	"slices"
	"strings"

	"gatepost/scanner/credential/claim"
)

// MaxSource is the most bytes of a list that is read.
const MaxSource = 16 << 20

// Read reads the keys in a file that an authority has published: certificates and public keys in PEM, one certificate in DER,
// or any JSON, also inside a JWT: JWKS, did.json and the national lists are all objects that hold a key, with its kid beside it
// or as the name above it. Where site is given, they are the keys of that issuer of SMART Health Cards. A key that cannot be
// used is left out and told in refused; a file with none at all is an error. The signature of a list is not checked.
func Read(text []byte, site string) (issuers []claim.Issuer, refused []error, err error) {
	var r reader
	r.site = site
	switch {
	case len(text) > MaxSource:
		return nil, nil, fmt.Errorf("exceeds %d bytes", MaxSource)
	case len(text) > 0 && text[0] == 0x30: // a SEQUENCE of ASN.1
		r.take(certificate(text))
	case bytes.Contains(text, []byte("-----BEGIN ")):
		r.pem(text)
	default:
		v, err := object(text)
		if err != nil {
			return nil, nil, errors.New("no list of keys: neither PEM, nor a certificate in DER, nor JSON")
		}
		r.walk(v, "")
	}
	if len(r.issuers) == 0 {
		return nil, r.refused, errors.New("no key that can be used")
	}
	return r.issuers, r.refused, nil
}

// object reads JSON, which may be the payload of a JWT, or stand behind the line with its signature.
func object(text []byte) (v any, err error) {
	text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff")))
	if parts := strings.Split(string(text), "."); len(parts) == 3 && strings.HasPrefix(parts[0], "eyJ") {
		if text, err = base64.RawURLEncoding.DecodeString(parts[1]); err != nil {
			return nil, err
		}
	}
	if _, rest, ok := bytes.Cut(text, []byte("\n")); ok && text[0] != '{' && text[0] != '[' {
		text = rest
	}
	err = json.Unmarshal(text, &v)
	return v, err
}

type reader struct {
	site    string
	issuers []claim.Issuer
	refused []error
}

// take takes a key, once: one that is there under another name, or another one under the same name, is a key of its own.
func (r *reader) take(i claim.Issuer, err error) {
	if err == nil && r.site != "" {
		i, err = atSite(i, r.site)
	}
	if err != nil {
		r.refused = append(r.refused, err)
		return
	}
	same := func(o claim.Issuer) bool {
		k, ok := o.Key.(interface{ Equal(crypto.PublicKey) bool })
		return ok && k.Equal(i.Key) && bytes.Equal(o.ID, i.ID)
	}
	if !slices.ContainsFunc(r.issuers, same) {
		r.issuers = append(r.issuers, i)
	}
}

func (r *reader) pem(text []byte) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return
		}
		switch block.Type {
		case "CERTIFICATE":
			r.take(certificate(block.Bytes))
		case "PUBLIC KEY":
			r.take(bare(block.Bytes, nil, nil))
		default:
			r.take(claim.Issuer{}, fmt.Errorf("a %q, where certificates and public keys are wanted", block.Type))
		}
	}
}

// walk looks for keys in v; name is the nearest that an object above gives them.
func (r *reader) walk(v any, name string) {
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			r.walk(item, name)
		}
	case map[string]any:
		if _, of, ok := strings.Cut(str(v, "id"), "#"); ok {
			name = of
		}
		for _, field := range []string{"kid", "keyId"} {
			if s := str(v, field); s != "" {
				name = s
			}
		}
		if i, is, err := key(v, name, r.site); is {
			if err != nil {
				err = fmt.Errorf("key %.50q: %w", name, err)
			}
			r.take(i, err)
			return
		}
		for _, field := range slices.Sorted(maps.Keys(v)) {
			below := name
			if len(field) == 12 && field[11] == '=' && base64of(field) != nil { // eight bytes, as one list has them
				below = field
			}
			r.walk(v[field], below)
		}
	case string: // a list inside a signed envelope
		if len(v) > 1000 && base64of(v) != nil {
			if inner, err := object(base64of(v)); err == nil {
				r.walk(inner, name)
			}
		}
	}
}

// key reads an object that is a key; is says whether it is one.
func key(o map[string]any, name, site string) (i claim.Issuer, is bool, err error) {
	for _, field := range []string{"rawData", "certificate", "cert"} {
		if der := base64of(str(o, field)); der != nil {
			i, err = certificate(der)
			return i, true, err
		}
	}
	if str(o, "kty") != "" {
		i, err = jwk(o, name, site)
		return i, true, err
	}
	for _, field := range []string{"subjectPk", "subjectPublicKeyInfo", "publicKey"} {
		if der := base64of(str(o, field)); der != nil {
			i, err = bare(der, base64of(name), usesOf(o["keyUsage"]))
			return i, true, err
		}
	}
	return i, false, nil
}

// certificate reads one. A list may also have a bare key where others have that.
func certificate(der []byte) (claim.Issuer, error) {
	i, err := claim.NewIssuer(der)
	if err != nil {
		if i, e := bare(der, nil, nil); e == nil {
			return i, nil
		}
	}
	return i, err
}

func bare(der, id []byte, uses []claim.Use) (claim.Issuer, error) {
	k, err := x509.ParsePKIXPublicKey(der)
	if err == nil {
		err = claim.CheckKey(k)
	}
	return claim.Issuer{Key: k, ID: id, Uses: uses}, err
}

// jwk reads a JSON Web Key (RFC 7517). Outside a site its certificate counts, where it has one.
func jwk(o map[string]any, name, site string) (claim.Issuer, error) {
	if _, private := o["d"]; private {
		return claim.Issuer{}, errors.New("a private key: keep it out of here")
	}
	if use := str(o, "use"); use != "" && use != "sig" {
		return claim.Issuer{}, fmt.Errorf("it is for the use %q", use)
	}
	if chain, ok := o["x5c"].([]any); ok && len(chain) > 0 && site == "" {
		der, _ := chain[0].(string)
		return certificate(base64of(der))
	}
	var k crypto.PublicKey
	var err error
	switch kty, crv := str(o, "kty"), str(o, "crv"); {
	case kty == "EC" && crv == "P-256":
		point := slices.Concat([]byte{4}, base64of(str(o, "x")), base64of(str(o, "y")))
		k, err = ecdsa.ParseUncompressedPublicKey(elliptic.P256(), point)
	case kty == "RSA":
		n, e := new(big.Int).SetBytes(base64of(str(o, "n"))), new(big.Int).SetBytes(base64of(str(o, "e")))
		if e.BitLen() > 31 || e.Sign() == 0 {
			return claim.Issuer{}, errors.New("an exponent that no RSA key has")
		}
		k = &rsa.PublicKey{N: n, E: int(e.Int64())}
	default:
		err = fmt.Errorf("a key of kind %q on %q", kty, crv)
	}
	if err == nil {
		err = claim.CheckKey(k)
	}
	if alg := str(o, "alg"); err == nil && site != "" && alg != "ES256" {
		err = fmt.Errorf("it signs with %q, where cards want ES256", alg)
	}
	return claim.Issuer{Key: k, ID: base64of(name)}, err
}

// atSite makes a key one of an issuer of SMART Health Cards: there the kid must be the key's thumbprint (RFC 7638).
func atSite(i claim.Issuer, site string) (claim.Issuer, error) {
	k, ok := i.Key.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() {
		return i, errors.New("cards are signed by keys on P-256")
	}
	raw, err := k.Bytes() // 4, x, y
	if err != nil {
		return i, err
	}
	url := base64.RawURLEncoding.EncodeToString
	thumb := sha256.Sum256(fmt.Appendf(nil, `{"crv":"P-256","kty":"EC","x":"%s","y":"%s"}`, url(raw[1:33]), url(raw[33:])))
	if !bytes.Equal(i.ID, thumb[:]) {
		return i, fmt.Errorf("key %s: its kid is not its thumbprint", url(thumb[:]))
	}
	i.Site = site
	return i, nil
}

// usesOf reads the letters that one list has for the uses; nil: any.
func usesOf(v any) (uses []claim.Use) {
	letters, _ := v.([]any)
	for _, l := range letters {
		for letter, use := range map[string]claim.Use{"t": claim.UseTest, "v": claim.UseDose, "r": claim.UseRecovery} {
			if l == letter {
				uses = append(uses, use)
			}
		}
	}
	slices.Sort(uses)
	return uses
}

func str(o map[string]any, field string) string {
	s, _ := o[field].(string)
	return s
}

// base64of reads base64 in either alphabet, with padding or without, as it may stand in an address; nil: it is none.
func base64of(s string) []byte {
	if plain, err := url.PathUnescape(s); err == nil {
		s = plain
	}
	s = strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(s), "=")
	b, err := base64.RawStdEncoding.DecodeString(s)
	if err != nil || len(b) == 0 {
		return nil
	}
	return b
}
