package order

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"fmt"
	"net/url"
	"strings"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/admission"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/trust"
	"gatepost/scanner/form"
	"gatepost/scanner/form/strict"
	"gatepost/sync/wire"
)

// A Body is what an order says, read by its kind: one of the fields is set.
type Body struct {
	Policy *admission.Policy
	Form   *form.Form
	Trust  *credential.Trust // of declarers alone it has no time at which it was made
	Config *config.Remote
	Update *Update
	Roster *roster.Roster

	formText, formSig []byte
}

// An Update says which bundle a kiosk is to take: package update.
type Update struct {
	Schema  int    `toml:"schema"`
	Version int    `toml:"version"` // grows with each release
	Reads   int    `toml:"reads"`   // the newest journal format that it can read
	Writes  int    `toml:"writes"`  // the journal format that it writes
	Size    int64  `toml:"size"`    // bytes
	SHA256  string `toml:"sha256"`  // of the bundle, hexadecimal
	URL     string `toml:"url"`     // https
}

const maxBundle = 1 << 30 // bytes

// Read reads the body of an order. Whether a kiosk can use it besides (a form's publisher, a lane's name), only that
// kiosk can tell. Errors list all faults with their lines.
func Read(o wire.Order) (b Body, err error) {
	switch o.Kind {
	case wire.OrderPolicy:
		p, err := config.Policy(o.Body)
		return Body{Policy: &p}, err
	case wire.OrderForm:
		return readForm(o)
	case wire.OrderTrust:
		return readTrust(o.Body)
	case wire.OrderConfig:
		r, err := config.ParseRemote(o.Body)
		return Body{Config: &r}, err
	case wire.OrderUpdate:
		return readUpdate(o.Body)
	case wire.OrderRoster:
		r, err := roster.Parse(o.Body)
		return Body{Roster: &r}, err
	}
	return b, fmt.Errorf("this program knows no order of the kind %q", o.Kind)
}

// FormBody returns the body of an order with a form, its signature before it, and the order's name.
func FormBody(toml, signature []byte) (body []byte, name string, err error) {
	f, err := form.Parse(toml)
	if err != nil {
		return nil, "", err
	}
	return append(append(bytes.TrimSpace(signature), '\n'), toml...), fmt.Sprintf("%s-%d", f.ID, f.Version), nil
}

// readTrust reads a trust bundle, or PEM with declarers alone.
func readTrust(text []byte) (b Body, err error) {
	b.Trust = &credential.Trust{}
	if bytes.HasPrefix(text, []byte("{")) {
		*b.Trust, err = trust.Parse(text)
	} else {
		b.Trust.Declarers, err = keyfile.Bundle(text)
	}
	return b, err
}

func readForm(o wire.Order) (b Body, err error) {
	b.formSig, b.formText, _ = bytes.Cut(o.Body, []byte("\n"))
	f, err := form.Parse(b.formText)
	if err != nil {
		return b, err
	}
	if want := fmt.Sprintf("%s-%d", f.ID, f.Version); want != o.Name {
		return b, fmt.Errorf("the form is %q and the order's name %q", want, o.Name)
	}
	b.Form = &f
	return b, nil
}

func readUpdate(text []byte) (Body, error) {
	u := &Update{}
	doc := strict.Decode(text, u)
	if err := doc.Syntax(); err != nil {
		return Body{}, err
	}
	doc.Schema(u.Schema, 1)
	if u.Version < 1 {
		doc.Fault("version", "needs the release's number")
	}
	if u.Reads < 1 {
		doc.Fault("reads", "needs the journal's format")
	}
	if u.Writes < 1 || u.Writes > u.Reads {
		doc.Fault("writes", "needs a journal's format that it can read")
	}
	if u.Size < 1 || u.Size > maxBundle {
		doc.Fault("size", "needs the bundle's bytes, at most %d", maxBundle)
	}
	if b, err := hex.DecodeString(u.SHA256); err != nil || len(b) != 32 || strings.ToLower(u.SHA256) != u.SHA256 {
		doc.Fault("sha256", "needs 64 hexadecimal digits, small ones")
	}
	if a, err := url.Parse(u.URL); err != nil || a.Scheme != "https" || a.Host == "" {
		doc.Fault("url", "needs an address such as \"https://hub.example/v1/bundles/7.bundle\"")
	}
	return Body{Update: u}, doc.Err()
}

// A Layer is a kiosk's configuration with what its orders say over it.
type Layer struct {
	Config  *config.Kiosk
	Policy  *admission.Policy // nil: as configured
	Trust   *credential.Trust // nil: as configured
	Forms   form.Set          // besides those that are configured
	Rosters roster.Set
	Update  *Update // nil: the card's system stays

	ca []byte // of the hub, where an order brings one
}

// add puts one order over l. An error leaves l as it was.
func (l *Layer) add(o wire.Order, publisher ed25519.PublicKey) error {
	b, err := Read(o)
	if err != nil {
		return err
	}
	switch {
	case b.Policy != nil:
		l.Policy = b.Policy
	case b.Form != nil:
		if err := form.Verify(publisher, b.formText, b.formSig); err != nil {
			return err
		}
		l.Forms[b.Form.Ref()] = *b.Form
	case b.Trust != nil:
		l.Trust = b.Trust
	case b.Update != nil:
		l.Update = b.Update
	case b.Roster != nil:
		l.Rosters[o.Name] = *b.Roster
	case b.Config != nil:
		c, err := b.Config.Over(l.Config)
		if err != nil {
			return err
		}
		l.Config, l.ca = c, []byte(b.Config.Uplink.CA)
	}
	return nil
}
