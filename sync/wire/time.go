package wire

import (
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"time"
)

// NonceSize is the bytes of a contact's nonce.
const NonceSize = 16

// A Time is the hub's clock under its receipt key, made for one contact: it carries the nonce that the kiosk drew, so
// that nobody can play an old one again. A kiosk may set its clock by it.
type Time struct {
	Nonce string `json:"nonce"` // as it was asked for: 32 hexadecimal digits
	At    int64  `json:"at"`    // milliseconds since 1970
	Sig   []byte `json:"sig"`   // Ed25519, base64 in JSON
}

// ParseNonce returns an error unless s is 32 hexadecimal digits.
func ParseNonce(s string) error {
	if b, err := hex.DecodeString(s); err != nil || len(b) != NonceSize {
		return fmt.Errorf("nonce %.40q is not %d hexadecimal digits", s, 2*NonceSize)
	}
	return nil
}

// NewTime signs the time at for a contact of device with that nonce.
func NewTime(key ed25519.PrivateKey, device, nonce string, at time.Time) Time {
	t := Time{Nonce: nonce, At: at.UnixMilli()}
	t.Sig = ed25519.Sign(key, t.signed(device))
	return t
}

// Check returns the hub's time, or an error unless t was signed by the hub's receipt key for this device and nonce.
func (t Time) Check(pub ed25519.PublicKey, device, nonce string) (time.Time, error) {
	if t.Nonce != nonce {
		return time.Time{}, fmt.Errorf("hub's time answers nonce %.40q", t.Nonce)
	}
	if !ed25519.Verify(pub, t.signed(device), t.Sig) {
		return time.Time{}, fmt.Errorf("hub's time does not carry the signature of its receipt key")
	}
	return time.UnixMilli(t.At).UTC(), nil
}

// signed returns the text that is signed: four lines, each ended by a line feed.
func (t Time) signed(device string) []byte {
	return fmt.Appendf(nil, "gatepost/time/1\n%s\n%s\n%d\n", device, t.Nonce, t.At)
}
