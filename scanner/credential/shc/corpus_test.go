package shc

import (
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"

	"gatepost/scanner/corpustest"
	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/trust"
)

const (
	exampleSite = "https://spec.smarthealth.cards/examples/issuer"
	testdata    = "smart-health-cards/testdata"
)

// exampleTrust is the example issuer's keys.
func exampleTrust(t *testing.T) claim.Trust {
	t.Helper()
	issuers, refused, err := trust.Read(corpustest.Read(t, "smart-health-cards/jwks/spec.smarthealth.cards-examples-issuer.jwks.json"), exampleSite)
	if err != nil || len(issuers) != 2 || len(refused) != 0 {
		t.Fatalf("%d issuers, %v, %v", len(issuers), refused, err)
	}
	return claim.Trust{Issuers: issuers}
}

// digits writes a token as one code has it.
func digits(token string) string {
	var b strings.Builder
	for _, c := range []byte(token) {
		b.WriteByte('0' + (c-45)/10)
		b.WriteByte('0' + (c-45)%10)
	}
	return b.String()
}

// cards returns what a file shows a gate: the codes of a token, of a file's tokens, or the code that it holds.
func cards(t *testing.T, name string) (codes []string) {
	raw := string(corpustest.Read(t, testdata, name))
	switch {
	case strings.HasSuffix(name, ".smart-health-card") || strings.HasSuffix(name, ".wrong-extension"):
		var file struct {
			Cards []string `json:"verifiableCredential"`
		}
		if err := json.Unmarshal([]byte(raw), &file); err != nil {
			t.Fatal(err)
		}
		for _, c := range file.Cards {
			codes = append(codes, Prefix+digits(c))
		}
	case strings.Contains(name, "-d-jws-"):
		codes = []string{Prefix + digits(raw)}
	case strings.Contains(name, "numeric"):
		codes = []string{raw}
	}
	return codes
}

// wanted is what a gate that trusts the example issuer says of the files: "good", or the reason, and what the detail tells.
var wanted = map[string]string{
	"-1195-byte-qrnumeric.txt":                                    "good",
	"-00-d-jws-bad-fhir-metadata.txt":                             "good", // a gate reads no metadata
	"-00-e-file-multi-jws.smart-health-card":                      "good",
	"-00-e-file-trailing_chars.smart-health-card":                 "good", // they stand behind the cards
	"-00-e-file.wrong-extension":                                  "good",
	"-00-d-jws-invalid-signature.txt":                             "signature: the signature does not fit",
	"-00-d-jws-der-signature.txt":                                 "malformed: its signature is not 64 bytes",
	"-00-d-jws-der-signature-r-neg.txt":                           "malformed: its signature is not 64 bytes",
	"-00-d-jws-der-signature-s-neg.txt":                           "malformed: its signature is not 64 bytes",
	"-00-d-jws-der-signature-rs-neg.txt":                          "malformed: its signature is not 64 bytes",
	"-00-d-jws-issuer-kid-mismatch.txt":                           "signer: kid",
	"-00-d-jws-issuer-not-valid-with-smart-key.txt":               "signer: kid",
	"-00-d-jws-wrong_jws_header_kid.txt":                          "signer: kid",
	"-00-e-file-bad_jwks.smart-health-card":                       "signer: kid",
	"-00-e-file-invalid_issuer_url.smart-health-card":             "signer: kid",
	"-00-e-file-invalid_issuer_url_http.smart-health-card":        "signer: kid",
	"-00-e-file-issuer_url_with_trailing_slash.smart-health-card": "signer: kid",
	"-00-d-jws-no_jws_header_alg.txt":                             "malformed: signed with \"\"",
	"-00-d-jws-no_jws_header_zip.txt":                             "malformed: signed with \"ES256\" and packed with \"\"",
	"-00-d-jws-no_jws_header_kid.txt":                             "malformed: its kid is no thumbprint",
	"-00-d-jws-jws_too_long.txt":                                  "malformed: longer than the 1195 characters",
	"-00-e-file-jws_too_long.smart-health-card":                   "malformed: longer than the 1195 characters",
	"-00-d-jws-no_deflate.txt":                                    "malformed: longer than the 1195 characters",
	"-00-e-file-no_deflate.smart-health-card":                     "malformed: longer than the 1195 characters",
	"-00-e-file-invalid_deflate.smart-health-card":                "malformed: its payload is not deflated",
	"-00-d-jws-utf8_bom_prefix.txt":                               "malformed: not the claims of a card",
	"-00-d-jws-trailing_chars.txt":                                "malformed: something else than digits",
	"-00-f-qr-code-numeric-value-0-odd-count.txt":                 "malformed: an odd number",
	"-00-f-qr-code-numeric-value-0-number-too-big.txt":            "malformed: a pair of digits that is no character",
	"-00-f-qr-code-numeric-value-0-index-out-of-range.txt":        "malformed: one of several",
	"-00-f-qr-code-numeric-value-0-wrong-multi-chunk.txt":         "malformed: one of several",
	"-00-f-qr-code-numeric-value-0-wrong_qr_header.txt":           "none",
	"-00-f-qr-code-numeric-value-0-trailing_chars.txt":            "none", // spaces before it
}

// The specification's own cards: the good ones verify, and each broken one is refused for what is broken. Those that are not in
// the table have codes of which a card may not have so many, or such long ones.
func TestCorpus(t *testing.T) {
	keys, dir := exampleTrust(t), corpustest.Path(t, testdata)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	read, good := 0, 0
	for _, f := range files {
		name, ok := strings.CutPrefix(f.Name(), "test-example")
		if f.IsDir() || !ok {
			continue
		}
		want, known := wanted[name]
		if strings.Contains(name, "qr_chunk_too") && strings.HasSuffix(name, ".txt") {
			want, known = "malformed: one of several", true
		}
		codes := cards(t, f.Name())
		if strings.HasSuffix(name, "multi-jws-issues.smart-health-card") {
			want, known, codes = "malformed: signed with \"\"", true, codes[:1] // the other is good
		}
		if len(codes) > 0 && !known {
			t.Errorf("%s is not in the table", name)
		}
		for _, code := range codes {
			read++
			got := "good"
			if c, ok := Parse(code, keys); !ok {
				got = "none"
			} else if c.Reason != "" {
				got = string(c.Reason) + ": " + c.Detail
			} else if good++; !c.Verified || c.Person.Name == "" || c.Proof.Doses < 1 || c.Proof.Date == "" {
				t.Errorf("%s: verified and says too little", name)
			}
			if !strings.HasPrefix(got, want) {
				t.Errorf("%s: %s, want %s", name, got, want)
			}
		}
	}
	t.Logf("%d codes, %d of them good", read, good)
	if read < 53 || good < 6 {
		t.Errorf("%d codes, %d of them good", read, good)
	}
}

// Payloads that were never signed: what stands in them is judged before anybody's key is.
func TestPayloads(t *testing.T) {
	for name, want := range map[string]string{
		"exp_milliseconds": "no time until which", "nbf_milliseconds": "no time from which", "missing-shc-vc-type": "no health card",
		"expired": "", "nbf_not_yet_valid": "", "missing-covid-vc-type": "", "missing-imm-vc-type": "", "missing-coding": "", "optional-vc-type": "",
		"pre-expired": "", "unknown-vc-types": "", "trailing_chars": "",
	} {
		_, _, err := read(corpustest.Read(t, testdata, "test-example-00-b-jws-payload-expanded-"+name+".json"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// The example's keys that are no key of an issuer are told, each for what is wrong.
func TestKeys(t *testing.T) {
	for name, want := range map[string]string{
		"valid_key.json": "", "valid_keys.json": "", "valid_key_with_x5c.json": "",
		"wrong_kid_key.json": "its kid is not its thumbprint", "wrong_alg_key.json": "signs with", "wrong_curve_key.json": "a key of kind",
		"wrong_kty_key.json": "signs with", "wrong_use_key.json": "for the use",
	} {
		issuers, refused, err := trust.Read(corpustest.Read(t, testdata, name), exampleSite)
		if want == "" && (err != nil || len(refused) > 0 || len(issuers) == 0) || want != "" && !strings.Contains(errors.Join(refused...).Error(), want) {
			t.Errorf("%s: %d issuers, %v, %v", name, len(issuers), refused, err)
		}
	}
}
