package shc

import (
	"bytes"
	"compress/flate"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// A signer is an issuer of cards.
type signer struct {
	key *ecdsa.PrivateKey
	id  []byte
}

const site = "https://clinic.example/cards"

func newSigner(t testing.TB) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	id := sha256.Sum256([]byte(t.Name())) // any will do here: package trust holds a kid to its key
	return signer{key, id[:]}
}

func (s signer) trust() claim.Trust {
	return claim.Trust{Issuers: []claim.Issuer{{Key: s.key.Public(), ID: s.id, Site: site}}}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func deflate(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// sign returns the token of a packed payload.
func (s signer) sign(t testing.TB, packed []byte) string {
	t.Helper()
	head := fmt.Sprintf(`{"zip":"DEF","alg":"ES256","kid":"%s"}`, b64(s.id))
	text := b64([]byte(head)) + "." + b64(packed)
	hash := sha256.Sum256([]byte(text))
	r, v, err := ecdsa.Sign(rand.Reader, s.key, hash[:])
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + b64(append(r.FillBytes(make([]byte, half)), v.FillBytes(make([]byte, half))...))
}

type object = map[string]any

func patient() object {
	return object{"resourceType": "Patient", "name": []any{object{"family": "Nguyễn", "given": []string{"Văn", "Đạt"}}}, "birthDate": "1990-02-03"}
}

func dose(day string) object {
	return object{"resourceType": "Immunization", "status": "completed", "occurrenceDateTime": day}
}

// card returns the JSON of a card of these resources.
func card(t testing.TB, resources ...object) []byte {
	t.Helper()
	var entries []any
	for _, r := range resources {
		entries = append(entries, object{"fullUrl": "resource:0", "resource": r})
	}
	raw, err := json.Marshal(object{"iss": site, "nbf": 1_700_000_000.5, "exp": 1_900_000_000, "vc": object{
		"type": []string{cardType}, "credentialSubject": object{"fhirVersion": "4.0.1", "fhirBundle": object{"entry": entries}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestRead(t *testing.T) {
	s := newSigner(t)
	parse := func(resources ...object) claim.Claims {
		c, ok := Parse(Prefix+digits(s.sign(t, deflate(t, card(t, resources...)))), s.trust())
		if !ok {
			t.Fatal("no card")
		}
		return c
	}
	c := parse(patient(), dose("2021-03-01"), dose("2021-10-05T08:00:00Z"), object{"resourceType": "Organization", "name": "Clinic"})
	if !c.Verified || c.Person.Name != "Nguyễn Văn Đạt" || c.Person.Birth != "1990-02-03" {
		t.Errorf("%+v: %s", c.Reason, c.Detail)
	}
	if keys := c.Keys(); len(keys) != 1 || keys[0] != "proof:NGUYEN VAN DAT|1990-02-03" {
		t.Errorf("keys %q", keys)
	}
	want := claim.Proof{Use: claim.UseDose, Doses: 2, Date: "2021-10-05", Issued: time.Unix(1_700_000_000, 0).UTC(), Expires: time.Unix(1_900_000_000, 0).UTC()}
	if *c.Proof != want {
		t.Errorf("%s %d %s %v %v", c.Proof.Use, c.Proof.Doses, c.Proof.Date, c.Proof.Issued, c.Proof.Expires)
	}
	test := object{"resourceType": "Observation", "status": "final", "effectiveDateTime": "2021-11-01"}
	if p := parse(patient(), test).Proof; p.Use != claim.UseTest || p.Date != "2021-11-01" || p.Doses != 0 {
		t.Errorf("a test: %s %s", p.Use, p.Date)
	}
	if p := parse(patient(), test, dose("2021-03-01")).Proof; p.Use != claim.UseDose || p.Date != "2021-03-01" {
		t.Errorf("a test and a dose: %s %s", p.Use, p.Date)
	}
	if p := parse(patient(), dose("2021-03-01"), dose("2021-13-01"), dose("2021-05-01")).Proof; p.Doses != 3 || p.Date != "" {
		t.Errorf("a day that is none: %s", p.Date)
	}
	undone := dose("2021-10-05")
	undone["status"] = "not-done"
	nameless := patient()
	delete(nameless, "name")
	for want, resources := range map[string][]object{
		"it says nothing of the person": {patient(), undone},
		"no name":                       {dose("2021-03-01"), nameless},
		"two people":                    {patient(), patient(), dose("2021-03-01")},
	} {
		if c := parse(resources...); c.Reason != entry.ReasonMalformed || c.Detail != want {
			t.Errorf("%s: %s %s", want, c.Reason, c.Detail)
		}
	}
}

func TestRefused(t *testing.T) {
	s, other := newSigner(t), newSigner(t)
	good := card(t, patient(), dose("2021-03-01"))
	token := s.sign(t, deflate(t, good))
	parts := strings.Split(token, ".")
	bomb := bytes.Repeat([]byte(" "), maxInflated+1)
	elsewhere := s.trust()
	elsewhere.Issuers[0].Site += "/other"
	tests := s.trust()
	tests.Issuers[0].Uses = []claim.Use{claim.UseTest}
	both := claim.Trust{Issuers: append(slices.Clone(elsewhere.Issuers), s.trust().Issuers...)}
	otherKind := s.trust()
	otherKind.Issuers[0].Site = "" // of a certificate
	for name, test := range map[string]struct {
		token  string
		trust  claim.Trust
		reason entry.Reason
		detail string
	}{
		"good":                    {token, s.trust(), "", ""},
		"nobody trusted":          {token, claim.Trust{}, entry.ReasonSigner, "no trusted issuer's"},
		"another address":         {token, elsewhere, entry.ReasonSigner, "no trusted issuer's"},
		"one key, two addresses":  {token, both, "", ""},
		"a key of certificates":   {token, otherKind, entry.ReasonSigner, "no trusted issuer's"},
		"a key for tests":         {token, tests, entry.ReasonSigner, "not for this kind"},
		"another's signature":     {other.sign(t, deflate(t, good)), s.trust(), entry.ReasonSignature, "does not fit"},
		"two parts":               {parts[0] + "." + parts[1], s.trust(), entry.ReasonMalformed, "not a signed token"},
		"a payload with a tail":   {s.sign(t, append(deflate(t, good), 0)), s.trust(), entry.ReasonMalformed, "not deflated"},
		"a bomb":                  {s.sign(t, deflate(t, bomb)), s.trust(), entry.ReasonMalformed, "not deflated"},
		"a small bomb":            {s.sign(t, deflate(t, append(bomb[:maxInflated/2:maxInflated/2], good...))), s.trust(), entry.ReasonMalformed, "not deflated"},
		"a payload of text":       {s.sign(t, deflate(t, []byte("health"))), s.trust(), entry.ReasonMalformed, "not the claims of a card"},
		"a signature of 63 bytes": {token[:len(token)-2], s.trust(), entry.ReasonMalformed, "not 64 bytes"},
	} {
		c, ok := Parse(Prefix+digits(test.token), test.trust)
		if !ok || c.Reason != test.reason || !strings.Contains(c.Detail, test.detail) {
			t.Errorf("%s: %v, %s, %s", name, ok, c.Reason, c.Detail)
		}
		if c.Reason != "" && (c.Person != claim.Person{} || c.Proof != nil) {
			t.Errorf("%s names a person", name)
		}
	}
}

// A card in several codes is put together in any order, one at a time, and no two cards are mixed.
func TestJoiner(t *testing.T) {
	s := newSigner(t)
	long := patient()
	long["note"] = strings.Repeat("x", 40)
	resources := []object{long}
	for i := range 40 {
		d := dose(fmt.Sprintf("2021-03-%02d", i%28+1))
		d["lot"] = fmt.Sprintf("%x", sha256.Sum256([]byte{byte(i)}))
		resources = append(resources, d)
	}
	split := func(token string, of int) (codes []string) {
		for i := range of {
			codes = append(codes, fmt.Sprintf("%s%d/%d/%s", Prefix, i+1, of, digits(token[i*len(token)/of:(i+1)*len(token)/of])))
		}
		return codes
	}
	token := s.sign(t, deflate(t, card(t, resources...)))
	if len(token) <= maxSingle || len(token) > 3*maxChunk {
		t.Fatalf("a token of %d characters", len(token))
	}
	a, b := split(token, 3), split(s.sign(t, deflate(t, card(t, resources[:30]...))), 3)
	now := time.Unix(1_800_000_000, 0)
	var j Joiner
	for _, step := range []struct {
		code     string
		have, of int
		later    time.Duration
	}{
		{a[2], 1, 3, 0},
		{a[2], 1, 3, 0},
		{a[0], 2, 3, time.Second},
		{b[2], 1, 3, time.Second}, // another card
		{a[0], 2, 3, time.Second}, // which nobody can tell yet
		{b[0], 1, 3, time.Second},
		{b[2], 2, 3, time.Second},
		{a[1], 1, 3, patience + time.Second},
		{a[0], 2, 3, 0},
		{a[2], 3, 3, 0},
	} {
		now = now.Add(step.later)
		whole, have, of, ok := j.Add(step.code, now)
		if !ok || have != step.have || of != step.of || (whole != "") != (have == of) {
			t.Errorf("%.12s: %d of %d, %v", step.code, have, of, ok)
		}
		if whole == "" {
			continue
		}
		if c, ok := Parse(whole, s.trust()); !ok || !c.Verified || c.Proof.Doses != 40 {
			t.Errorf("the whole card: %s, %s", c.Reason, c.Detail)
		}
	}
	for _, code := range []string{"", "HC1:6BF", Prefix + "5676", Prefix + "1/1/5676", Prefix + "0/2/5676", Prefix + "3/2/5676", Prefix + "1/9/5676", Prefix + "1/2/567", Prefix + "1/2/" + strings.Repeat("56", maxChunk+1), Prefix + "1/2/"} {
		if _, _, _, ok := j.Add(code, now); ok {
			t.Errorf("%.20q is a part", code)
		}
	}
	mixed := ""
	for _, code := range []string{a[0], a[1], b[2]} {
		mixed, _, _, _ = j.Add(code, now)
	}
	if c, ok := Parse(mixed, s.trust()); ok && c.Verified {
		t.Error("a card made of two verifies")
	}
}

func FuzzParse(f *testing.F) {
	s := newSigner(f)
	token := s.sign(f, deflate(f, card(f, patient(), dose("2021-03-01"))))
	f.Add(token)
	f.Add(Prefix + digits(token))
	f.Add(Prefix + "1/2/" + digits(token[:40]))
	trust := s.trust()
	f.Fuzz(func(t *testing.T, text string) {
		c, ok := Parse(text, trust)
		if ok && c.Verified != (c.Reason == "") {
			t.Errorf("%v, %s", c.Verified, c.Reason)
		}
		var j Joiner
		if whole, have, of, ok := j.Add(text, time.Time{}); ok && (whole != "" || have != 1 || of < 2) {
			t.Errorf("one code is %d of %d", have, of)
		}
	})
}

// FuzzPayload reads payloads as if they were signed.
func FuzzPayload(f *testing.F) {
	f.Add(card(f, patient(), dose("2021-03-01")))
	f.Fuzz(func(t *testing.T, raw []byte) {
		c, _, err := read(raw)
		if err == nil && (c.Person.Name == "" || c.Proof.Use == "" || c.Proof.Issued.IsZero()) {
			t.Errorf("%+v", c.Proof)
		}
	})
}
