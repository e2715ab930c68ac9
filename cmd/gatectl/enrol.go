package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/sync/wire"
)

const enrolHelp = `usage: gatectl enrol -key issuer.key -hub https://HOST:PORT [-ca ca.pem] -receipt-key FILE -authority FILE
                     -venue NAME [-area NAME] -name NAME -out DIR [network flags]
       gatectl enrol show FILE…

Signs an enrolment, which makes a gate of a unit that reads its codes with its own camera, and writes it into the
new folder DIR: a picture of each code (part-01.png …), sheet.html to print or to show on a phone, and parts.txt.
One unit uses it, once, until it expires. -ca is the certificate of the authority behind the hub's own; left out,
any counts that the unit's system knows. -name is the device's name at the hub.

A Wi-Fi password comes from a file, since everybody on the machine sees what stands on a command line; it is in the
pictures for whoever reads them, so destroy them afterwards. With -in - (or a file) flags come as lines, such as
proxy=http://USER:PASSWORD@proxy.example:3128.

show explains what pictures or texts of codes hold, without passwords.

`

const maxExpiry = 90 * 24 * time.Hour

// An enrolRequest is what the flags of enrol ask for.
type enrolRequest struct {
	enrolment                                  wire.Enrolment
	key, ca, receipt, authority, password, out string
	dns                                        words
	expires                                    time.Duration
}

func enrolCommand(_ context.Context, e env, args []string) int {
	if len(args) > 0 && args[0] == "show" {
		return showEnrolment(e, args[1:])
	}
	var r enrolRequest
	n := &r.enrolment.Network
	fs := newFlags("enrol", enrolHelp)
	fs.StringVar(&r.key, "key", "", "private key of the issuer")
	fs.StringVar(&r.enrolment.Hub, "hub", "", "the hub's address")
	fs.StringVar(&r.ca, "ca", "", "certificate of the authority that vouches for the hub, which the hub shows")
	fs.StringVar(&r.receipt, "receipt-key", "", "the hub's public key for receipts")
	fs.StringVar(&r.authority, "authority", "", "the authority's public key, to which what names a person is sealed")
	fs.StringVar(&r.enrolment.Venue, "venue", "", "the venue's name")
	fs.StringVar(&r.enrolment.Area, "area", "", "the area in which it lies")
	fs.StringVar(&r.enrolment.Name, "name", "", "the device's name at the hub, of a-z 0-9 -")
	fs.StringVar(&r.enrolment.Zone, "zone", "Asia/Ho_Chi_Minh", "the venue's time zone")
	fs.StringVar(&n.SSID, "wifi", "", "name of the Wi-Fi; left out: a cable")
	fs.StringVar(&r.password, "wifi-password-file", "", "file that holds its password")
	fs.StringVar(&n.Address, "address", "", "fixed address, as 10.0.0.7/24; left out: DHCP")
	fs.StringVar(&n.Gateway, "gateway", "", "its gateway")
	fs.Var(&r.dns, "dns", "address of a name server, up to three times")
	fs.StringVar(&n.Proxy, "proxy", "", "http://HOST:PORT through which the hub is reached")
	fs.DurationVar(&r.expires, "expires", 72*time.Hour, "how long it can be used")
	fs.StringVar(&r.out, "out", "", "new folder for the codes")
	in := fs.String("in", "", "read more flags from this `FILE`, - for standard input, one FLAG=VALUE a line")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if *in != "" {
		if err := readFlags(e, fs, *in); err != nil {
			return misused(e, fs, err.Error())
		}
	}
	for _, needed := range []string{"key", "hub", "receipt-key", "authority", "venue", "name", "out"} {
		if fs.Lookup(needed).Value.String() == "" {
			return misused(e, fs, "-"+needed+" is needed")
		}
	}
	if fs.NArg() > 0 {
		return misused(e, fs, "nothing is taken beside the flags")
	}
	raw, err := r.issue(time.Now())
	if err == nil {
		err = writeSheet(r.out, raw, r.enrolment)
	}
	if err != nil {
		return fail(e, "enrol", err)
	}
	fmt.Fprintf(e.out, "%d codes in %s: show them to the unit's camera before %s\n",
		len(wire.EnrolmentParts(raw)), r.out, r.enrolment.Expires.Local().Format("2006-01-02 15:04"))
	return exitOK
}

// issue signs what was asked for, or returns every fault.
func (r *enrolRequest) issue(now time.Time) ([]byte, error) {
	n := &r.enrolment
	key, err := keyfile.Private(r.key)
	faults := []error{err}
	n.ReceiptKey, err = keyfile.Public(r.receipt)
	faults = append(faults, err)
	if authority, err := keyfile.SealPublic(r.authority); err != nil {
		faults = append(faults, err)
	} else {
		n.Authority = authority.Bytes()
	}
	if r.ca != "" {
		n.Pin, err = pinOf(r.ca)
		faults = append(faults, err)
	}
	if r.password != "" {
		n.Network.Passphrase, err = readSecret(r.password)
		faults = append(faults, err)
	}
	if _, err := time.LoadLocation(n.Zone); err != nil || n.Zone == "Local" {
		faults = append(faults, fmt.Errorf("-zone %q is no time zone such as \"Asia/Ho_Chi_Minh\"", n.Zone))
	}
	if r.expires < time.Minute || r.expires > maxExpiry {
		faults = append(faults, fmt.Errorf("-expires needs from 1m to %v", maxExpiry))
	}
	if err := errors.Join(faults...); err != nil {
		return nil, err
	}
	n.Issued = now.UTC().Truncate(time.Millisecond)
	n.Expires, n.Network.DNS, n.Network.Salt = n.Issued.Add(r.expires), r.dns, make([]byte, 16)
	rand.Read(n.ID[:]) // never fails
	rand.Read(n.Network.Salt)
	return wire.SignEnrolment(key, *n)
}

// pinOf returns the hash of the public key of the certificate in a file.
func pinOf(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("-ca: %w", err)
	}
	block, rest := pem.Decode(text)
	if more, _ := pem.Decode(rest); block == nil || block.Type != "CERTIFICATE" || more != nil {
		return nil, fmt.Errorf("-ca: %s does not hold one certificate in PEM (\"BEGIN CERTIFICATE\")", path)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("-ca: %s: %w", path, err)
	}
	sum := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	return sum[:], nil
}

// readSecret reads a line that no error shows.
func readSecret(path string) (string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("-wifi-password-file: %w", err)
	}
	secret := strings.TrimRight(string(text), "\r\n")
	if secret == "" || strings.ContainsAny(secret, "\r\n") {
		return "", fmt.Errorf("-wifi-password-file: %s does not hold one line", path)
	}
	return secret, nil
}
