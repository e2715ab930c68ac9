package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"time"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
)

const (
	// EnrolmentVersion is the first item of every enrolment, of its site and of every claim.
	EnrolmentVersion = 1
	// MaxEnrolment is the most bytes of an enrolment or of a claim.
	MaxEnrolment = maxParts * partSize

	saltSize = 16
)

// The errors of ParseEnrolment and ParseClaim.
var (
	ErrEnrolment    = errors.New("not an enrolment")
	ErrEnrolmentSig = errors.New("wrong signature")
)

// An Enrolment makes a gate of a unit that knows nothing yet. An issuer signs it, one unit uses it.
type Enrolment struct {
	ID         [16]byte          // random; the hub takes it from one device only
	Issued     time.Time         // whole milliseconds; a kiosk takes no code that was issued before the one it has
	Expires    time.Time         // whole milliseconds
	Hub        string            // https://host:port
	Pin        []byte            // SHA-256 of the public key (SubjectPublicKeyInfo) of the authority of the hub's certificate; empty: any that the system knows
	ReceiptKey ed25519.PublicKey // the hub's
	Authority  []byte            // X25519 key that personal parts are sealed to
	Issuer     ed25519.PublicKey // whose signature the enrolment carries
	Venue      string
	Area       string // may be empty
	Name       string // of the device at the hub: 1 to 40 of a-z 0-9 -
	Zone       string // the venue's time zone, "Asia/Ho_Chi_Minh"

	Network Network // what the hub does not get to see
}

// Network is how a gate reaches the world. The zero Network is a cable and DHCP.
type Network struct {
	Salt       []byte // 16 random bytes, so that whoever knows the hash of this part cannot guess at it; nil in a zero Network
	SSID       string // of the Wi-Fi; empty: none
	Passphrase string // its password: 8 to 63 ASCII characters, or 64 hexadecimal digits; empty: an open one
	Address    string // with the length of its prefix, "10.0.0.7/24"; empty: DHCP
	Gateway    string // may be empty where there is an Address
	DNS        []string
	Proxy      string // http://host:port, may have user and password; empty: none. TLS to a proxy could not be checked by Pin
}

// site is the CBOR array of what a kiosk and the hub read of an Enrolment.
type site struct {
	_                                  struct{} `cbor:",toarray"`
	Version                            uint
	ID                                 []byte
	Issued, Expires                    int64 // milliseconds since 1970
	Hub                                string
	Pin, ReceiptKey, Authority, Issuer []byte
	Venue, Area, Name, Zone            string
}

// network is the CBOR array of a Network.
type network struct {
	_                                  struct{} `cbor:",toarray"`
	Salt                               []byte
	SSID, Passphrase, Address, Gateway string
	DNS                                []string
	Proxy                              string
}

// issued is the CBOR array of a signed enrolment. Network is empty where there is none.
type issued struct {
	_                  struct{} `cbor:",toarray"`
	Version            uint
	Site, Network, Sig []byte
}

// SignEnrolment returns the bytes of e under the issuer's key, which becomes e.Issuer.
func SignEnrolment(key ed25519.PrivateKey, e Enrolment) ([]byte, error) {
	e.Issuer = key.Public().(ed25519.PublicKey)
	if err := e.check(); err != nil {
		return nil, err
	}
	s, err := cbor.Marshal(site{
		Version: EnrolmentVersion, ID: e.ID[:], Issued: e.Issued.UnixMilli(), Expires: e.Expires.UnixMilli(), Hub: e.Hub,
		Pin: e.Pin, ReceiptKey: e.ReceiptKey, Authority: e.Authority, Issuer: e.Issuer,
		Venue: e.Venue, Area: e.Area, Name: e.Name, Zone: e.Zone,
	})
	if err != nil {
		return nil, err
	}
	var n []byte
	if w := e.Network; !w.zero() {
		if n, err = cbor.Marshal(network{Salt: w.Salt, SSID: w.SSID, Passphrase: w.Passphrase, Address: w.Address, Gateway: w.Gateway, DNS: w.DNS, Proxy: w.Proxy}); err != nil {
			return nil, err
		}
	}
	raw, err := cbor.Marshal(issued{Version: EnrolmentVersion, Site: s, Network: n, Sig: ed25519.Sign(key, issuedText(s, sha256.Sum256(n)))})
	if err == nil && len(raw) > MaxEnrolment {
		err = fmt.Errorf("enrolment of %d bytes exceeds %d: shorten its names", len(raw), MaxEnrolment)
	}
	return raw, err
}

// ParseEnrolment reads an enrolment and checks its limits and that the issuer that it names has signed it. Whether that
// issuer counts, and whether it has expired, is the caller's to say. Every error is an ErrEnrolment or an ErrEnrolmentSig,
// and shows nothing of the content.
func ParseEnrolment(raw []byte) (Enrolment, error) {
	i, err := parseIssued(raw)
	if err != nil {
		return Enrolment{}, err
	}
	e, err := parseSite(i.Site)
	if err != nil {
		return Enrolment{}, err
	}
	if !ed25519.Verify(e.Issuer, issuedText(i.Site, sha256.Sum256(i.Network)), i.Sig) {
		return Enrolment{}, ErrEnrolmentSig
	}
	if len(i.Network) > 0 {
		var n network
		if err := decoding.Unmarshal(i.Network, &n); err != nil {
			return Enrolment{}, fmt.Errorf("%w: its network is not the array that it should be", ErrEnrolment)
		}
		e.Network = Network{Salt: n.Salt, SSID: n.SSID, Passphrase: n.Passphrase, Address: n.Address, Gateway: n.Gateway, DNS: n.DNS, Proxy: n.Proxy}
		if err := e.Network.check(); err != nil {
			return Enrolment{}, fmt.Errorf("%w: %w", ErrEnrolment, err)
		}
	}
	return e, nil
}

func parseIssued(raw []byte) (i issued, err error) {
	if len(raw) > MaxEnrolment {
		return i, fmt.Errorf("%w: %d bytes exceed %d", ErrEnrolment, len(raw), MaxEnrolment)
	}
	if decoding.Unmarshal(raw, &i) != nil {
		return i, fmt.Errorf("%w: not the array that it should be", ErrEnrolment)
	}
	if i.Version != EnrolmentVersion {
		return i, fmt.Errorf("%w: version %d, this program knows %d", ErrEnrolment, i.Version, EnrolmentVersion)
	}
	return i, nil
}

func parseSite(raw []byte) (e Enrolment, err error) {
	var s site
	if decoding.Unmarshal(raw, &s) != nil || len(s.ID) != len(e.ID) {
		return e, fmt.Errorf("%w: its site is not the array that it should be", ErrEnrolment)
	}
	if s.Version != EnrolmentVersion {
		return e, fmt.Errorf("%w: site of version %d, this program knows %d", ErrEnrolment, s.Version, EnrolmentVersion)
	}
	e = Enrolment{
		ID: [16]byte(s.ID), Issued: time.UnixMilli(s.Issued).UTC(), Expires: time.UnixMilli(s.Expires).UTC(), Hub: s.Hub,
		Pin: s.Pin, ReceiptKey: s.ReceiptKey, Authority: s.Authority, Issuer: s.Issuer,
		Venue: s.Venue, Area: s.Area, Name: s.Name, Zone: s.Zone,
	}
	if err := e.check(); err != nil {
		return e, fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	return e, nil
}

// A Claim is what a device hands to the hub: its enrolment without the network, and its public key.
type Claim struct {
	Enrolment Enrolment // its Network is zero
	Device    ed25519.PublicKey
}

// claim is the CBOR array of a Claim. Network is the SHA-256 of the part that stays with the device.
type claim struct {
	_                       struct{} `cbor:",toarray"`
	Version                 uint
	Site, Network, Sig      []byte
	Device, DeviceSignature []byte
}

// NewClaim returns the bytes with which the device of key claims the enrolment raw.
func NewClaim(key ed25519.PrivateKey, raw []byte) ([]byte, error) {
	i, err := parseIssued(raw)
	if err != nil {
		return nil, err
	}
	pub, hidden := key.Public().(ed25519.PublicKey), sha256.Sum256(i.Network)
	return cbor.Marshal(claim{
		Version: EnrolmentVersion, Site: i.Site, Network: hidden[:], Sig: i.Sig,
		Device: pub, DeviceSignature: ed25519.Sign(key, claimText(i.Site, pub)),
	})
}

// ParseClaim reads a claim and checks its limits, the device's signature, and that of the issuer that it names. Every
// error is an ErrEnrolment or an ErrEnrolmentSig.
func ParseClaim(raw []byte) (Claim, error) {
	var c claim
	if len(raw) > MaxEnrolment || decoding.Unmarshal(raw, &c) != nil {
		return Claim{}, fmt.Errorf("%w: not the array that a claim should be", ErrEnrolment)
	}
	if c.Version != EnrolmentVersion || len(c.Network) != sha256.Size || len(c.Device) != ed25519.PublicKeySize {
		return Claim{}, fmt.Errorf("%w: a claim of another version or with sizes that are off", ErrEnrolment)
	}
	e, err := parseSite(c.Site)
	if err != nil {
		return Claim{}, err
	}
	if !ed25519.Verify(e.Issuer, issuedText(c.Site, [sha256.Size]byte(c.Network)), c.Sig) ||
		!ed25519.Verify(c.Device, claimText(c.Site, c.Device), c.DeviceSignature) {
		return Claim{}, ErrEnrolmentSig
	}
	return Claim{Enrolment: e, Device: c.Device}, nil
}

// issuedText is what an issuer signs: the network stands in it by its hash, so that the hub can check without seeing it.
func issuedText(site []byte, network [sha256.Size]byte) []byte {
	return fmt.Appendf(nil, "gatepost/enrolment/1\n%x\n%x\n", sha256.Sum256(site), network)
}

// claimText is what a device signs.
func claimText(site []byte, device ed25519.PublicKey) []byte {
	return fmt.Appendf(nil, "gatepost/enrol/1\n%x\n%s\n", sha256.Sum256(site), entry.DeviceID(device))
}
