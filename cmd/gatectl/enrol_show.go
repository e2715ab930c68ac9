package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"net/url"
	"os"
	"strings"
	"time"

	"gatepost/scanner/qr"
	"gatepost/sync/wire"
)

// maxCodeFile is the most bytes of a file of codes as text.
const maxCodeFile = 64 << 10

// showEnrolment explains the enrolment whose parts are in files.
func showEnrolment(e env, args []string) int {
	fs := newFlags("enrol", enrolHelp)
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if fs.NArg() == 0 {
		return misused(e, fs, "show needs files")
	}
	raw, err := readParts(fs.Args())
	if err != nil {
		return fail(e, "enrol", err)
	}
	n, err := wire.ParseEnrolment(raw)
	if err != nil {
		return fail(e, "enrol", err)
	}
	explainEnrolment(e.out, n, time.Now())
	return exitOK
}

// readParts returns the first enrolment that the codes in files make whole.
func readParts(names []string) ([]byte, error) {
	var parts wire.Parts
	have, of := 0, 0
	for _, name := range names {
		texts, err := codesIn(name)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for _, text := range texts {
			h, o, whole, ok, err := parts.Add(text)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%s: %w", name, err)
			case whole != nil:
				return whole, nil
			case ok:
				have, of = h, o
			}
		}
	}
	if of == 0 {
		return nil, fmt.Errorf("no code of an enrolment in these files")
	}
	return nil, fmt.Errorf("%d of %d codes of an enrolment in these files", have, of)
}

// codesIn returns the lines of a text, or the texts of the codes in a picture.
func codesIn(name string) ([]string, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxCodeFile))
	if err != nil {
		return nil, err
	}
	if bytes.HasPrefix(text, []byte("GPE")) {
		return strings.Fields(string(text)), nil
	}
	p, err := loadPlane(name)
	if err != nil {
		return nil, err
	}
	return qr.New().Read(p), nil
}

// explainEnrolment writes everything but passwords.
func explainEnrolment(w io.Writer, e wire.Enrolment, now time.Time) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-12s %s\n", name, fmt.Sprintf(format, args...))
	}
	line("enrolment", "%x", e.ID)
	line("issued", "%s by %s", e.Issued.Format(time.RFC3339), print8(e.Issuer))
	expired := ""
	if !now.Before(e.Expires) {
		expired = ", which is over"
	}
	line("expires", "%s%s", e.Expires.Format(time.RFC3339), expired)
	line("hub", "%s", e.Hub)
	if len(e.Pin) > 0 {
		line("hub's ca", "SHA-256 of its public key %x", e.Pin)
	} else {
		line("hub's ca", "any that the unit's system knows")
	}
	line("receipt key", "%s", print8(e.ReceiptKey))
	line("authority", "%s", print8(e.Authority))
	line("venue", "%s", e.Venue)
	line("area", "%s", e.Area)
	line("name", "%s", e.Name)
	line("zone", "%s", e.Zone)
	n := e.Network
	secret := map[bool]string{true: " (with a password)"}
	if n.SSID != "" {
		line("wi-fi", "%s%s", n.SSID, secret[n.Passphrase != ""])
	}
	if n.Address != "" {
		line("address", "%s", n.Address)
		line("gateway", "%s", n.Gateway)
	}
	for _, d := range n.DNS {
		line("name server", "%s", d)
	}
	if u, err := url.Parse(n.Proxy); err == nil && n.Proxy != "" {
		line("proxy", "%s://%s%s", u.Scheme, u.Host, secret[u.User != nil])
	}
}

// print8 is a key's fingerprint, as keygen prints it.
func print8(key []byte) string {
	sum := sha256.Sum256(key)
	return fmt.Sprintf("%x", sum[:8])
}
