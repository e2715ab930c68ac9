package main

import (
	"cmp"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/cmd/internal/selfsign"
)

// A connect is what a hub computes for one connection with a contact and a batch of 7 entries.
type connect struct {
	cert, exchange string
	cpu            []time.Duration // a round
	up, down       int64           // bytes of one
}

// kinds are the keys of a hub's certificate beside the key exchanges that a client may choose.
var kinds = []struct {
	cert     string
	exchange tls.CurveID
}{
	{"ECDSA P-256", tls.X25519}, // as it ships
	{"Ed25519", tls.X25519},
	{"ECDSA P-256", tls.X25519MLKEM768},
	{"Ed25519", tls.X25519MLKEM768},
}

// connect measures all kinds in turn.
func (b *bench) connect(ctx context.Context) (all []connect, err error) {
	const name = "connect"
	rounds := cmp.Or(b.rounds, 3)
	if len(b.loads) > 0 && !slices.Contains(b.loads, name) {
		return nil, nil
	}
	l, err := newLoad(load{name: name, senders: 16}, recipe{b.connects, poor})
	if err != nil {
		return nil, err
	}
	for _, k := range kinds {
		all = append(all, connect{cert: k.cert, exchange: k.exchange.String()})
	}
	for i := range rounds {
		for _, turn := range order(len(kinds), i) {
			b.say("connections, round %d of %d: %s, %v", i+1, rounds, kinds[turn].cert, kinds[turn].exchange)
			if err := b.connectOnce(ctx, l, kinds[turn].exchange, &all[turn]); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

func (b *bench) connectOnce(ctx context.Context, l load, exchange tls.CurveID, c *connect) (err error) {
	dir := filepath.Join(b.work, "connect")
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	if err := certify(dir, c.cert); err != nil {
		return err
	}
	p, err := b.start(ctx, forgetting, dir, l.kiosks)
	if err != nil {
		return err
	}
	p.exchange = exchange
	r := result{store: forgetting, load: l, size: l.size()}
	one, err := b.clock(ctx, &r, p)
	if n := len(l.kiosks); err == nil {
		c.cpu = append(c.cpu, one.hub.cpu/time.Duration(n))
		c.up, c.down = one.up/int64(n), one.down/int64(n)
	}
	return errors.Join(err, p.stop())
}

// certify makes the hub's certificate with such a key in the new folder dir, and an authority with the same for it.
func certify(dir, kind string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	var keys [2]crypto.Signer // the authority's and the hub's
	for i := range keys {
		var err error
		if kind == "Ed25519" {
			_, keys[i], err = ed25519.GenerateKey(rand.Reader)
		} else {
			keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		}
		if err != nil {
			return err
		}
	}
	now := time.Now()
	ca := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	for _, f := range []struct {
		name string
		cert *x509.Certificate
		key  crypto.Signer
	}{{selfsign.CA, ca, keys[0]}, {selfsign.Cert, leaf, keys[1]}} {
		der, err := x509.CreateCertificate(rand.Reader, f.cert, ca, f.key.Public(), keys[0])
		if err != nil {
			return fmt.Errorf("make a certificate: %w", err)
		}
		if err := write(filepath.Join(dir, f.name), "CERTIFICATE", der); err != nil {
			return err
		}
	}
	der, err := x509.MarshalPKCS8PrivateKey(keys[1])
	if err != nil {
		return err
	}
	return write(filepath.Join(dir, selfsign.Key), "PRIVATE KEY", der)
}

func write(path, kind string, der []byte) error {
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}
