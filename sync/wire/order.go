package wire

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
)

const (
	// OrderVersion is the first item of every order.
	OrderVersion = 1
	// MaxOrder is the most bytes of one order.
	MaxOrder = 256 << 10
	// MaxSlots is the most slots for which one kiosk keeps orders.
	MaxSlots = 128

	maxAreas   = 64
	maxArea    = 200 // bytes
	maxDevices = 500
)

// The kinds of Order. Those of the kinds form and roster have a name.
const (
	OrderPolicy = "policy" // TOML, see cmd/internal/config
	OrderForm   = "form"   // a line with the publisher's signature, and behind it the form's TOML
	OrderRoster = "roster" // who is expected and who is barred
	OrderTrust  = "trust"  // PEM: the public keys whose declarations count
	OrderConfig = "config" // TOML: the part of a kiosk's configuration that may be changed from afar
	OrderUpdate = "update" // TOML: an image's version, size, hash and address
)

// OrderKinds lists the kinds.
func OrderKinds() []string {
	return []string{OrderPolicy, OrderForm, OrderRoster, OrderTrust, OrderConfig, OrderUpdate}
}

// ErrOrder means that bytes are not an order, or not one that counts here.
var ErrOrder = errors.New("not an order that counts")

// An Order is one document to kiosks under its issuer's signature. It proves itself, so any carrier will do. Among the
// orders of one Slot, the one with the highest serial counts.
type Order struct {
	Kind    string
	Name    string // of a form or a roster
	Serial  uint64 // from 1
	Areas   []string
	Devices []string // ids
	Percent uint     // of the devices that it is for: 1 to 100
	From    time.Time
	Until   time.Time // from then on it is no longer taken; one that was taken stays
	Body    []byte

	content []byte // what is signed
	sig     []byte
}

// sealedOrder is the CBOR of an Order: an array of version, content, signature.
type sealedOrder struct {
	_       struct{} `cbor:",toarray"`
	Version uint
	Content []byte
	Sig     []byte
}

// orderContent is the CBOR inside: an array as well. Times are milliseconds since 1970, 0 where there is none.
type orderContent struct {
	_       struct{} `cbor:",toarray"`
	Kind    string
	Name    string
	Serial  uint64
	Areas   []string
	Devices []string
	Percent uint
	From    int64
	Until   int64
	Body    []byte
}

// SignOrder returns the bytes of o under key. Every error is an ErrOrder.
func SignOrder(key ed25519.PrivateKey, o Order) ([]byte, error) {
	content, err := cbor.Marshal(orderContent{
		Kind: o.Kind, Name: o.Name, Serial: o.Serial, Areas: orEmpty(o.Areas), Devices: orEmpty(o.Devices), Percent: o.Percent,
		From: millis(o.From), Until: millis(o.Until), Body: o.Body,
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	raw, err := cbor.Marshal(sealedOrder{Version: OrderVersion, Content: content, Sig: ed25519.Sign(key, orderText(content))})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	_, err = ParseOrder(raw)
	return raw, err
}

// ParseOrder reads an order and checks its form. It does not check the signature. Every error is an ErrOrder.
func ParseOrder(raw []byte) (Order, error) {
	if len(raw) > MaxOrder {
		return Order{}, fmt.Errorf("%w: %d bytes exceed %d", ErrOrder, len(raw), MaxOrder)
	}
	var s sealedOrder
	if err := decoding.Unmarshal(raw, &s); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	if s.Version != OrderVersion {
		return Order{}, fmt.Errorf("%w: version %d, this program knows %d", ErrOrder, s.Version, OrderVersion)
	}
	var c orderContent
	if err := decoding.Unmarshal(s.Content, &c); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	o := Order{
		Kind: c.Kind, Name: c.Name, Serial: c.Serial, Areas: c.Areas, Devices: c.Devices, Percent: c.Percent,
		From: moment(c.From), Until: moment(c.Until), Body: c.Body, content: s.Content, sig: s.Sig,
	}
	if c.From < 0 || c.Until < 0 {
		return Order{}, fmt.Errorf("%w: a time before 1970", ErrOrder)
	}
	if err := o.check(); err != nil {
		return Order{}, fmt.Errorf("%w: %w", ErrOrder, err)
	}
	return o, nil
}

var orderName = regexp.MustCompile(`^[a-z][a-z0-9-]{0,39}$`)

func (o Order) check() error {
	named := o.Kind == OrderForm || o.Kind == OrderRoster
	switch {
	case !slices.Contains(OrderKinds(), o.Kind):
		return fmt.Errorf("kind %.20q is not one of %s", o.Kind, strings.Join(OrderKinds(), ", "))
	case named && !orderName.MatchString(o.Name):
		return fmt.Errorf("name %.50q: a %s has one of 1 to 40 small letters, digits and hyphens, a letter first", o.Name, o.Kind)
	case !named && o.Name != "":
		return fmt.Errorf("an order of the kind %s has no name", o.Kind)
	case o.Serial == 0:
		return errors.New("serials begin with 1")
	case o.Percent < 1 || o.Percent > 100:
		return fmt.Errorf("%d percent, from 1 to 100 are possible", o.Percent)
	case len(o.Areas) > maxAreas || len(o.Devices) > maxDevices:
		return fmt.Errorf("%d areas and %d devices, %d and %d are possible", len(o.Areas), len(o.Devices), maxAreas, maxDevices)
	case !o.From.IsZero() && !o.Until.IsZero() && !o.Until.After(o.From):
		return errors.New("it ends before it begins")
	case len(o.Body) == 0:
		return errors.New("it has no body")
	}
	for _, a := range o.Areas {
		if a == "" || len(a) > maxArea || a != strings.Trim(a, "/ ") || strings.ContainsFunc(a, unicode.IsControl) {
			return fmt.Errorf("area %.50q is none such as \"Mê Linh\" or \"Mê Linh/Quang Minh\"", a)
		}
	}
	for _, d := range o.Devices {
		if !deviceID.MatchString(d) {
			return fmt.Errorf("device %.20q is no id of 16 hexadecimal digits", d)
		}
	}
	return nil
}

var deviceID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Verify returns an error, an ErrOrder, unless issuer has signed o.
func (o Order) Verify(issuer ed25519.PublicKey) error {
	if len(issuer) != ed25519.PublicKeySize || !ed25519.Verify(issuer, orderText(o.content), o.sig) {
		return fmt.Errorf("%w: %v does not carry its issuer's signature", ErrOrder, o)
	}
	return nil
}

// Hash names an order: the SHA-256 of what is signed. Orders that were read or signed have one.
func (o Order) Hash() entry.Hash { return entry.HashOf(o.content) }

// Slot is what an order is about: its kind, and its name where it has one, as "policy" or "form/visit-3".
func (o Order) Slot() string {
	if o.Name == "" {
		return o.Kind
	}
	return o.Kind + "/" + o.Name
}

// String tells of an order in words fit for a log: "policy 7".
func (o Order) String() string { return fmt.Sprintf("%s %d", o.Slot(), o.Serial) }

// Meant reports whether o is for a device that stands in area.
func (o Order) Meant(device, area string) bool {
	return (len(o.Areas) == 0 || InAreas(area, o.Areas)) && o.Aimed(device)
}

// Aimed is Meant without the area, which a kiosk does not know. The share of the devices that a percentage takes depends
// on the slot alone, so that a later order with a higher one only adds devices.
func (o Order) Aimed(device string) bool {
	if len(o.Devices) > 0 && !slices.Contains(o.Devices, device) {
		return false
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "gatepost/stage/1\n%s\n%s\n", o.Slot(), device))
	return binary.BigEndian.Uint64(sum[:])%100 < uint64(o.Percent)
}

// Begun reports whether o counts at now already; Over, whether it can no longer be taken.
func (o Order) Begun(now time.Time) bool { return !now.Before(o.From) }

// Over reports whether o can no longer be taken at now.
func (o Order) Over(now time.Time) bool { return !o.Until.IsZero() && !now.Before(o.Until) }

// InAreas reports whether area is one of areas or lies below one: "Mê Linh/Quang Minh" lies in "Mê Linh".
func InAreas(area string, areas []string) bool {
	return slices.ContainsFunc(areas, func(a string) bool { return area == a || strings.HasPrefix(area, a+"/") })
}

// orderText returns the text that is signed: two lines, each ended by a line feed.
func orderText(content []byte) []byte {
	return fmt.Appendf(nil, "gatepost/order/1\n%v\n", entry.HashOf(content))
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func moment(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}
