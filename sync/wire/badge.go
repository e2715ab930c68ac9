package wire

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/fxamacker/cbor/v2"
)

// The roles of a badge.
const (
	RoleGuard      = "guard"      // takes a gate over
	RoleSupervisor = "supervisor" // opens a gate's settings for a while
)

// MaxBadge is the most bytes of a badge's text.
const MaxBadge = 400

const badgePrefix = "GPB1:"

// ErrBadge means that a text which begins like a badge is none, or that its issuer did not sign it.
var ErrBadge = errors.New("not a badge of this issuer")

// A Badge says who answers for a gate. It names no person: what its Number stands for, the issuer knows.
type Badge struct {
	Number  string // 1 to 40 of a-z 0-9 -
	Role    string
	Venue   string    // where it counts; empty: everywhere
	Issued  time.Time // whole seconds
	Expires time.Time // whole seconds
}

// badge is the CBOR array of a Badge, which its issuer signs.
type badge struct {
	_               struct{} `cbor:",toarray"`
	Version         uint
	Number, Role    string
	Venue           string
	Issued, Expires int64 // seconds since 1970
}

// signedBadge is the CBOR array in a badge's text.
type signedBadge struct {
	_          struct{} `cbor:",toarray"`
	Badge, Sig []byte
}

// SignBadge returns the text of b's QR code.
func SignBadge(issuer ed25519.PrivateKey, b Badge) (string, error) {
	if err := b.check(); err != nil {
		return "", err
	}
	text, err := cbor.Marshal(badge{Version: 1, Number: b.Number, Role: b.Role, Venue: b.Venue, Issued: b.Issued.Unix(), Expires: b.Expires.Unix()})
	if err != nil {
		return "", err
	}
	raw, err := cbor.Marshal(signedBadge{Badge: text, Sig: ed25519.Sign(issuer, badgeText(text))})
	if err != nil {
		return "", err
	}
	return badgePrefix + alphabet32.EncodeToString(raw), nil
}

// ParseBadge reads a badge's text. ok is false of one that does not begin like a badge. Whether it is out of date, and
// counts at this venue, is the caller's to say. Every error is an ErrBadge.
func ParseBadge(issuer ed25519.PublicKey, text string) (b Badge, ok bool, err error) {
	rest, ok := strings.CutPrefix(text, badgePrefix)
	if !ok {
		return b, false, nil
	}
	if len(text) > MaxBadge {
		return b, true, fmt.Errorf("%w: longer than %d bytes", ErrBadge, MaxBadge)
	}
	raw, err := alphabet32.DecodeString(rest)
	var s signedBadge
	if err != nil || decoding.Unmarshal(raw, &s) != nil {
		return b, true, fmt.Errorf("%w: not the array that it should be", ErrBadge)
	}
	if len(issuer) != ed25519.PublicKeySize || !ed25519.Verify(issuer, badgeText(s.Badge), s.Sig) {
		return b, true, fmt.Errorf("%w: wrong signature", ErrBadge)
	}
	var c badge
	if decoding.Unmarshal(s.Badge, &c) != nil || c.Version != 1 {
		return b, true, fmt.Errorf("%w: of another version", ErrBadge)
	}
	b = Badge{Number: c.Number, Role: c.Role, Venue: c.Venue, Issued: time.Unix(c.Issued, 0).UTC(), Expires: time.Unix(c.Expires, 0).UTC()}
	if err := b.check(); err != nil {
		return Badge{}, true, fmt.Errorf("%w: %w", ErrBadge, err)
	}
	return b, true, nil
}

func (b Badge) check() error {
	switch {
	case !IsDeviceName(b.Number):
		return fmt.Errorf("a badge's number has from 1 to %d of the characters a-z 0-9 -", maxDevice)
	case b.Role != RoleGuard && b.Role != RoleSupervisor:
		return fmt.Errorf("a badge's role is %q or %q", RoleGuard, RoleSupervisor)
	case !isWord(b.Venue):
		return fmt.Errorf("a venue has at most %d bytes of printable text", maxWord)
	case !b.Expires.After(b.Issued):
		return errors.New("the badge expires before it was issued")
	}
	return nil
}

// badgeText is what an issuer signs.
func badgeText(badge []byte) []byte { return append([]byte("gatepost/badge/1\n"), badge...) }
