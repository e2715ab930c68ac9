package hc1

import (
	"bytes"
	"compress/zlib"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"math/big"
	"strings"
	"testing"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/envelope"
	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
	"github.com/veraison/go-cose"
)

// A signer is an authority of our own.
type signer struct {
	key    crypto.Signer
	alg    cose.Algorithm
	issuer claim.Issuer
	kid    []byte
}

func newSigner(t testing.TB, alg cose.Algorithm, usages ...asn1.ObjectIdentifier) signer {
	t.Helper()
	var key crypto.Signer
	var err error
	if alg == cose.AlgorithmPS256 {
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	} else {
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0),
		UnknownExtKeyUsage: usages,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	s := signer{key: key, alg: alg}
	if s.issuer, err = claim.NewIssuer(der); err != nil {
		t.Fatal(err)
	}
	s.kid = s.issuer.ID[:kidSize]
	return s
}

// named is s with another kid.
func (s signer) named(kid []byte) signer {
	s.kid = kid
	return s
}

// sample is a certificate of one dose.
func sample() map[any]any {
	return map[any]any{1: "VN", 4: 1_900_000_000, 6: 1_700_000_000, -260: map[any]any{1: map[string]any{
		"ver": "1.3.0", "nam": map[string]any{"fn": "Nguyễn", "gn": "Văn Đạt", "fnt": "NGUYEN", "gnt": "VAN<DAT"}, "dob": "1990-02-03",
		"v": []any{map[string]any{"dn": 2, "sd": 2, "dt": "2021-10-05", "tg": "x"}},
	}}}
}

// issue signs claims; change may spoil the message before it is wrapped.
func (s signer) issue(t testing.TB, claims any, change func(*cose.Sign1Message)) string {
	t.Helper()
	msg := cose.NewSign1Message()
	msg.Headers.Protected.SetAlgorithm(s.alg)
	msg.Headers.Protected[cose.HeaderLabelKeyID] = s.kid
	var err error
	if msg.Payload, err = cbor.Marshal(claims); err != nil {
		t.Fatal(err)
	}
	by, err := cose.NewSigner(s.alg, s.key)
	if err != nil {
		t.Fatal(err)
	}
	if err := msg.Sign(rand.Reader, nil, by); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(msg)
	}
	raw, err := msg.MarshalCBOR()
	if err != nil {
		t.Fatal(err)
	}
	return wrap(raw)
}

func wrap(raw []byte) string {
	var packed bytes.Buffer
	z := zlib.NewWriter(&packed)
	z.Write(raw)
	z.Close()
	return Prefix + envelope.Encode45(packed.Bytes())
}

func TestParse(t *testing.T) {
	for _, alg := range []cose.Algorithm{cose.AlgorithmES256, cose.AlgorithmPS256} {
		s, other := newSigner(t, alg), newSigner(t, alg)
		trust := claim.Trust{Issuers: []claim.Issuer{other.issuer, s.issuer}}
		c, ok := Parse(s.issue(t, sample(), nil), trust)
		want := claim.Proof{
			Use: claim.UseDose, Doses: 2, Of: 2, Date: "2021-10-05",
			Issued: time.Unix(1_700_000_000, 0).UTC(), Expires: time.Unix(1_900_000_000, 0).UTC(),
		}
		if !ok || !c.Verified || c.Reason != "" || c.Person != (claim.Person{Name: "Nguyễn Văn Đạt", Birth: "1990-02-03"}) || *c.Proof != want {
			t.Errorf("%v: %v %s %s", alg, ok, c.Reason, c.Detail)
		}
		if got := c.Keys(); len(got) != 1 || got[0] != "proof:NGUYEN VAN DAT|1990-02-03" {
			t.Errorf("keys %q", got)
		}
	}
	if _, ok := Parse("HC2:", claim.Trust{}); ok {
		t.Error("another family is taken")
	}
}

// A code that is not proven names nobody, and the three reasons stay three: not a certificate, nobody's, broken.
func TestUnproven(t *testing.T) {
	s, other := newSigner(t, cose.AlgorithmES256), newSigner(t, cose.AlgorithmES256)
	dose := newSigner(t, cose.AlgorithmES256, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 2})
	test := newSigner(t, cose.AlgorithmES256, asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 1847, 2021, 1, 1})
	trusted := claim.Trust{Issuers: []claim.Issuer{s.issuer, dose.issuer, test.issuer}}
	good := s.issue(t, sample(), nil)
	if c, _ := Parse(dose.issue(t, sample(), nil), trusted); !c.Verified {
		t.Errorf("a key for doses: %s %s", c.Reason, c.Detail)
	}
	without := func(change func(body map[any]any)) string {
		claims := sample()
		change(claims)
		return s.issue(t, claims, nil)
	}
	for what, c := range map[string]struct {
		code   string
		trust  claim.Trust
		reason entry.Reason
	}{
		"nobody is trusted":    {good, claim.Trust{}, entry.ReasonSigner},
		"somebody else is":     {good, claim.Trust{Issuers: []claim.Issuer{other.issuer}}, entry.ReasonSigner},
		"a key for tests":      {test.issue(t, sample(), nil), trusted, entry.ReasonSigner},
		"another payload":      {s.issue(t, sample(), func(m *cose.Sign1Message) { m.Payload = bytes.Replace(m.Payload, []byte("1990"), []byte("1991"), 1) }), trusted, entry.ReasonSignature},
		"a signature too long": {s.issue(t, sample(), func(m *cose.Sign1Message) { m.Signature = append(m.Signature, 0) }), trusted, entry.ReasonSignature},
		"one too short":        {s.issue(t, sample(), func(m *cose.Sign1Message) { m.Signature = m.Signature[:63] }), trusted, entry.ReasonSignature},
		"PS256 on its header": {s.issue(t, sample(), func(m *cose.Sign1Message) {
			m.Headers.RawProtected = nil
			m.Headers.Protected.SetAlgorithm(cose.AlgorithmPS256)
		}), trusted, entry.ReasonSigner},
		"EdDSA on its header": {s.issue(t, sample(), func(m *cose.Sign1Message) {
			m.Headers.RawProtected = nil
			m.Headers.Protected.SetAlgorithm(cose.AlgorithmEdDSA)
		}), trusted, entry.ReasonMalformed},
		"no certificate":        {without(func(b map[any]any) { delete(b, -260) }), trusted, entry.ReasonMalformed},
		"nothing of a person":   {without(func(b map[any]any) { delete(b[-260].(map[any]any)[1].(map[string]any), "v") }), trusted, entry.ReasonMalformed},
		"no name":               {without(func(b map[any]any) { delete(b[-260].(map[any]any)[1].(map[string]any), "nam") }), trusted, entry.ReasonMalformed},
		"a short kid of nobody": {s.named([]byte("foo")).issue(t, sample(), nil), trusted, entry.ReasonSigner},
		"a letter changed":      {good[:40] + "::" + good[42:], trusted, entry.ReasonMalformed},
		"trimmed":               {good[:len(good)-1], trusted, entry.ReasonMalformed},
		"a space behind it":     {good + " ", trusted, entry.ReasonMalformed},
		"a bomb":                {wrap(make([]byte, 10<<20))[:4200], trusted, entry.ReasonMalformed},
		"nothing":               {Prefix, trusted, entry.ReasonMalformed},
	} {
		got, ok := Parse(c.code, c.trust)
		if !ok || got.Verified || got.Reason != c.reason || got.Person != (claim.Person{}) || got.Proof != nil || strings.Contains(got.Detail, "Đạt") {
			t.Errorf("%s: %s (%s), want %s", what, got.Reason, got.Detail, c.reason)
		}
	}
}

// What states have written otherwise is read as they meant it.
func TestOtherWays(t *testing.T) {
	s := newSigner(t, cose.AlgorithmES256)
	trust := claim.Trust{Issuers: []claim.Issuer{s.issuer}}
	for what, code := range map[string]string{
		"a kid of four bytes":    s.named(s.issuer.ID[:4]).issue(t, sample(), nil),
		"a whole hash":           s.named(s.issuer.ID[:]).issue(t, sample(), nil),
		"a state's own, as long": s.named([]byte("VN-key-1")).issue(t, sample(), nil),
		"numbers as floats": s.issue(t, map[any]any{4: 1.9e9, 6: 1.7e9, -260: map[any]any{1: map[string]any{
			"nam": map[string]any{"fn": " Nguyễn ", "gn": nil, "gnt": "VAN<DAT"}, "dob": "1990-02", "v": nil, "r": nil,
			"t": []any{map[string]any{"sc": "2021-10-05T10:00:00+07:00"}},
		}}}, nil),
		"no tag": func() string {
			packed, _ := envelope.Decode45(s.issue(t, sample(), nil)[4:])
			raw, _ := envelope.Inflate(packed, maxInflated)
			return wrap(raw[1:])
		}(),
		"tag 61 outside": func() string {
			packed, _ := envelope.Decode45(s.issue(t, sample(), nil)[4:])
			raw, _ := envelope.Inflate(packed, maxInflated)
			return wrap(append([]byte{0xd8, 61}, raw...))
		}(),
	} {
		c, ok := Parse(code, trust)
		if !ok || !c.Verified || c.Proof.Date != "2021-10-05" || c.Proof.Expires.Unix() != 1_900_000_000 {
			t.Errorf("%s: %s %s", what, c.Reason, c.Detail)
		}
		if c.Proof != nil && c.Proof.Use == claim.UseTest && c.Person != (claim.Person{Name: "Nguyễn VAN DAT", Birth: "1990"}) {
			t.Errorf("%s: %#v", what, struct{ claim.Person }{c.Person})
		}
	}
}

func FuzzParse(f *testing.F) {
	s := newSigner(f, cose.AlgorithmES256)
	f.Add(s.issue(f, sample(), nil))
	f.Add(Prefix)
	f.Fuzz(func(t *testing.T, code string) {
		c, ok := Parse(code, claim.Trust{Issuers: []claim.Issuer{s.issuer}})
		if ok != strings.HasPrefix(code, Prefix) || ok && (c.Reason == "") != c.Verified || c.Verified && c.Proof == nil {
			t.Errorf("%q: %v, %s", code, ok, c.Reason)
		}
	})
}

func FuzzRead(f *testing.F) {
	raw, err := cbor.Marshal(sample())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if c, err := read(raw); err == nil && (c.Person.Name == "" || c.Proof == nil) {
			t.Errorf("%x names nobody", raw)
		}
	})
}

func BenchmarkParse(b *testing.B) {
	for _, alg := range []cose.Algorithm{cose.AlgorithmES256, cose.AlgorithmPS256} {
		s := newSigner(b, alg)
		code := s.issue(b, sample(), nil)
		msg, _ := unwrap(code[len(Prefix):])
		verifier, err := cose.NewVerifier(alg, s.issuer.Key)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(alg.String()+"/bare check", func(b *testing.B) {
			for b.Loop() {
				if err := msg.Verify(nil, verifier); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(alg.String()+"/whole", func(b *testing.B) {
			for b.Loop() {
				if c, _ := Parse(code, claim.Trust{Issuers: []claim.Issuer{s.issuer}}); !c.Verified {
					b.Fatal(c.Detail)
				}
			}
		})
	}
}
