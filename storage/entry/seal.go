package entry

import (
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
)

// Personal is what a passage knows of a person. It reaches a disk only through Seal.
type Personal struct {
	Family   string         `cbor:"1,keyasint" json:"family"`             // of the code, "cccd"
	Verified bool           `cbor:"2,keyasint,omitempty" json:"verified"` // the code's own signature was checked
	Reason   Reason         `cbor:"3,keyasint" json:"reason"`
	Name     string         `cbor:"4,keyasint,omitempty" json:"name,omitempty"`   // NFC
	Birth    string         `cbor:"5,keyasint,omitempty" json:"birth,omitempty"`  // yyyy-mm-dd or yyyy
	Number   string         `cbor:"6,keyasint,omitempty" json:"number,omitempty"` // of the card, or its tail
	QID      string         `cbor:"7,keyasint,omitempty" json:"qid,omitempty"`
	Address  string         `cbor:"8,keyasint,omitempty" json:"address,omitempty"`
	Answers  map[string]any `cbor:"9,keyasint,omitempty" json:"answers,omitempty"`   // by question id
	Declarer string         `cbor:"10,keyasint,omitempty" json:"declarer,omitempty"` // who declared for this person
	Plate    string         `cbor:"11,keyasint,omitempty" json:"plate,omitempty"`    // of the vehicle, where the form asks
	Slip     string         `cbor:"12,keyasint,omitempty" json:"slip,omitempty"`     // number of the paper slip of who had no code
}

// LogValue keeps a person out of every log line.
func (Personal) LogValue() slog.Value { return slog.StringValue("[personal]") }

// String keeps a person out of %v and %s too.
func (Personal) String() string { return "[personal]" }

const (
	sealInfo  = "gatepost/personal/1"
	sealBlock = 64 // sealed parts are padded to whole blocks, so that their size does not tell a name's length
	keyIDSize = 4
)

// ErrOtherKey means that a sealed part was made for another authority's key.
var ErrOtherKey = errors.New("sealed to another key")

// A Sealer seals to one authority. It is safe for concurrent use.
type Sealer struct {
	key hpke.PublicKey
	id  []byte
}

// NewSealer takes the authority's X25519 public key.
func NewSealer(pub *ecdh.PublicKey) (*Sealer, error) {
	k, err := hpke.NewDHKEMPublicKey(pub)
	if err != nil {
		return nil, fmt.Errorf("seal to this key: %w", err)
	}
	return &Sealer{k, keyID(pub)}, nil
}

// Seal returns 4 bytes of the key's SHA-256, then HPKE's encapsulated key and ciphertext (RFC 9180,
// base mode, X25519, HKDF-SHA256, ChaCha20-Poly1305, info "gatepost/personal/1", no aad, one context
// a record). Inside are p's CBOR and zeros up to a whole number of 64-byte blocks.
func (s *Sealer) Seal(p Personal) ([]byte, error) {
	plain, err := encoding.Marshal(p)
	if err != nil {
		return nil, fmt.Errorf("encode personal part: %w", err)
	}
	plain = append(plain, make([]byte, (sealBlock-len(plain)%sealBlock)%sealBlock)...)
	sealed, err := hpke.Seal(s.key, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(sealInfo), plain)
	if err != nil {
		return nil, fmt.Errorf("seal personal part: %w", err)
	}
	return append(s.id[:keyIDSize:keyIDSize], sealed...), nil
}

// Unseal opens what Seal made with the key that belongs to it.
func Unseal(key *ecdh.PrivateKey, sealed []byte) (Personal, error) {
	if len(sealed) < keyIDSize || string(sealed[:keyIDSize]) != string(keyID(key.PublicKey())) {
		return Personal{}, ErrOtherKey
	}
	k, err := hpke.NewDHKEMPrivateKey(key)
	if err != nil {
		return Personal{}, fmt.Errorf("open with this key: %w", err)
	}
	plain, err := hpke.Open(k, hpke.HKDFSHA256(), hpke.ChaCha20Poly1305(), []byte(sealInfo), sealed[keyIDSize:])
	if err != nil {
		return Personal{}, fmt.Errorf("open personal part: %w", err)
	}
	var p Personal
	rest, err := decoding.UnmarshalFirst(plain, &p)
	if err != nil {
		return Personal{}, fmt.Errorf("decode personal part: %w", err)
	}
	for _, b := range rest {
		if b != 0 {
			return Personal{}, errors.New("decode personal part: bytes after it")
		}
	}
	return p, nil
}

func keyID(pub *ecdh.PublicKey) []byte {
	sum := sha256.Sum256(pub.Bytes())
	return sum[:keyIDSize]
}
