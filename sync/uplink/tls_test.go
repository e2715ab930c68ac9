package uplink

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// overTLS moves the rig's hub behind TLS with its own certificate.
func (r *rig) overTLS(config *tls.Config) (cert *x509.Certificate) {
	s := httptest.NewUnstartedServer(r.hub)
	s.TLS = config
	s.EnableHTTP2 = true
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	r.t.Cleanup(s.Close)
	r.options.Hub, r.options.Transport = s.URL, nil
	return s.Certificate()
}

func pool(certs ...*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certs {
		p.AddCert(c)
	}
	return p
}

func TestTLS(t *testing.T) {
	r := newRig(t, 4)
	r.options.CA = pool(r.overTLS(&tls.Config{}))
	r.hub.prank = func(_ http.ResponseWriter, q *http.Request) bool {
		if q.TLS == nil || q.TLS.Version != tls.VersionTLS13 || q.TLS.CurveID != tls.X25519 {
			t.Errorf("connection %+v", q.TLS)
		}
		return false
	}
	r.run("the last receipt", r.settled)
	r.whole()
}

func TestHubThatCannotBeTrusted(t *testing.T) {
	for what, spoil := range map[string]func(r *rig){
		"strange certificate": func(r *rig) { r.overTLS(&tls.Config{}); r.options.CA = pool() },
		"TLS 1.2":             func(r *rig) { r.options.CA = pool(r.overTLS(&tls.Config{MaxVersion: tls.VersionTLS12})) },
		"another curve": func(r *rig) {
			r.options.CA = pool(r.overTLS(&tls.Config{CurvePreferences: []tls.CurveID{tls.CurveP256}}))
		},
		"no TLS": func(r *rig) { r.options.Transport = nil },
	} {
		r := newRig(t, 4)
		spoil(r)
		r.hub.prank = func(http.ResponseWriter, *http.Request) bool {
			t.Errorf("%s: the hub was spoken to", what)
			return false
		}
		r.run(what, func() bool { return r.seen().Problem != "" })
		if s := r.seen(); s.Online || what == "no TLS" && !strings.Contains(s.Problem, "https://") {
			t.Errorf("%s: %+v", what, s)
		}
	}
}
