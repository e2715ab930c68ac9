package lan

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"gatepost/storage/durable"
	"gatepost/storage/entry"
)

// Certificate is the name of the file with this gate's certificate, for readers with a token to trust.
const Certificate = "gate.pem"

// A certificate holds from before any gate ran for ever: whoever trusts it trusts the device's key, and a gate without a
// clock must not fall out of its venue.
var (
	notBefore = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)
	notAfter  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC) // RFC 5280, 4.1.2.5: no end
)

// certificate makes the certificate of a device's key, signed by itself. For one key and host it is always the same. It
// names the device's id, and the host if that is an address.
func certificate(key ed25519.PrivateKey, host string) (c tls.Certificate, err error) {
	id := entry.DeviceID(key.Public().(ed25519.PublicKey))
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Gatepost gate " + id}, DNSNames: []string{id},
		NotBefore: notBefore, NotAfter: notAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(host); ip != nil && !ip.IsUnspecified() {
		t.IPAddresses = []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return c, fmt.Errorf("certificate: %w", err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}

func keepCertificate(dir string, c tls.Certificate) error {
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate[0]})
	if err := durable.Write(filepath.Join(dir, Certificate), text, 0o600); err != nil {
		return fmt.Errorf("keep certificate: %w", err)
	}
	return nil
}

var errStranger = errors.New("not a gate of this venue")

// pinned accepts a peer that has proved one of the keys, and nobody by anything else that a certificate says. Who shows
// no certificate is left to the rest of the configuration.
func pinned(peers ...Peer) func(tls.ConnectionState) error {
	return func(s tls.ConnectionState) error {
		if len(s.PeerCertificates) == 0 {
			return nil
		}
		pub, ok := s.PeerCertificates[0].PublicKey.(ed25519.PublicKey)
		for _, p := range peers {
			if ok && p.Key.Equal(pub) {
				return nil
			}
		}
		return errStranger
	}
}

// serverTLS refuses whoever does not prove a peer's key, in the handshake; where others have tokens, who proves none at
// all gets through to show one.
func serverTLS(own tls.Certificate, peers []Peer, tokens bool) *tls.Config {
	c := &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own}, ClientAuth: tls.RequireAnyClientCert,
		VerifyConnection: pinned(peers...), SessionTicketsDisabled: true, NextProtos: []string{"http/1.1"},
	}
	if tokens {
		c.ClientAuth = tls.RequestClientCert
	}
	return c
}

func clientTLS(own tls.Certificate, peer Peer) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own},
		InsecureSkipVerify: true, VerifyConnection: pinned(peer), // the key counts, no name and no date
	}
}

// isPeer reports whether the request's connection has proved a peer's key.
func isPeer(r *http.Request) bool { return r.TLS != nil && len(r.TLS.PeerCertificates) > 0 }
