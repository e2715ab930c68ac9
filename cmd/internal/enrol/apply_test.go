package enrol

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
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

// The key is that of IEEE 802.11i, H.4.3, test case 1.
func TestWiFi(t *testing.T) {
	s := open(t, t.TempDir(), nil)
	path := filepath.Join(s.dir, "wifi.conf")
	for _, c := range []struct{ ssid, passphrase, want string }{
		{"IEEE", "password", "network={\n\tscan_ssid=1\n\tssid=49454545\n\tpsk=f42c6fc52df0ebef9ebb4b90b38a5f902e83fe1b135a70e23aed762e9710a12e\n}\n"},
		{"Chợ \"Mê\n", "", "network={\n\tscan_ssid=1\n\tssid=4368e1bba320224dc3aa0a\n\tkey_mgmt=NONE\n}\n"},
		{"IEEE", strings.Repeat("a1", 32), "network={\n\tscan_ssid=1\n\tssid=49454545\n\tpsk=" + strings.Repeat("a1", 32) + "\n}\n"},
		{"", "", ""},
		{"", "", ""},
	} {
		if err := s.wifi(c.ssid, c.passphrase); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); string(got) != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: %q, %v", c.ssid, got, err)
		}
	}
}
