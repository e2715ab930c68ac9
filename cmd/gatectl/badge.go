package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/sync/wire"
)

const badgeHelp = `usage: gatectl badge -key issuer.key -number NUMBER [-role guard|supervisor] [-venue NAME] [-expires 8760h] -out badge.png

Signs a badge and writes its code as a picture. A guard who shows theirs to a gate's camera takes the gate over; a
supervisor's opens the settings for five minutes. The badge carries a number and no name. It counts at the venue of that
name, or without -venue at every gate of this issuer. Who copies it can use it: keep it like a key.

`

func badgeCommand(_ context.Context, e env, args []string) int {
	fs := newFlags("badge", badgeHelp)
	key := fs.String("key", "", "private key of the issuer")
	out := fs.String("out", "", "new file for the picture")
	expires := fs.Duration("expires", 365*24*time.Hour, "how long it counts")
	var b wire.Badge
	fs.StringVar(&b.Number, "number", "", "the badge's number, of a-z 0-9 -")
	fs.StringVar(&b.Role, "role", wire.RoleGuard, "guard or supervisor")
	fs.StringVar(&b.Venue, "venue", "", "the venue's name, as the gate shows it; left out: every venue")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	for _, needed := range []string{"key", "number", "out"} {
		if fs.Lookup(needed).Value.String() == "" {
			return misused(e, fs, "-"+needed+" is needed")
		}
	}
	if fs.NArg() > 0 {
		return misused(e, fs, "nothing is taken beside the flags")
	}
	b.Issued = time.Now()
	b.Expires = b.Issued.Add(*expires)
	if err := writeBadge(*key, b, *out); err != nil {
		return fail(e, "badge", err)
	}
	fmt.Fprintf(e.out, "%s: badge %s (%s), until %s\n", *out, b.Number, b.Role, b.Expires.Local().Format(time.DateOnly))
	return exitOK
}

// writeBadge writes a picture that only its owner may read, and never over another.
func writeBadge(key string, b wire.Badge, path string) error {
	issuer, err := keyfile.Private(key)
	if err != nil {
		return err
	}
	text, err := wire.SignBadge(issuer, b)
	if err != nil {
		return err
	}
	png, err := picture(text)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%s is there already: choose another file", path)
	} else if err != nil {
		return err
	}
	_, err = f.Write(png)
	return errors.Join(err, f.Close())
}
