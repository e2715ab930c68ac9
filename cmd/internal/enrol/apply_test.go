package enrol

import (
	"crypto/ed25519"
	"testing"

	"gatepost/cmd/internal/config"
	"gatepost/storage/entry"
)

// An order over the configuration that names no proxy leaves the enrolment's.
func TestProxyOutlivesAnOrder(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	if err := s.Take(sign(t, newKey(t), sample(t, 1)), clockAt(noon, entry.TrustClock)()); err != nil {
		t.Fatal(err)
	}
	c, err := config.ParseKiosk([]byte("schema = 1\nenrol = true\n"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(c); err != nil {
		t.Fatal(err)
	}
	r, err := config.ParseRemote([]byte("schema = 1\nuplink.interval = \"5s\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if c, err = r.Over(c); err != nil || c.Proxy == nil || c.Proxy.Host != "proxy.example:3128" {
		t.Errorf("proxy %v, %v", c.Proxy, err)
	}
}

// An enrolment by another issuer than the configured one is none, and is gone with the first code of the right one.
func TestEnrolmentOfAnotherIssuer(t *testing.T) {
	dir, right, wrong := t.TempDir(), newKey(t), newKey(t)
	if err := open(t, dir, nil).Take(sign(t, wrong, sample(t, 9)), clockAt(noon, entry.TrustClock)()); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, right.Public().(ed25519.PublicKey))
	if e, ok := s.Current(); ok || s.ID() != "" {
		t.Errorf("enrolled by %v", e.ID)
	}
	if err := s.Take(sign(t, right, sample(t, 1)), clockAt(noon, entry.TrustClock)()); err != nil {
		t.Fatal(err)
	}
	s = open(t, dir, right.Public().(ed25519.PublicKey))
	if e, ok := s.Current(); !ok || e.ID != [16]byte{1} {
		t.Errorf("%v, %v", e.ID, ok)
	}
}
