package wire

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"
	"time"

	"gatepost/storage/entry"
)

// HeaderProof carries what NewProof returns, where a device must show that it is the one that asks.
const HeaderProof = "Gatepost-Proof"

// MaxProofAge is how long a proof counts.
const MaxProofAge = 5 * time.Minute

// NewProof signs that key's device asks at the time at, by the hub's clock as a contact has just told it: no clock of
// the device's own must be right.
func NewProof(key ed25519.PrivateKey, at time.Time) string {
	ms := at.UnixMilli()
	sig := ed25519.Sign(key, proofText(entry.DeviceID(key.Public().(ed25519.PublicKey)), ms))
	return strconv.FormatInt(ms, 10) + "." + base64.StdEncoding.EncodeToString(sig)
}

// CheckProof returns an error unless proof is the word of pub's device, and of now or a little before.
func CheckProof(pub ed25519.PublicKey, proof string, now time.Time) error {
	at, sig, _ := strings.Cut(proof, ".")
	ms, err := strconv.ParseInt(at, 10, 64)
	raw, err2 := base64.StdEncoding.DecodeString(sig)
	if err != nil || err2 != nil {
		return fmt.Errorf("%s is not a time and a signature", HeaderProof)
	}
	if !ed25519.Verify(pub, proofText(entry.DeviceID(pub), ms), raw) {
		return fmt.Errorf("%s does not carry the device's signature", HeaderProof)
	}
	if age := now.Sub(time.UnixMilli(ms)); age > MaxProofAge || age < -MaxProofAge {
		return fmt.Errorf("%s is of another time: contact first", HeaderProof)
	}
	return nil
}

// proofText returns the text that is signed: three lines, each ended by a line feed.
func proofText(device string, ms int64) []byte {
	return fmt.Appendf(nil, "gatepost/proof/1\n%s\n%d\n", device, ms)
}
