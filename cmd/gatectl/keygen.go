package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"gatepost/cmd/internal/keyfile"
)

const keygenHelp = `usage: gatectl keygen -kind KIND -out DIR [-name NAME]

Makes a key and writes DIR/NAME.key (private, PKCS#8 PEM, mode 0600) and DIR/NAME.pub.pem. It prints the
key's fingerprint, which for a device is its id. No file is ever overwritten.

  device     signs what a kiosk hands on        receipt    signs the hub's receipts
  declarer   signs declarations                 publisher  signs forms
  issuer     signs enrolment codes and orders to kiosks
  authority  opens what names a person: keep it away from kiosks and hubs

`

func keygen(_ context.Context, e env, args []string) int {
	fs := newFlags("keygen", keygenHelp)
	kind := fs.String("kind", "", "one of "+strings.Join(keyfile.Kinds(), ", "))
	out := fs.String("out", "", "folder for both files; made where it is missing")
	name := fs.String("name", "", "name of the files; the kind when left out")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if *kind == "" || *out == "" || fs.NArg() > 0 {
		return misused(e, fs, "-kind and -out are needed, and nothing beside the flags")
	}
	if *name == "" {
		*name = *kind
	}
	if err := keyfile.Create(*out, *name, *kind); err != nil {
		return fail(e, "keygen", err)
	}
	public := filepath.Join(*out, *name+".pub.pem")
	print, err := keyfile.Fingerprint(public)
	if err != nil {
		return fail(e, "keygen", err)
	}
	fmt.Fprintf(e.out, "%s %s %s\n", *kind, print, public)
	return exitOK
}
