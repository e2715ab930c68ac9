package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/claim"
	"gatepost/scanner/credential/trust"
	"gatepost/storage/detached"
	"gatepost/storage/entry"
)

const trustHelp = `usage: gatectl trust build -key publisher.key [-declarer FILE]… -out BUNDLE [SITE=]FILE…
       gatectl trust show -publisher FILE BUNDLE

Build makes one signed bundle of whose signatures count. Each FILE is what an authority has published: certificates or public keys
in PEM, a certificate in DER, JWKS, did.json, or a national list in JSON or in a JWT. With SITE= before it, as
https://clinic.example/cards=keys.json, it holds the keys of that issuer of SMART Health Cards; the others sign HC1 certificates. A
key that cannot be used is told and left out. The signatures of lists are not checked: fetch them from where you trust them. A
kiosk takes BUNDLE by [keys] trust, with BUNDLE.sig beside it, or as an order of the kind trust.

`

func trustCommand(_ context.Context, e env, args []string) int {
	fs := newFlags("trust", trustHelp)
	var verb string
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	key := fs.String("key", "", "private key `FILE` of the publisher, for build")
	publisher := fs.String("publisher", "", "public key `FILE` of the publisher, for show")
	out := fs.String("out", "", "`FILE` to write, with its signature beside it")
	var declarers words
	fs.Var(&declarers, "declarer", "public key `FILE` of who signs declarations; again and again")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	var err error
	switch {
	case verb == "build" && *key != "" && *out != "" && len(declarers)+fs.NArg() > 0:
		err = buildTrust(e, *key, *out, declarers, fs.Args())
	case verb == "show" && *publisher != "" && fs.NArg() == 1:
		err = showTrust(e.out, *publisher, fs.Arg(0))
	default:
		return misused(e, fs, "build needs -key, -out and keys, show -publisher and one bundle")
	}
	if err != nil {
		return fail(e, "trust", err)
	}
	return exitOK
}

func buildTrust(e env, keyFile, out string, declarers, sources []string) error {
	key, err := keyfile.Private(keyFile)
	if err != nil {
		return err
	}
	t := credential.Trust{Made: time.Now()}
	for _, file := range declarers {
		pub, err := keyfile.Public(file)
		if err != nil {
			return err
		}
		t.Declarers = append(t.Declarers, pub)
	}
	for _, source := range sources {
		site, file := "", source
		if s, f, ok := strings.Cut(source, "="); ok && strings.HasPrefix(s, "https://") {
			site, file = s, f
			if !trust.IsSite(site) {
				return fmt.Errorf("%s is no address of an issuer such as https://clinic.example/cards", site)
			}
		}
		issuers, refused, err := keyfile.IssuersFile(file, site)
		if err != nil {
			return err
		}
		for _, err := range refused {
			fmt.Fprintf(e.err, "gatectl: left out: %v\n", err)
		}
		if len(issuers) == 0 {
			return fmt.Errorf("%s: no key that can be used", file)
		}
		fmt.Fprintf(e.out, "%s: %d keys, %d left out\n", file, len(issuers), len(refused))
		t.Issuers = append(t.Issuers, issuers...)
	}
	text, err := trust.Marshal(t)
	if err != nil {
		return err
	}
	if err := os.WriteFile(out, text, 0o644); err != nil {
		return err
	}
	if err := os.WriteFile(out+keyfile.SignatureSuffix, detached.Sign(key, trust.Context, text), 0o644); err != nil {
		return err
	}
	fmt.Fprintf(e.out, "%s: %d declarers and %d issuers, signed by %s\n", out, len(t.Declarers), len(t.Issuers), entry.DeviceID(key.Public().(ed25519.PublicKey)))
	return nil
}

func showTrust(w io.Writer, publisher, file string) error {
	t, err := keyfile.Trust(file, publisher)
	if err != nil {
		return err
	}
	explainTrust(w, t)
	return nil
}

// explainTrust tells in words whose signatures count.
func explainTrust(w io.Writer, t credential.Trust) {
	if !t.Made.IsZero() {
		fmt.Fprintf(w, "  made %s\n", t.Made.Format(time.RFC3339))
	}
	for _, key := range t.Declarers {
		fmt.Fprintf(w, "  declarer %s\n", entry.DeviceID(key))
	}
	for _, i := range t.Issuers {
		fmt.Fprintf(w, "  %s\n", issuerLine(i))
	}
}

func issuerLine(i claim.Issuer) string {
	line := "issuer of certificates"
	if i.Site != "" {
		line = "issuer of cards at " + i.Site
	}
	line += fmt.Sprintf(", kid %x", i.ID[:min(8, len(i.ID))])
	if len(i.Uses) > 0 {
		line += fmt.Sprintf(", for %v alone", i.Uses)
	}
	return line
}
