package uplink

import (
	"context"
	"crypto"
	"crypto/ecdh"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// A meter counts the bytes of all connections, both ways, above TCP.
type meter struct{ sent, got, conns atomic.Int64 }

type metered struct {
	net.Conn
	*meter
}

func (m metered) Read(b []byte) (int, error) {
	n, err := m.Conn.Read(b)
	m.got.Add(int64(n))
	return n, err
}

func (m metered) Write(b []byte) (int, error) {
	n, err := m.Conn.Write(b)
	m.sent.Add(int64(n))
	return n, err
}

func (m *meter) total() int64 { return m.sent.Load() + m.got.Load() }

// certificate returns one like those that gatehub makes for itself, and the authority that vouches for it.
func certificate(t *testing.T, key crypto.Signer) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	now := time.Now()
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Gatepost hub's own authority"}, NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(now.UnixNano()), Subject: pkix.Name{CommonName: "Gatepost hub"}, NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, DNSNames: []string{"localhost"},
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, caKey.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	if ca, err = x509.ParseCertificate(caDER); err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, ca, key.Public(), caKey)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der, caDER}, PrivateKey: key}, pool(ca)
}

// passages adds n passages with a personal part, and returns the bytes of those parts.
func (r *rig) passages(n int) (sealed int) {
	r.t.Helper()
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	sealer, err := entry.NewSealer(key.PublicKey())
	if err != nil {
		r.t.Fatal(err)
	}
	for range n {
		part, err := sealer.Seal(entry.Personal{
			Family: "cccd", Verified: true, Reason: entry.ReasonAnswered, Name: "Trần Thị Bích", Birth: "1990-02-03", Number: "001090000001",
			Address: "Số 1, phố Huế, Hai Bà Trưng, Hà Nội", Answers: map[string]any{"fever": false, "contact": false},
		})
		if err != nil {
			r.t.Fatal(err)
		}
		sealed += len(part)
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Now(), Trust: entry.TrustClock}, entry.Passage{
			Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: make([]byte, 16), Sealed: part,
		})
		if err != nil {
			r.t.Fatal(err)
		}
		if _, err := r.journal.Append(r.t.Context(), d); err != nil {
			r.t.Fatal(err)
		}
	}
	return sealed
}

// A first contact that brings seven entries moves at most two and a half times the bytes of the batch in which they are
// sealed: TLS handshake, contact with the hub's time, batch, receipts, headers. Only the certificate varies, by a few
// bytes. A later connection goes on from the first one's session.
func TestFirstContactBytes(t *testing.T) {
	p256, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for what, key := range map[string]crypto.Signer{"ECDSA": p256, "Ed25519": ed} {
		t.Run(what, func(t *testing.T) {
			r := newBareRig(t, 0)
			sealed := r.passages(7)
			m := r.metered(key)
			contacts := 0
			r.options.OnTime = func(time.Time, time.Duration) { contacts++ }
			r.run("the last receipt", r.settled)
			first := m.total()
			batch := r.batchBytes()
			t.Logf("first contact: %d bytes (%d sent, %d got), batch %d: %.2f; %.2f of the sealed parts alone, %d",
				first, m.sent.Load(), m.got.Load(), batch, float64(first)/float64(batch), float64(first)/float64(sealed), sealed)
			if m.conns.Load() != 1 || contacts != 1 {
				t.Errorf("%d connections, %d contacts", m.conns.Load(), contacts)
			}
			if 2*first > 5*int64(batch) {
				t.Errorf("%d bytes for a batch of %d", first, batch)
			}
			var resumed atomic.Int64
			r.hub.prank = func(_ http.ResponseWriter, q *http.Request) bool {
				if q.TLS.DidResume {
					resumed.Store(m.total() - first)
				}
				return false
			}
			r.run("a session to go on", func() bool { return resumed.Load() > 0 })
			t.Logf("a later connection: %d bytes until the request", resumed.Load())
		})
	}
}

// metered moves the hub behind TLS with a certificate of that key, and counts what goes over the uplink's own transport.
func (r *rig) metered(key crypto.Signer) *meter {
	r.t.Helper()
	cert, roots := certificate(r.t, key)
	s := httptest.NewUnstartedServer(r.hub)
	s.TLS = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{cert}}
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	r.t.Cleanup(s.Close)
	tr, m := Transport(Options{CA: roots}), &meter{}
	dial := tr.DialContext
	tr.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		c, err := dial(ctx, network, address)
		m.conns.Add(1)
		return metered{c, m}, err
	}
	r.options.Hub, r.options.Transport = s.URL, tr
	return m
}

// batchBytes returns the size of the batch that has the whole journal.
func (r *rig) batchBytes() int {
	r.t.Helper()
	raws, err := r.journal.Range(0, wire.MaxEntries, wire.MaxBatch)
	if err != nil {
		r.t.Fatal(err)
	}
	b, err := wire.Sign(r.options.Key, raws)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := b.Marshal()
	if err != nil {
		r.t.Fatal(err)
	}
	return len(body)
}
