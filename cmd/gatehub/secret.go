package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/selfsign"
	"gatepost/sync/pull"
)

// secrets are what the hub proves itself with, and what others prove themselves with to it.
type secrets struct {
	receipt ed25519.PrivateKey
	issuer  ed25519.PublicKey // whose enrolments and orders count; nil: nobody enrols, and gates alone check orders
	tokens  pull.Tokens
	cert    tls.Certificate
}

// prepare makes the folders and every key that the configuration does not name and nobody has made yet.
func prepare(c *config, log *slog.Logger) (*secrets, error) {
	for _, dir := range []string{c.Data, c.Devices, filepath.Join(c.Data, "orders")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return nil, fmt.Errorf("make a folder: %w", err)
		}
	}
	var s secrets
	var err error
	if s.receipt, err = receiptKey(c); err != nil {
		return nil, fmt.Errorf("receipt key: %w", err)
	}
	if c.Issuer != "" {
		if s.issuer, err = keyfile.Public(c.Issuer); err != nil {
			return nil, fmt.Errorf("issuer's key: %w", err)
		}
	}
	if s.tokens, err = tokens(c); err != nil {
		return nil, err
	}
	if s.cert, err = certificate(c, log); err != nil {
		return nil, fmt.Errorf("certificate: %w", err)
	}
	return &s, nil
}

func receiptKey(c *config) (ed25519.PrivateKey, error) {
	if c.ReceiptKey != "" {
		return keyfile.Private(c.ReceiptKey)
	}
	path := filepath.Join(c.Data, "receipt.key")
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		if err := keyfile.Create(c.Data, "receipt", "receipt"); err != nil {
			return nil, err
		}
	}
	return keyfile.Private(path)
}

func tokens(c *config) (pull.Tokens, error) {
	if c.Tokens != "" {
		return pull.ReadTokens(c.Tokens)
	}
	path := filepath.Join(c.Data, "token")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = fmt.Fprintln(f, rand.Text())
		err = errors.Join(err, f.Close())
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("make a token: %w", err)
	}
	return pull.ReadTokens(path)
}

// certificate reads the hub's certificate and says when it does not fit the address that the hub listens on.
func certificate(c *config, log *slog.Logger) (tls.Certificate, error) {
	cert, key := c.TLSCert, c.TLSKey
	host, _, err := net.SplitHostPort(c.Listen)
	if err != nil {
		return tls.Certificate{}, err
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // every address: whoever calls the hub by a name gives it a certificate with it
	}
	own := cert == ""
	if own {
		dir := filepath.Join(c.Data, "tls")
		if err := selfsign.Create(dir, time.Now(), unique("127.0.0.1", "localhost", host)...); err != nil {
			return tls.Certificate{}, err
		}
		cert, key = filepath.Join(dir, selfsign.Cert), filepath.Join(dir, selfsign.Key)
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return pair, err
	}
	if own { // a gate that was enrolled knows the authority by its pin alone, and must be shown it
		ca, err := selfsign.Authority(filepath.Dir(cert))
		if err != nil {
			return pair, err
		}
		pair.Certificate = append(pair.Certificate, ca)
	}
	if leaf, err := x509.ParseCertificate(pair.Certificate[0]); err != nil || leaf.VerifyHostname(host) != nil {
		log.Warn("the certificate does not name the address that the hub listens on", "host", host, "certificate", cert)
	}
	return pair, nil
}

// unique drops the last name when it stands before already.
func unique(names ...string) []string {
	last := len(names) - 1
	for _, n := range names[:last] {
		if n == names[last] {
			return names[:last]
		}
	}
	return names
}
