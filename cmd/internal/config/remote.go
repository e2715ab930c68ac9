package config

import (
	"crypto/x509"
	"fmt"
	"net/url"
	"slices"

	"gatepost/scanner/form/strict"
)

// A Remote is the part of a kiosk's configuration that may be changed from afar: where the hub is, how long entries stay,
// which way lanes let people through. It can set no key and no path.
type Remote struct {
	Schema int `toml:"schema"`
	Venue  struct {
		Retain string `toml:"retain"`
	} `toml:"venue"`
	Uplink struct {
		Hub      string `toml:"hub"`
		Proxy    string `toml:"proxy"`
		CA       string `toml:"ca"` // PEM, not a path
		Interval string `toml:"interval"`
	} `toml:"uplink"`
	Lanes []RemoteLane `toml:"lane"`

	doc *strict.Doc
}

// A RemoteLane turns a lane that is there.
type RemoteLane struct {
	Name      string `toml:"name"`
	Direction string `toml:"direction"`
}

// ParseRemote reads such a part. Its error lists every fault with its line; whether a kiosk has the lanes, Over tells.
func ParseRemote(text []byte) (Remote, error) {
	r := Remote{}
	r.doc = strict.Decode(text, &r)
	if err := r.doc.Syntax(); err != nil {
		return r, err
	}
	r.doc.Schema(r.Schema, 1)
	if r.doc.Has("uplink.hub") && r.Uplink.Hub == "" {
		r.doc.Fault("uplink.hub", "a kiosk cannot be told from afar to be alone")
	}
	if r.doc.Has("uplink.ca") && !x509.NewCertPool().AppendCertsFromPEM([]byte(r.Uplink.CA)) {
		r.doc.Fault("uplink.ca", "needs a certificate itself, in PEM")
	}
	k := Kiosk{}
	if err := strict.Decode([]byte(DefaultKiosk), &k).Err(); err != nil {
		return r, fmt.Errorf("defaults: %w", err)
	}
	k.Uplink.ReceiptKey = "the kiosk's own"
	k.Lanes = nil
	for _, l := range r.Lanes {
		k.Lanes = append(k.Lanes, Lane{Name: l.Name, Direction: l.Direction, Source: "auto"})
	}
	r.write(&k)
	k.checkTimes(r.doc)
	k.checkLanes(r.doc)
	k.checkNetwork(r.doc)
	return r, r.doc.Err()
}

// Over returns k with what r sets. Where r brings a certificate authority, it is for the caller to keep in a file
// (Uplink.CA). k is not changed.
func (r Remote) Over(k *Kiosk) (*Kiosk, error) {
	n := *k
	n.Lanes = slices.Clone(k.Lanes)
	for _, l := range r.Lanes {
		i := slices.IndexFunc(n.Lanes, func(own Lane) bool { return own.Name == l.Name })
		if i < 0 {
			return nil, fmt.Errorf("there is no lane %q here", l.Name)
		}
		n.Lanes[i].Direction = l.Direction
	}
	r.write(&n)
	n.Proxy = nil
	doc := strict.Decode(nil, &struct{}{})
	n.checkTimes(doc)
	n.checkLanes(doc)
	n.checkNetwork(doc)
	return &n, doc.Err()
}

// write puts what r sets into k.
func (r Remote) write(k *Kiosk) {
	for path, v := range map[string]struct{ from, to *string }{
		"venue.retain": {&r.Venue.Retain, &k.Venue.Retain}, "uplink.hub": {&r.Uplink.Hub, &k.Uplink.Hub},
		"uplink.proxy": {&r.Uplink.Proxy, &k.Uplink.Proxy}, "uplink.interval": {&r.Uplink.Interval, &k.Uplink.Interval},
	} {
		if r.doc.Has(path) {
			*v.to = *v.from
		}
	}
}

// Lines tells in words what r sets, one a line; a proxy's password is left out.
func (r Remote) Lines() (lines []string) {
	proxy := r.Uplink.Proxy
	if u, err := url.Parse(proxy); err == nil {
		proxy = u.Redacted()
	}
	ca := "none"
	if r.Uplink.CA != "" {
		ca = fmt.Sprintf("a certificate of %d bytes", len(r.Uplink.CA))
	}
	for _, l := range [][2]string{
		{"venue.retain", r.Venue.Retain}, {"uplink.hub", r.Uplink.Hub}, {"uplink.proxy", proxy}, {"uplink.ca", ca}, {"uplink.interval", r.Uplink.Interval},
	} {
		if r.doc.Has(l[0]) {
			lines = append(lines, fmt.Sprintf("%s = %q", l[0], l[1]))
		}
	}
	for _, l := range r.Lanes {
		lines = append(lines, fmt.Sprintf("lane %q = %q", l.Name, l.Direction))
	}
	return lines
}
