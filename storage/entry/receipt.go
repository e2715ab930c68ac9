package entry

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"time"
)

// DeviceID names a device by its public key: the first 8 bytes of its SHA-256, in hexadecimal.
func DeviceID(pub ed25519.PublicKey) string {
	sum := sha256.Sum256(pub)
	return hex.EncodeToString(sum[:8])
}

// A Receipt is the hub's signed word that it holds every entry of Device up to Seq durably, and that
// the last of them has the hash Hash. It travels and is kept as JSON.
type Receipt struct {
	Device string `json:"device"`
	Seq    uint64 `json:"seq"`
	Hash   string `json:"hash"` // hexadecimal
	At     int64  `json:"at"`   // milliseconds since 1970, the hub's clock
	Sig    []byte `json:"sig"`  // Ed25519, base64 in JSON
}

// NewReceipt signs a receipt for everything up to head.
func NewReceipt(key ed25519.PrivateKey, device string, head Head, at time.Time) Receipt {
	r := Receipt{Device: device, Seq: head.Seq, Hash: head.Hash.String(), At: at.UnixMilli()}
	r.Sig = ed25519.Sign(key, r.signed())
	return r
}

// Head returns the place in the chain that r speaks of.
func (r Receipt) Head() (Head, error) {
	h, err := ParseHash(r.Hash)
	return Head{r.Seq, h}, err
}

// Check returns an error unless r is for device and carries the signature of the hub's receipt key.
func (r Receipt) Check(pub ed25519.PublicKey, device string) error {
	if r.Device != device {
		return fmt.Errorf("receipt is for device %q", r.Device)
	}
	if !ed25519.Verify(pub, r.signed(), r.Sig) {
		return errors.New("receipt's signature does not fit the hub's receipt key")
	}
	return nil
}

// signed returns the text that is signed: five lines, each ended by a line feed.
func (r Receipt) signed() []byte {
	return fmt.Appendf(nil, "gatepost/receipt/1\n%s\n%d\n%s\n%d\n", r.Device, r.Seq, r.Hash, r.At)
}
