package keyfile_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
)

func TestCreate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	for _, kind := range keyfile.Kinds() {
		if err := keyfile.Create(dir, kind, kind); err != nil {
			t.Fatal(err)
		}
		private, public := filepath.Join(dir, kind+".key"), filepath.Join(dir, kind+".pub.pem")
		if info, err := os.Stat(private); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: mode %v, %v", kind, info.Mode(), err)
		}
		print, err := keyfile.Fingerprint(public)
		if err != nil || len(print) != 16 {
			t.Errorf("%s: fingerprint %q, %v", kind, print, err)
		}
		if kind == keyfile.Authority {
			k, err := keyfile.SealPrivate(private)
			if err != nil {
				t.Fatal(err)
			}
			if p, err := keyfile.SealPublic(public); err != nil || !k.PublicKey().Equal(p) {
				t.Errorf("%s: the pair does not fit, %v", kind, err)
			}
			continue
		}
		k, err := keyfile.Private(private)
		if err != nil {
			t.Fatal(err)
		}
		p, err := keyfile.Public(public)
		if err != nil || !p.Equal(k.Public()) {
			t.Errorf("%s: the pair does not fit, %v", kind, err)
		}
		if print != entry.DeviceID(p) {
			t.Errorf("%s: fingerprint %s is not the id %s", kind, print, entry.DeviceID(p))
		}
	}
	keys, err := keyfile.Dir(dir)
	if err != nil || len(keys) != len(keyfile.Kinds())-1 || keys["declarer"] == nil {
		t.Errorf("the folder holds %d keys, %v", len(keys), err)
	}
}

func TestNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	if err := keyfile.Create(dir, "device", "device"); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(filepath.Join(dir, "device.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := keyfile.Create(dir, "device", "device"); err == nil || !strings.Contains(err.Error(), "not overwritten") {
		t.Errorf("got %v", err)
	}
	after, _ := os.ReadFile(filepath.Join(dir, "device.key"))
	if !bytes.Equal(before, after) {
		t.Error("the key is another")
	}
	// With only the public half in the way, no private half is left behind.
	os.Remove(filepath.Join(dir, "device.key"))
	if err := keyfile.Create(dir, "device", "device"); err == nil {
		t.Error("a public key was overwritten")
	}
	if _, err := os.Stat(filepath.Join(dir, "device.key")); !os.IsNotExist(err) {
		t.Errorf("a private half is left: %v", err)
	}
}

func TestCreateRefuses(t *testing.T) {
	for _, name := range []string{"", "a/b", "..", ".hidden"} {
		if err := keyfile.Create(t.TempDir(), name, "device"); err == nil {
			t.Errorf("name %q is taken", name)
		}
	}
	if err := keyfile.Create(t.TempDir(), "x", "rsa"); err == nil {
		t.Error("kind rsa is taken")
	}
}

// foreign returns a certificate with an ECDSA key, as other systems' trust lists hold.
func foreign(t *testing.T) []byte {
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, k.Public(), k)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

func TestDir(t *testing.T) {
	dir := t.TempDir()
	put := func(name string, b []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pub, key, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		t.Fatal(err)
	}
	block := func(kind string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
	}
	put("plain.der", der)
	put("plain.pem", block("PUBLIC KEY", der))
	put("two.pub.pem", append(block("PUBLIC KEY", der), block("PUBLIC KEY", der)...))
	put("foreign.pem", block("CERTIFICATE", foreign(t)))
	put("notes.txt", []byte("no key"))
	keys, err := keyfile.Dir(dir)
	if err != nil || len(keys) != 4 || !keys["plain"].Equal(pub) || !keys["plain.pem"].Equal(pub) || !keys["two"].Equal(pub) || !keys["two-2"].Equal(pub) {
		t.Errorf("got %d keys, %v", len(keys), err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string][]byte{
		"empty.pem": nil, "text.pem": []byte("hello"), "bad.der": der[:20], "private.pem": block("PRIVATE KEY", secret),
		"damaged.pem": block("PUBLIC KEY", der[:20]), "big.pem": make([]byte, 70_000),
	} {
		put(name, bad)
		if _, err := keyfile.Dir(dir); err == nil || !strings.Contains(err.Error(), strings.TrimSuffix(name, ".pem")) {
			t.Errorf("%s: got %v", name, err)
		}
		os.Remove(filepath.Join(dir, name))
	}
	if _, err := keyfile.Dir(filepath.Join(dir, "absent")); err == nil {
		t.Error("an absent folder has keys")
	}
}

// A bundle holds keys that sign, and a slip in one spoils it whole.
func TestBundle(t *testing.T) {
	dir := t.TempDir()
	text := func(kind, name string) []byte {
		if err := keyfile.Create(dir, name, kind); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(filepath.Join(dir, name+".pub.pem"))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	one, two, sealing := text("declarer", "one"), text("declarer", "two"), text("authority", "sealing")
	secret, err := os.ReadFile(filepath.Join(dir, "one.key"))
	if err != nil {
		t.Fatal(err)
	}
	want, err := keyfile.Public(filepath.Join(dir, "two.pub.pem"))
	if err != nil {
		t.Fatal(err)
	}
	if keys, err := keyfile.Bundle(slices.Concat(one, two)); err != nil || len(keys) != 2 || !keys[1].Equal(want) {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	for name, bad := range map[string][]byte{"none": nil, "text": []byte("hello"), "private": slices.Concat(one, secret), "another kind": slices.Concat(one, sealing)} {
		if keys, err := keyfile.Bundle(bad); err == nil {
			t.Errorf("%s: %d keys", name, len(keys))
		}
	}
}

func TestWrongKind(t *testing.T) {
	dir := t.TempDir()
	for _, kind := range []string{"device", "authority"} {
		if err := keyfile.Create(dir, kind, kind); err != nil {
			t.Fatal(err)
		}
	}
	at := func(name string) string { return filepath.Join(dir, name) }
	fails := map[string]error{}
	_, fails["private of authority"] = keyfile.Private(at("authority.key"))
	_, fails["public of authority"] = keyfile.Public(at("authority.pub.pem"))
	_, fails["seal private of device"] = keyfile.SealPrivate(at("device.key"))
	_, fails["seal public of device"] = keyfile.SealPublic(at("device.pub.pem"))
	_, fails["private of public"] = keyfile.Private(at("device.pub.pem"))
	_, fails["public of private"] = keyfile.Public(at("device.key"))
	_, fails["absent"] = keyfile.Private(at("absent.key"))
	for name, err := range fails {
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: got %v, which names no file", name, err)
		}
	}
}
