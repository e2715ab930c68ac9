package hc1

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/scanner/corpustest"
	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// A vector is one file of dgc-testdata.
type vector struct {
	Code    string `json:"PREFIX"`
	Context struct {
		Certificate string `json:"CERTIFICATE"`
	} `json:"TESTCTX"`
	Expected map[string]any `json:"EXPECTEDRESULTS"`
}

// good reports whether a vector's certificate is one, as far as that can be told without a clock.
func (v vector) good() bool {
	for _, key := range []string{"EXPECTEDVERIFY", "EXPECTEDDECODE", "EXPECTEDUNPREFIX", "EXPECTEDB45DECODE", "EXPECTEDCOMPRESSION", "EXPECTEDKEYUSAGE"} {
		if v.Expected[key] == false {
			return false
		}
	}
	return true
}

// exceptions are the vectors that are read otherwise than they say, and why.
var exceptions = map[string]string{
	"common/DGC1.json": "its signature holds, and it names nobody",
}

// The EU's vectors: those that are to verify do, the others do not, and whoever signed is all that is trusted.
func TestCorpus(t *testing.T) {
	root := corpustest.Path(t, "dgc-testdata")
	read, right := 0, 0
	err := filepath.WalkDir(root, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		name = strings.Replace(filepath.ToSlash(name), "/2DCode/raw/", "/", 1)
		var v vector
		if json.Unmarshal(bytes.TrimPrefix(text, []byte("\ufeff")), &v) != nil || v.Code == "" || v.Context.Certificate == "" {
			t.Logf("%s: no vector", name)
			return nil
		}
		read++
		der, err := base64.StdEncoding.DecodeString(v.Context.Certificate)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			return nil
		}
		i, err := claim.NewIssuer(der)
		c, ok := Parse(v.Code, claim.Trust{Issuers: []claim.Issuer{i}})
		got := ok && c.Verified
		switch why, known := exceptions[name]; {
		case got == v.good() && known:
			t.Errorf("%s is no exception any more: %s", name, why)
		case got != v.good() && !known:
			t.Errorf("%s: verified %v, want %v: %s %s, certificate %v, expected %v", name, got, v.good(), c.Reason, c.Detail, err, v.Expected)
		case got == v.good():
			right++
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if read < 430 || right < read-len(exceptions) {
		t.Errorf("%d of %d vectors are read as they say", right, read)
	}
	t.Logf("%d of %d vectors are read as they say, %d exceptions", right, read, len(exceptions))
}

// The Vietnamese passport's sample is read, and the Ministry's production certificate can be trusted; it has not signed the
// sample, so that is not verified.
func TestVietnam(t *testing.T) {
	text := corpustest.Read(t, "vietnam", "VAC_VN.hc1.txt")
	msg, detail := unwrap(strings.TrimPrefix(strings.TrimRight(string(text), "\r\n"), Prefix))
	if detail != "" {
		t.Fatal(detail)
	}
	c, err := read(msg.Payload)
	if err != nil || c.Proof.Use != claim.UseDose || c.Proof.Doses < 1 || c.Person.Birth == "" || c.Proof.Expires.IsZero() {
		t.Errorf("%v, %+v", err, struct{ claim.Proof }{*c.Proof})
	}
	if year := c.Proof.Expires.Year(); year != 2025 {
		t.Errorf("it expires in %d", year)
	}
	file := corpustest.Read(t, "vietnam", "VN_production_DSC_ZtJVElOdWm0.pem")
	block, _ := pem.Decode(file)
	if block == nil {
		t.Fatal("no PEM")
	}
	i, err := claim.NewIssuer(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	if !i.May(claim.UseDose) { // its key usages are others than the EU's
		t.Error("the Ministry's key may not sign a dose")
	}
	got, _ := Parse(strings.TrimRight(string(text), "\r\n"), claim.Trust{Issuers: []claim.Issuer{i}})
	t.Logf("%s: %s", got.Reason, got.Detail)
	if got.Verified == (got.Reason != "") {
		t.Errorf("%+v", got.Reason)
	}
	if got.Reason != "" && got.Reason != entry.ReasonSigner && got.Reason != entry.ReasonSignature {
		t.Errorf("%s: %s", got.Reason, got.Detail)
	}
}
