package uplink

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/sync/wire"
)

// code issues an enrolment for the rig's hub.
func (r *rig) code() []byte {
	r.t.Helper()
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		r.t.Fatal(err)
	}
	raw, err := wire.SignEnrolment(key, wire.Enrolment{
		Issued: time.Now(), Expires: time.Now().Add(time.Hour), Hub: "https://hub.example", ReceiptKey: r.options.ReceiptKey,
		Authority: make([]byte, 32), Venue: "Chợ", Name: "cho-1", Zone: "Asia/Ho_Chi_Minh",
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

// The enrolment goes first, however long that takes, and once.
func TestEnrolsBeforeAnythingElse(t *testing.T) {
	r := newRig(t, 4)
	r.options.Enrolment = r.code()
	told := 0
	r.options.OnEnrolled = func() { told++ }
	tries, taken := 0, 0
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		if q.URL.Path != wire.PathEnrol {
			if taken == 0 {
				t.Errorf("%s %s before the enrolment", q.Method, q.URL.Path)
			}
			return false
		}
		tries++
		if tries < 3 {
			wire.Problem{Type: wire.ProblemStore, Title: "not stored", Status: http.StatusServiceUnavailable}.Write(w)
			return true
		}
		raw, err := io.ReadAll(q.Body)
		if err != nil {
			t.Error(err)
		}
		c, err := wire.ParseClaim(raw)
		if err != nil || !c.Device.Equal(r.hub.device) || c.Enrolment.Name != "cho-1" {
			t.Errorf("claim %+v, %v", c, err)
		}
		taken++
		writeJSON(w, r.hub.state())
		return true
	}
	r.run("later entries, in a round of their own", func() bool {
		if r.settled() && r.journal.Head().Seq == 4 {
			r.add(2)
		}
		return r.settled() && r.journal.Head().Seq == 6
	})
	r.whole()
	if tries != 3 || taken != 1 || told != 1 {
		t.Errorf("%d tries, taken %d times, told %d times", tries, taken, told)
	}
}

// A refused enrolment is an alarm with the hub's reason; the entries stay, and go when the hub thinks otherwise.
func TestRefusedEnrolment(t *testing.T) {
	r := newRig(t, 4)
	r.options.Enrolment = r.code()
	var refuse atomic.Bool
	refuse.Store(true)
	r.hub.prank = func(w http.ResponseWriter, q *http.Request) bool {
		switch {
		case q.URL.Path != wire.PathEnrol:
			if refuse.Load() {
				t.Errorf("%s %s though the enrolment is refused", q.Method, q.URL.Path)
			}
			return false
		case refuse.Load():
			wire.Problem{Type: wire.ProblemEnrolment, Title: "another device has used this enrolment", Status: http.StatusConflict}.Write(w)
		default:
			writeJSON(w, r.hub.state())
		}
		return true
	}
	r.run("the last receipt", func() bool {
		if len(r.alarmed()) > 0 {
			refuse.Store(false)
		}
		return r.settled()
	})
	r.whole()
	if a := r.alarmed(); len(a) != 1 || a[0] != "the hub refuses this gate's enrolment: another device has used this enrolment" {
		t.Errorf("alarms %q", a)
	}
}

// pinned moves the rig's hub behind TLS with a certificate as gatehub makes it, and returns that one and its authority's.
func (r *rig) pinned() (shown tls.Certificate, leaf, ca *x509.Certificate, s *httptest.Server) {
	r.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		r.t.Fatal(err)
	}
	shown, _ = certificate(r.t, key)
	for i, to := range []**x509.Certificate{&leaf, &ca} {
		if *to, err = x509.ParseCertificate(shown.Certificate[i]); err != nil {
			r.t.Fatal(err)
		}
	}
	s = httptest.NewUnstartedServer(r.hub)
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.TLS = &tls.Config{Certificates: []tls.Certificate{shown}}
	r.options.Transport = nil
	return shown, leaf, ca, s
}

func pinOf(c *x509.Certificate) []byte {
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:]
}

// A hub is known by the key of its authority, over a first connection and one that goes on from its session.
func TestPin(t *testing.T) {
	r := newRig(t, 4)
	_, _, ca, s := r.pinned()
	s.StartTLS()
	t.Cleanup(s.Close)
	r.options.Hub, r.options.Pin = s.URL, pinOf(ca)
	u := New(r.journal, r.options)
	var resumed atomic.Int32
	r.hub.prank = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.TLS.DidResume {
			resumed.Add(1)
		}
		return false
	}
	for range 2 {
		if err := u.contact(t.Context()); err != nil {
			t.Fatal(err)
		}
		u.client.CloseIdleConnections()
	}
	if resumed.Load() != 1 {
		t.Errorf("%d of two connections went on from a session", resumed.Load())
	}
}

func TestHubThatDoesNotFitThePin(t *testing.T) {
	for what, c := range map[string]struct {
		spoil func(r *rig, s *httptest.Server, leaf *x509.Certificate)
		want  string
	}{
		"another authority": {func(r *rig, _ *httptest.Server, _ *x509.Certificate) { r.options.Pin = bytes.Repeat([]byte{1}, 32) }, "shows no certificate of the authority"},
		"its certificate alone": {func(_ *rig, s *httptest.Server, leaf *x509.Certificate) {
			s.TLS.Certificates[0].Certificate = [][]byte{leaf.Raw}
		}, "shows no certificate of the authority"},
		"no longer good": {func(r *rig, _ *httptest.Server, leaf *x509.Certificate) {
			r.options.Since = leaf.NotAfter.Add(time.Hour)
		}, "expired"},
		"the authority shown beside a stranger's": {func(r *rig, s *httptest.Server, _ *x509.Certificate) {
			stranger, _, _, _ := r.pinned()
			mine := s.TLS.Certificates[0].Certificate[1]
			stranger.Certificate = [][]byte{stranger.Certificate[0], mine}
			s.TLS.Certificates[0] = stranger
		}, "unknown authority"},
	} {
		t.Run(what, func(t *testing.T) {
			r := newRig(t, 4)
			_, leaf, ca, s := r.pinned()
			r.options.Pin = pinOf(ca)
			c.spoil(r, s, leaf)
			s.StartTLS()
			t.Cleanup(s.Close)
			r.options.Hub = s.URL
			r.hub.prank = func(http.ResponseWriter, *http.Request) bool {
				t.Error("the hub was spoken to")
				return false
			}
			if err := New(r.journal, r.options).contact(t.Context()); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}

// The certificate must be the hub's, not just any of that authority; for an address the handshake names no server.
func TestPinChecksTheName(t *testing.T) {
	r := newRig(t, 0)
	_, leaf, ca, s := r.pinned()
	s.Close()
	state := tls.ConnectionState{PeerCertificates: []*x509.Certificate{leaf, ca}}
	for hub, want := range map[string]string{
		"https://127.0.0.1:8443": "", "https://localhost": "", "https://127.0.0.2:8443": "not 127.0.0.2", "https://other.example": "not other.example",
	} {
		err := Options{Hub: hub, Pin: pinOf(ca)}.checkPin(state)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", hub, err, want)
		}
	}
}

// A board without a battery wakes up before the hub's certificate was made; the enrolment tells it better.
func TestClockThatWasNeverSet(t *testing.T) {
	o := Options{Since: time.Now().Add(time.Hour)}
	if !o.now().Equal(o.Since) {
		t.Errorf("certificates are checked as of %v", o.now())
	}
	o.Since = time.Now().Add(-time.Hour)
	if o.now().Before(time.Now().Add(-time.Minute)) {
		t.Errorf("certificates are checked as of %v", o.now())
	}
}
