package keyfile

import (
	"crypto"
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"gatepost/storage/durable"
)

// Authority is the kind of key that opens seals (X25519). The other kinds sign (Ed25519).
const Authority = "authority"

// Kinds lists what Create makes.
func Kinds() []string {
	return []string{"device", "declarer", Authority, "receipt", "publisher", "issuer", "maker"}
}

// Create makes a key of a kind and writes dir/name.key, mode 0600, and dir/name.pub.pem. It makes dir where
// that is missing and never overwrites a file. Both files are on the disk when it returns.
func Create(dir, name, kind string) error {
	if !slices.Contains(Kinds(), kind) {
		return fmt.Errorf("kind of key %q is not one of %s", kind, strings.Join(Kinds(), ", "))
	}
	if name == "" || name != filepath.Base(name) || strings.HasPrefix(name, ".") {
		return fmt.Errorf("name of a key %q cannot name a file", name)
	}
	priv, pub, err := generate(kind)
	if err != nil {
		return fmt.Errorf("make key: %w", err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(priv)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	open, err := x509.MarshalPKIXPublicKey(pub)
	if err != nil {
		return fmt.Errorf("encode key: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("folder of keys: %w", err)
	}
	path := filepath.Join(dir, name+".key")
	if err := write(path, 0o600, "PRIVATE KEY", secret); err != nil {
		return err
	}
	if err := write(filepath.Join(dir, name+".pub.pem"), 0o644, "PUBLIC KEY", open); err != nil {
		return errors.Join(err, os.Remove(path)) // half a pair would only confuse
	}
	if err := durable.Sync(dir); err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	return nil
}

func generate(kind string) (priv, pub any, err error) {
	if kind == Authority {
		k, err := ecdh.X25519().GenerateKey(rand.Reader)
		if err != nil {
			return nil, nil, err
		}
		return k, k.PublicKey(), nil
	}
	p, k, err := ed25519.GenerateKey(rand.Reader)
	return k, p, err
}

// PublicPEM returns a public key as its file holds it.
func PublicPEM(key crypto.PublicKey) ([]byte, error) {
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		return nil, fmt.Errorf("encode key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}), nil
}

func write(path string, mode os.FileMode, kind string, der []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("key %s is there already and is not overwritten: choose another name or folder", path)
	}
	if err != nil {
		return fmt.Errorf("write key: %w", err)
	}
	err = pem.Encode(f, &pem.Block{Type: kind, Bytes: der})
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write key: %w", err), os.Remove(path))
	}
	return nil
}

// Fingerprint names the public key of a file: the first 8 bytes of the SHA-256 of its bytes, in hexadecimal.
// For a signing key that is the device's id, and the kid of what a declarer signs.
func Fingerprint(path string) (string, error) {
	key, err := public(path)
	if err != nil {
		return "", err
	}
	raw, err := bytesOf(key)
	if err != nil {
		return "", fmt.Errorf("key %s: %w", path, err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:8]), nil
}

func bytesOf(key crypto.PublicKey) ([]byte, error) {
	switch k := key.(type) {
	case ed25519.PublicKey:
		return k, nil
	case *ecdh.PublicKey:
		return k.Bytes(), nil
	}
	return nil, errors.New("no kind of key that gatepost uses")
}
