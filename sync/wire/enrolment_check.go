package wire

import (
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strings"
	"unicode"
	"unicode/utf8"
)

const (
	maxAddress = 200 // bytes of a URL
	maxWord    = 64  // bytes of a venue, an area or a zone
	maxDevice  = 40  // bytes of a device's name at the hub
	maxDNS     = 3
	keySize    = 32

	deviceAlphabet = "abcdefghijklmnopqrstuvwxyz0123456789-"
)

// check returns every fault of e besides its network's, and never a value that may be secret.
func (e Enrolment) check() error {
	var faults []error
	need := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	need(e.Expires.After(e.Issued), "it expires before it was issued")
	need(isURL(e.Hub, "https") && !strings.Contains(e.Hub, "@"), "the hub's address is not one such as \"https://hub.example:8443\" of at most %d bytes", maxAddress)
	need(len(e.Pin) == 0 || len(e.Pin) == keySize, "the pin of the hub's authority is not %d bytes", keySize)
	need(len(e.ReceiptKey) == ed25519.PublicKeySize, "the hub's receipt key is not %d bytes", ed25519.PublicKeySize)
	need(len(e.Authority) == keySize, "the authority's key is not %d bytes", keySize)
	need(len(e.Issuer) == ed25519.PublicKeySize, "the issuer's key is not %d bytes", ed25519.PublicKeySize)
	need(e.Venue != "" && isWord(e.Venue), "the venue has from 1 to %d bytes of printable text", maxWord)
	need(isWord(e.Area), "the area has at most %d bytes of printable text", maxWord)
	need(IsDeviceName(e.Name), "the device's name has from 1 to %d of the characters a-z 0-9 -", maxDevice)
	need(e.Zone != "" && isWord(e.Zone), "the time zone is not one such as \"Asia/Ho_Chi_Minh\"")
	faults = append(faults, e.Network.check())
	return errors.Join(faults...)
}

func (n Network) zero() bool {
	return n.SSID == "" && n.Passphrase == "" && n.Address == "" && n.Gateway == "" && len(n.DNS) == 0 && n.Proxy == ""
}

func (n Network) check() error {
	if n.zero() {
		return nil
	}
	var faults []error
	need := func(ok bool, fault string) {
		if !ok {
			faults = append(faults, errors.New(fault))
		}
	}
	prefix, err := netip.ParsePrefix(n.Address)
	need(n.Address == "" || err == nil, "the address is not one such as \"10.0.0.7/24\"")
	gateway, err := netip.ParseAddr(n.Gateway)
	need(n.Gateway == "" || err == nil && prefix.IsValid() && prefix.Contains(gateway), "the gateway does not lie in the network of the address")
	need(len(n.DNS) <= maxDNS, "more than three name servers")
	for _, d := range n.DNS {
		_, err := netip.ParseAddr(d)
		need(err == nil, "a name server is not an address such as \"10.0.0.1\"")
	}
	need(len(n.Salt) == saltSize, "the network has no salt of 16 bytes")
	need(len(n.SSID) <= 32 && printable(n.SSID), "the Wi-Fi's name has more than 32 bytes, or is not printable")
	need(n.Passphrase == "" || n.SSID != "" && isPassphrase(n.Passphrase), "the Wi-Fi's password has from 8 to 63 ASCII characters and needs the Wi-Fi's name")
	need(n.Proxy == "" || isURL(n.Proxy, "http"), "the proxy is not an address such as \"http://proxy.example:3128\"")
	return errors.Join(faults...)
}

// isPassphrase follows IEEE 802.11: 8 to 63 characters of ASCII from 32 to 126, or the key itself in hexadecimal.
func isPassphrase(s string) bool {
	if len(s) == 64 {
		_, err := hex.DecodeString(s)
		return err == nil
	}
	return len(s) >= 8 && len(s) <= 63 && strings.IndexFunc(s, func(r rune) bool { return r < ' ' || r > '~' }) < 0
}

// IsDeviceName tells whether a device can be called s at a hub, where s names its files.
func IsDeviceName(s string) bool {
	return s != "" && len(s) <= maxDevice && s[0] != '-' && strings.Trim(s, deviceAlphabet) == ""
}

func isURL(s, scheme string) bool {
	u, err := url.Parse(s)
	return err == nil && len(s) <= maxAddress && u.Scheme == scheme && u.Hostname() != "" && strings.Trim(u.Path, "/")+u.RawQuery+u.Fragment == ""
}

func isWord(s string) bool { return len(s) <= maxWord && printable(s) }

func printable(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}
