package wire

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

const (
	// MaxRelease is the most bytes of a release.
	MaxRelease = 768 << 10
	// MaxReleased is the most devices of one release; whoever opens more says so in several.
	MaxReleased = 5_000

	maxCase = 40
)

// A Release says that somebody is about to open sealed parts for a person's sake, and which. It names no person.
type Release struct {
	Case    string     `json:"case"`
	By      string     `json:"by"`   // ByPlace or ByPerson: whether all that is opened is shown, or only who was searched
	From    int64      `json:"from"` // the window's beginning and end, milliseconds since 1970
	To      int64      `json:"to"`
	Devices []Released `json:"devices"`
	Token   string     `json:"token,omitempty"` // fingerprint of the token that asked; only the hub sets it
}

// What a Release can be By.
const (
	ByPlace  = "place"
	ByPerson = "person"
)

// Released are entries of one device: so many, none before First and none behind Last.
type Released struct {
	Device  string `json:"device"`
	First   uint64 `json:"first"`
	Last    uint64 `json:"last"`
	Entries int    `json:"entries"`
}

// A Recorded is the hub's answer: the release stands durably in its log, at that place.
type Recorded struct {
	Case   string `json:"case"`
	Record uint64 `json:"record"`
	Token  string `json:"token"`
}

// Entries returns how many entries are opened.
func (r Release) Entries() (n int) {
	for _, d := range r.Devices {
		n += d.Entries
	}
	return n
}

// ParseRelease reads a release as it is asked for. A field that it does not know is refused, so that none can carry a name.
func ParseRelease(raw []byte) (r Release, err error) {
	if len(raw) > MaxRelease {
		return r, fmt.Errorf("release of %d bytes exceeds %d", len(raw), MaxRelease)
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Release{}, fmt.Errorf("not a release: %w", err)
	}
	if d.More() {
		return Release{}, errors.New("not a release: there is more behind it")
	}
	return r, r.check()
}

func (r Release) check() error {
	switch {
	case !IsCase(r.Case):
		return errors.New("a case has 1 to 40 letters without accents, digits and . / _ -, the first a letter or a digit")
	case r.By != ByPlace && r.By != ByPerson:
		return fmt.Errorf("by is neither %q nor %q", ByPlace, ByPerson)
	case r.From >= r.To:
		return errors.New("the window ends before it begins")
	case r.Token != "":
		return errors.New("whose token it is the hub says itself")
	case len(r.Devices) == 0 || len(r.Devices) > MaxReleased:
		return fmt.Errorf("%d devices, from 1 to %d are possible", len(r.Devices), MaxReleased)
	}
	for _, d := range r.Devices {
		if !IsDevice(d.Device) {
			return errors.New("a device is not 16 hexadecimal digits")
		}
		if d.First == 0 || d.Last < d.First || d.Entries < 1 || uint64(d.Entries-1) > d.Last-d.First {
			return fmt.Errorf("the entries of device %s cannot be", d.Device)
		}
	}
	return nil
}

// IsCase tells whether s can be a case's number.
func IsCase(s string) bool {
	for i, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && (i == 0 || !strings.ContainsRune("./_-", r)) {
			return false
		}
	}
	return s != "" && len(s) <= maxCase
}

// IsDevice tells whether s is written as a device's id.
func IsDevice(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 16 && s == strings.ToLower(s)
}
