// Package keyfile keeps keys as PEM files: private ones as PKCS#8 in NAME.key with mode 0600, public ones as
// PKIX in NAME.pub.pem. Errors name the file and what to do, and never show a key.
//
// It does not encrypt private keys: the disk's owner is trusted, and a gate must start with nobody there.
package keyfile

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// maxSize is the most bytes that a key's file may have; a long chain of certificates fits.
const maxSize = 64 << 10

// Private reads an Ed25519 private key.
func Private(path string) (ed25519.PrivateKey, error) {
	key, err := private(path)
	if err != nil {
		return nil, err
	}
	k, ok := key.(ed25519.PrivateKey)
	if !ok {
		return nil, fmt.Errorf("key %s is not an Ed25519 key: make one with \"gatectl keygen\"", path)
	}
	return k, nil
}

// SealPrivate reads the X25519 private key that opens seals.
func SealPrivate(path string) (*ecdh.PrivateKey, error) {
	key, err := private(path)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdh.PrivateKey)
	if !ok || k.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("key %s is not an X25519 key: make one with \"gatectl keygen -kind authority\"", path)
	}
	return k, nil
}

func private(path string) (any, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("key %s is not a private key in PEM (PKCS#8, \"BEGIN PRIVATE KEY\")", path)
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("key %s cannot be read as PKCS#8: it may be damaged, use its copy", path)
	}
	return key, nil
}

// Public reads an Ed25519 public key, or the one of a certificate.
func Public(path string) (ed25519.PublicKey, error) {
	key, err := public(path)
	if err != nil {
		return nil, err
	}
	k, ok := key.(ed25519.PublicKey)
	if !ok {
		return nil, fmt.Errorf("key %s is not an Ed25519 key: give the .pub.pem that \"gatectl keygen\" wrote", path)
	}
	return k, nil
}

// SealPublic reads the X25519 public key that personal parts are sealed to.
func SealPublic(path string) (*ecdh.PublicKey, error) {
	key, err := public(path)
	if err != nil {
		return nil, err
	}
	k, ok := key.(*ecdh.PublicKey)
	if !ok || k.Curve() != ecdh.X25519() {
		return nil, fmt.Errorf("key %s is not an X25519 key: give the .pub.pem that \"gatectl keygen -kind authority\" wrote", path)
	}
	return k, nil
}

func public(path string) (crypto.PublicKey, error) {
	keys, err := publics(path)
	if err != nil {
		return nil, err
	}
	if len(keys) != 1 {
		return nil, fmt.Errorf("key %s holds %d keys, where one is wanted", path, len(keys))
	}
	return keys[0], nil
}

// Dir reads the Ed25519 public keys of every *.pem and *.der of a folder, public keys and certificates, by the
// file's name without its endings; a second key of one file is "NAME-2", and a second file of one name goes by its whole name. Keys of other algorithms are left out:
// a folder may hold trust for other kinds of proofs too. A file that is no public key is an error.
func Dir(dir string) (map[string]ed25519.PublicKey, error) {
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("folder of keys: %w", err)
	}
	found := map[string]ed25519.PublicKey{}
	for _, f := range files {
		ext := filepath.Ext(f.Name())
		if ext != ".pem" && ext != ".der" || f.IsDir() {
			continue
		}
		keys, err := publics(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		name := strings.TrimSuffix(strings.TrimSuffix(f.Name(), ext), ".pub")
		for i, key := range keys {
			k, ok := key.(ed25519.PublicKey)
			if !ok {
				continue
			}
			id := name
			if i > 0 {
				id = fmt.Sprintf("%s-%d", name, i+1)
			}
			if _, taken := found[id]; taken {
				id = f.Name() // NAME.der beside NAME.pem
			}
			found[id] = k
		}
	}
	return found, nil
}

// publics reads all public keys of a file.
func publics(path string) ([]crypto.PublicKey, error) {
	raw, err := read(path)
	if err != nil {
		return nil, err
	}
	if filepath.Ext(path) == ".der" {
		key, err := parse(raw)
		if err != nil {
			return nil, fmt.Errorf("key %s is neither a certificate nor a public key in DER", path)
		}
		return []crypto.PublicKey{key}, nil
	}
	return blocks("key "+path, raw)
}

// Bundle reads Ed25519 public keys in PEM, one behind the other, as an order holds them. Keys of other algorithms are
// errors, and so is none at all.
func Bundle(pem []byte) ([]ed25519.PublicKey, error) {
	all, err := blocks("the text", pem)
	if err != nil {
		return nil, err
	}
	keys := make([]ed25519.PublicKey, len(all))
	for i, key := range all {
		k, ok := key.(ed25519.PublicKey)
		if !ok {
			return nil, fmt.Errorf("key %d is not an Ed25519 key", i+1)
		}
		keys[i] = k
	}
	return keys, nil
}

// blocks reads public keys in PEM; what names them in errors.
func blocks(what string, raw []byte) ([]crypto.PublicKey, error) {
	var keys []crypto.PublicKey
	for block, rest := pem.Decode(raw); block != nil; block, rest = pem.Decode(rest) {
		if strings.Contains(block.Type, "PRIVATE") {
			return nil, fmt.Errorf("%s is a private key, where a public one is wanted: keep it out of here", what)
		}
		key, err := parse(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("%s: %q is neither a certificate nor a public key", what, block.Type)
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return nil, fmt.Errorf("%s holds no public key in PEM (\"BEGIN PUBLIC KEY\")", what)
	}
	return keys, nil
}

func parse(der []byte) (crypto.PublicKey, error) {
	if key, err := x509.ParsePKIXPublicKey(der); err == nil {
		return key, nil
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return c.PublicKey, nil
}

// read reads the file of a key.
func read(path string) ([]byte, error) { return readMost(path, maxSize) }

// readMost reads a file of no more than most bytes.
func readMost(path string, most int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, most+1))
	if err != nil {
		return nil, fmt.Errorf("key: %w", err)
	}
	if int64(len(raw)) > most {
		return nil, fmt.Errorf("key %s exceeds %d bytes: it is no key", path, most)
	}
	return raw, nil
}
