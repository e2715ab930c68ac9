package enrol

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/pbkdf2"
	"crypto/sha1" // the standard's
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/durable"

	"github.com/BurntSushi/toml"
)

// Network is network.toml, which the system's start applies: docs/PROTOCOL.md. What is empty is left to DHCP and cable.
type Network struct {
	Schema     int      `toml:"schema"`
	SSID       string   `toml:"ssid"`
	Passphrase string   `toml:"passphrase"`
	Address    string   `toml:"address"`
	Gateway    string   `toml:"gateway"`
	DNS        []string `toml:"dns"`
	Proxy      string   `toml:"proxy"`
}

// Apply lays the enrolment that holds over c, and writes the files that others read where they differ from it.
func (s *Store) Apply(c *config.Kiosk) error {
	e, ok := s.Current()
	if !ok {
		return nil
	}
	authority, err := ecdh.X25519().NewPublicKey(e.Authority)
	if err != nil {
		return fmt.Errorf("enrolment: authority's key: %w", err)
	}
	for _, k := range []struct {
		name string
		key  crypto.PublicKey
		to   *string
	}{
		{"authority", authority, &c.Keys.Authority}, {"receipt", e.ReceiptKey, &c.Uplink.ReceiptKey}, {"issuer", e.Issuer, &c.Keys.Issuer},
	} {
		text, err := keyfile.PublicPEM(k.key)
		if err != nil {
			return fmt.Errorf("enrolment: %w", err)
		}
		*k.to = filepath.Join(s.dir, k.name+".pub.pem")
		if err := update(*k.to, text, 0o644); err != nil {
			return err
		}
	}
	n := e.Network
	text, err := toml.Marshal(Network{1, n.SSID, n.Passphrase, n.Address, n.Gateway, append([]string{}, n.DNS...), n.Proxy})
	if err != nil {
		return fmt.Errorf("enrolment: %w", err)
	}
	if err := update(filepath.Join(s.dir, "network.toml"), text, 0o600); err != nil {
		return err
	}
	if err := s.wifi(n.SSID, n.Passphrase); err != nil {
		return err
	}
	c.Venue.Name, c.Venue.Timezone, c.Uplink.Hub, c.Uplink.CA = e.Venue, e.Zone, e.Hub, ""
	if c.Uplink.Proxy = n.Proxy; n.Proxy != "" {
		if c.Proxy, err = url.Parse(n.Proxy); err != nil {
			return fmt.Errorf("enrolment: its proxy is not an address") // which may have a password
		}
	}
	c.Zone, err = time.LoadLocation(e.Zone)
	return err
}

// wifi writes what wpa_supplicant reads, or takes it away. A name and a passphrase may have any character, so the one stands in
// hexadecimal digits there, and the other as the key that IEEE 802.11i, H.4 makes of the two.
func (s *Store) wifi(ssid, passphrase string) error {
	path := filepath.Join(s.dir, "wifi.conf")
	if ssid == "" {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	how := "key_mgmt=NONE"
	switch len(passphrase) {
	case 0:
	case 64:
		how = "psk=" + passphrase
	default:
		key, err := pbkdf2.Key(sha1.New, passphrase, []byte(ssid), 4096, 32)
		if err != nil {
			return fmt.Errorf("enrolment: Wi-Fi: %w", err)
		}
		how = fmt.Sprintf("psk=%x", key)
	}
	return update(path, fmt.Appendf(nil, "network={\n\tscan_ssid=1\n\tssid=%x\n\t%s\n}\n", ssid, how), 0o600)
}

// update writes a file durably unless it holds just that.
func update(path string, text []byte, mode os.FileMode) error {
	if old, err := os.ReadFile(path); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return durable.Write(path, text, mode)
}
