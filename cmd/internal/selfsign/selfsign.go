// Package selfsign makes the certificates of a hub that was given none: a private certificate authority and,
// signed by it, the hub's own certificate. Kiosks and pullers are handed the authority's ca.pem.
//
// The authority's key is used once and never kept, so whoever copies the folder can impersonate this hub but
// sign for no other.
package selfsign

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Names of the files that Create makes.
const (
	CA   = "ca.pem"  // the authority's certificate
	Cert = "hub.pem" // the hub's certificate
	Key  = "hub.key" // the hub's key, PKCS#8, readable by its owner alone
)

// validity is how long both certificates hold; a hub that lives longer is given real ones.
const validity = 5 * 365 * 24 * time.Hour

// Create makes the certificates for hosts (names or addresses) in dir, from now on, unless they are there.
// ECDSA on P-256, since every TLS client knows it.
func Create(dir string, now time.Time, hosts ...string) error {
	if _, err := os.Stat(filepath.Join(dir, Cert)); err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	ca := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Gatepost hub's own authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		return fmt.Errorf("certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf(now, hosts), ca, key.Public(), caKey)
	if err != nil {
		return fmt.Errorf("hub's certificate: %w", err)
	}
	return write(dir, caDER, der, key)
}

func leaf(now time.Time, hosts []string) *x509.Certificate {
	c := &x509.Certificate{
		Subject: pkix.Name{CommonName: "Gatepost hub"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			c.IPAddresses = append(c.IPAddresses, ip)
		} else {
			c.DNSNames = append(c.DNSNames, h)
		}
	}
	return c
}

// Authority returns the DER of the authority's certificate in dir.
func Authority(dir string) ([]byte, error) {
	text, err := os.ReadFile(filepath.Join(dir, CA))
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "CERTIFICATE" {
		return nil, fmt.Errorf("%s holds no certificate in PEM", filepath.Join(dir, CA))
	}
	return block.Bytes, nil
}

// write puts the hub's certificate last: where it is, the rest is.
func write(dir string, ca, cert []byte, key crypto.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	for _, f := range []struct {
		name, kind string
		der        []byte
		mode       os.FileMode
	}{
		{CA, "CERTIFICATE", ca, 0o644}, {Key, "PRIVATE KEY", der, 0o600}, {Cert, "CERTIFICATE", cert, 0o644},
	} {
		block := pem.EncodeToMemory(&pem.Block{Type: f.kind, Bytes: f.der})
		if err := os.WriteFile(filepath.Join(dir, f.name), block, f.mode); err != nil {
			return err
		}
	}
	return nil
}
