package selfsign

import (
	"crypto/tls"
	"crypto/x509"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestClientTrustsTheAuthorityAlone(t *testing.T) {
	dir := t.TempDir()
	if err := Create(dir, time.Now(), "127.0.0.1", "localhost"); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, Cert), filepath.Join(dir, Key))
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(http.NotFoundHandler())
	s.TLS = &tls.Config{Certificates: []tls.Certificate{pair}}
	s.StartTLS()
	defer s.Close()
	pem, err := os.ReadFile(filepath.Join(dir, CA))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	get := func(roots *x509.CertPool) error {
		c := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
		defer c.CloseIdleConnections()
		r, err := c.Get(s.URL)
		if err == nil {
			r.Body.Close()
		}
		return err
	}
	if err := get(roots); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	if err := get(x509.NewCertPool()); err == nil {
		t.Error("without the authority the hub was trusted")
	}
}

func TestCreateKeepsWhatIsThere(t *testing.T) {
	dir := t.TempDir()
	read := func() string {
		b, err := os.ReadFile(filepath.Join(dir, Cert))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	if err := Create(dir, time.Now(), "a.example"); err != nil {
		t.Fatal(err)
	}
	first := read()
	if err := Create(dir, time.Now(), "b.example"); err != nil {
		t.Fatal(err)
	}
	if read() != first {
		t.Error("a second Create replaced the certificate")
	}
	if fi, err := os.Stat(filepath.Join(dir, Key)); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("key: %v, %v", fi.Mode(), err)
	}
}
