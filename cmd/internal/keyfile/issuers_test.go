package keyfile

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func certificate(t *testing.T, curve elliptic.Curve) []byte {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<32, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// One bad certificate in a list is told and left out; a folder of bad ones alone is an error.
func TestIssuers(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, text []byte) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	block := func(der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}) }
	good, other := certificate(t, elliptic.P256()), certificate(t, elliptic.P384())
	broken := bytes.Clone(good)
	broken[20] ^= 0xff
	write("broken.pem", block(broken))
	write("weak.pem", block(certificate(t, elliptic.P224())))
	write("empty.crt", nil)
	write("notes.txt", []byte("no certificate"))
	if _, refused, err := Issuers(dir); err == nil || len(refused) != 3 {
		t.Errorf("bad ones alone: %v, %v", refused, err)
	}
	write("a.der", good)
	write("b.pem", append(append([]byte("two of them\n"), block(good)...), block(other)...))
	issuers, refused, err := Issuers(dir)
	if err != nil || len(issuers) != 3 || !bytes.Equal(issuers[0].ID, issuers[1].ID) || bytes.Equal(issuers[0].ID, issuers[2].ID) {
		t.Fatalf("%d issuers, %v", len(issuers), err)
	}
	names := []string{}
	for _, err := range refused {
		name, _, _ := strings.Cut(err.Error(), ":")
		names = append(names, name)
	}
	if got := strings.Join(names, " "); got != "broken.pem empty.crt weak.pem" {
		t.Errorf("refused: %v", refused)
	}
	if _, _, err := Issuers(filepath.Join(dir, "missing")); err == nil {
		t.Error("no folder is no error")
	}
}
