package trust

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"strings"
	"testing"
	"time"

	"gatepost/scanner/credential/claim"
)

var std, raw = base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString

func newKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	k, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func newCertificate(t testing.TB, key crypto.Signer) []byte {
	t.Helper()
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func spki(t testing.TB, key crypto.PublicKey) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// Every form in which authorities publish keys gives the same key, under the name by which codes call it.
func TestRead(t *testing.T) {
	k := newKey(t, elliptic.P256())
	point, err := k.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	x, y := raw(point[1:33]), raw(point[33:])
	der, key := newCertificate(t, k), spki(t, k.Public())
	sum := sha256.Sum256(der)
	kid := std(sum[:8])
	long := strings.Repeat(" ", 1200)
	for name, test := range map[string]struct {
		text string
		id   []byte
	}{
		"DER":          {string(der), sum[:]},
		"PEM":          {"VN\n" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), sum[:]},
		"a PEM's key":  {string(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: key})), nil},
		"JWKS":         {fmt.Sprintf(`{"keys":[{"kty":"EC","kid":%q,"crv":"P-256","x":%q,"y":%q}]}`, kid, x, y), sum[:8]},
		"JWKS, x5c":    {fmt.Sprintf(`{"keys":[{"kty":"EC","kid":%q,"x5c":[%q],"crv":"P-256","x":%q,"y":%q}]}`, kid, std(der), x, y), sum[:]},
		"did.json":     {fmt.Sprintf(`{"id":"did:web:x","verificationMethod":[{"id":"did:web:x#%s","type":"JsonWebKey2020","publicKeyJwk":{"kty":"EC","crv":"P-256","x":%q,"y":%q}}]}`, strings.ReplaceAll(strings.ReplaceAll(kid, "/", "%2F"), "+", "%2B"), x, y), sum[:8]},
		"signed line":  {"c2lnbmF0dXJl\n" + fmt.Sprintf(`{"certificates":[{"certificateType":"DSC","country":"DE","kid":%q,"rawData":%q,"thumbprint":"00"}]}`, kid, std(der)), sum[:]},
		"JWT":          {"eyJhbGciOiJFUzI1NiJ9." + raw(fmt.Appendf(nil, `{"dsc_trust_list":{"SE":{"keys":[{"kty":"EC","kid":%q,"x5c":[%q]}]}}}`, kid, std(der))) + ".AA", sum[:]},
		"by kid":       {fmt.Sprintf(`{"eu_keys":{%q:[{"subjectPk":%q,"keyUsage":[]}]}}`, kid, std(key)), sum[:8]},
		"enveloped":    {fmt.Sprintf(`{"signature":"AA","payload":%q}`, std(fmt.Appendf(nil, `{"eu_keys":{%q:[{"subjectPk":%q,"keyUsage":[]}]}}%s`, kid, std(key), long))), sum[:8]},
		"a plain list": {fmt.Sprintf("\ufeff"+`[{"kid":%q,"publicKey":%q}]`, kid, std(key)), sum[:8]},
		"keyId":        {fmt.Sprintf(`{"certs":[{"keyId":%q,"alg":"ES256","subjectPublicKeyInfo":%q,"crv":"P-256"}]}`, kid, std(key)), sum[:8]},
	} {
		issuers, refused, err := Read([]byte(test.text), "")
		if err != nil || len(issuers) != 1 || len(refused) != 0 {
			t.Errorf("%s: %d keys, %v, %v", name, len(issuers), refused, err)
			continue
		}
		if i := issuers[0]; !k.PublicKey.Equal(i.Key) || !bytes.Equal(i.ID, test.id) || i.Site != "" || len(i.Uses) != 0 {
			t.Errorf("%s: another key, or called %x", name, i.ID)
		}
	}
}

// A kid may name several keys: each counts, and one that comes twice counts once.
func TestOneKidOfTwoKeys(t *testing.T) {
	a, b := std(spki(t, newKey(t, elliptic.P256()).Public())), std(spki(t, newKey(t, elliptic.P256()).Public()))
	issuers, refused, err := Read(fmt.Appendf(nil, `{"eu_keys":{"AAECAwQFBgc=":[{"subjectPk":%q},{"subjectPk":%q},{"subjectPk":%q}]}}`, a, b, a), "")
	if err != nil || len(refused) > 0 || len(issuers) != 2 || !bytes.Equal(issuers[0].ID, issuers[1].ID) {
		t.Errorf("%d keys, %v, %v", len(issuers), refused, err)
	}
}

func TestRSA(t *testing.T) {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	issuers, _, err := Read(fmt.Appendf(nil, `{"keys":[{"kty":"RSA","kid":"AAECAwQFBgc","use":"sig","n":%q,"e":"AQAB"}]}`, raw(k.N.Bytes())), "")
	if err != nil || len(issuers) != 1 || !k.PublicKey.Equal(issuers[0].Key) {
		t.Errorf("%v, %d keys", err, len(issuers))
	}
}

func TestUses(t *testing.T) {
	key := std(spki(t, newKey(t, elliptic.P256()).Public()))
	issuers, _, err := Read(fmt.Appendf(nil, `{"eu_keys":{"AAECAwQFBgc=":[{"subjectPk":%q,"keyUsage":["v","r"]}]}}`, key), "")
	if err != nil || len(issuers) != 1 || issuers[0].May(claim.UseTest) || !issuers[0].May(claim.UseDose) || !issuers[0].May(claim.UseRecovery) {
		t.Errorf("%v, %v", issuers, err)
	}
}

// What cannot be used is told by its kid, and the rest of the list is read.
func TestRefused(t *testing.T) {
	good := std(spki(t, newKey(t, elliptic.P256()).Public()))
	weak := std(spki(t, newKey(t, elliptic.P224()).Public()))
	issuers, refused, err := Read(fmt.Appendf(nil, `[{"kid":"a1","publicKey":%q},{"kid":"b2","publicKey":%q},{"kid":"c3","publicKey":"AAAA"},
		{"kid":"d4","kty":"EC","d":"AAAA"},{"kid":"e5","kty":"RSA","n":"AAAA","e":"AQAB"},{"kid":"f6","kty":"RSA","n":"AAAA","e":"AQABAQAB"},
		{"kid":"g7","kty":"EC","crv":"P-256","x":"AAAA","y":"AAAA"},{"kid":"h8","kty":"OKP"},{"kid":"i9","kty":"EC","x5c":["AAAA"]}]`, good, weak), "")
	if err != nil || len(issuers) != 1 || len(refused) != 8 {
		t.Fatalf("%d keys, %d refused, %v: %v", len(issuers), len(refused), err, refused)
	}
	for i, want := range []string{`"b2": a key on P-224`, `"c3": `, `"d4": a private key`, `"e5": an RSA key of`, `"f6": an exponent`, `"g7": `, `"h8": a key of kind "OKP"`, `"i9": certificate`} {
		if !strings.Contains(refused[i].Error(), want) {
			t.Errorf("%v, want %s", refused[i], want)
		}
	}
	for _, text := range []string{"", "{}", "null", "hello", "0", "eyJ.e30.AA", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"} {
		if _, _, err := Read([]byte(text), ""); err == nil {
			t.Errorf("%q is a list of keys", text)
		}
	}
}

func sample(t testing.TB) claim.Trust {
	pub, _, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return claim.Trust{
		Made: time.Date(2026, 11, 27, 4, 0, 0, 0, time.UTC), Declarers: []ed25519.PublicKey{pub},
		Issuers: []claim.Issuer{
			{Key: newKey(t, elliptic.P256()).Public(), ID: []byte("12345678"), Uses: []claim.Use{claim.UseDose}},
			{Key: newKey(t, elliptic.P384()).Public(), Site: "https://clinic.example/cards"},
		},
	}
}

func TestBundle(t *testing.T) {
	want := sample(t)
	text, err := Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil || !got.Made.Equal(want.Made) || len(got.Declarers) != 1 || !got.Declarers[0].Equal(want.Declarers[0]) || len(got.Issuers) != 2 {
		t.Fatalf("%v, %+v", err, got)
	}
	for i, g := range got.Issuers {
		w := want.Issuers[i]
		if !w.Key.(*ecdsa.PublicKey).Equal(g.Key) || !bytes.Equal(g.ID, w.ID) || g.Site != w.Site || fmt.Sprint(g.Uses) != fmt.Sprint(w.Uses) {
			t.Errorf("issuer %d: %+v", i+1, g)
		}
	}
}

func TestBundleRefused(t *testing.T) {
	text, err := Marshal(sample(t))
	if err != nil {
		t.Fatal(err)
	}
	for want, from := range map[string][2]string{
		"unknown field":     {`"schema"`, `"scheme"`},
		"schema 2":          {`"schema": 1`, `"schema": 2`},
		"with a time":       {`"made": "2026-11-27T04:00:00Z",`, ``},
		"declarer 1":        {`"declarers": [`, `"declarers": ["AAAA",`},
		`use "x"`:           {`"dose"`, `"x"`},
		"no https address":  {`https://clinic`, `http://clinic`},
		"issuer 1":          {`"key": "MFkw`, `"key": "MFkx`},
		"stands behind":     {"]\n}\n", "]\n}\n{}"},
		"an id of 66 bytes": {`"MTIzNDU2Nzg="`, `"` + std(bytes.Repeat([]byte{1}, 66)) + `"`},
		"exceeds":           {"{", strings.Repeat(" ", MaxBundle) + "{"},
		"unexpected EOF":    {"]\n}\n", "]\n"},
		"cannot unmarshal":  {`"issuers": [`, `"issuers": ["x",`},
		"illegal base64":    {`"key": "MFkw`, `"key": "!Fkw`},
	} {
		changed := strings.Replace(string(text), from[0], from[1], 1)
		if changed == string(text) {
			t.Errorf("%s: nothing is changed", want)
		}
		if got, err := Parse([]byte(changed)); err == nil || !strings.Contains(err.Error(), want) || len(got.Issuers) > 0 {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"keys":[{"kty":"RSA","kid":"AAECAwQFBgc","n":"AAAA","e":"AQAB"}]}`), "")
	f.Add([]byte(`[{"kid":"a","publicKey":"AAAA"}]`), "https://a.example")
	f.Add([]byte("eyJ.e30.AA"), "")
	f.Fuzz(func(t *testing.T, text []byte, site string) {
		issuers, _, err := Read(text, site)
		if (err == nil) != (len(issuers) > 0) {
			t.Errorf("%d keys, %v", len(issuers), err)
		}
		for _, i := range issuers {
			if claim.CheckKey(i.Key) != nil || i.Site != site {
				t.Errorf("a key that no issuer may have")
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	text, err := Marshal(sample(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Fuzz(func(t *testing.T, text []byte) {
		b, err := Parse(text)
		if err != nil {
			return
		}
		if _, err := Marshal(b); err != nil {
			t.Error(err)
		}
	})
}
