package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const (
	pullWait  = 25 * time.Second // that a follower lets the hub wait for news
	pullRetry = 5 * time.Second  // before a follower tries again after a failure
	pullTime  = 2 * time.Minute  // for one page
)

const pullHelp = `usage: gatectl pull -hub URL -token FILE [-ca FILE] [-after CURSOR] [-key FILE] [-devices DIR] [-follow]
       gatectl pull -hub URL -token FILE … -into postgres://USER@HOST/DATABASE [-consumer NAME]
Writes the hub's entries to stdout, a JSON object a line, and the last cursor to stderr: the next pull goes
on behind it. Hashes and chains are checked as they come.

With -into they go to a PostgreSQL database, and the cursor with them in one transaction: a pull that is broken off
anywhere goes on where it was, and no entry is lost or comes twice. The password is better kept in PGPASSWORD or
~/.pgpass than in the address. The tables are made at the first time: gatepost_entry, gatepost_fork for what contradicts
it, and gatepost_cursor.
`

// pullFlags are the words of "gatectl pull".
type pullFlags struct {
	hub, after, token, ca, key, devices string
	into, consumer                      string
	follow                              bool
}

// pullCommand writes the hub's entries to e.out, a JSON object a line, and the last cursor to e.err.
func pullCommand(ctx context.Context, e env, args []string) int {
	f, code := parsePull(e, args)
	if f == nil {
		return code
	}
	c, err := f.client()
	if err != nil {
		return fail(e, "pull", err)
	}
	if f.into != "" {
		return f.intoDatabase(ctx, e, c)
	}
	last, err := f.pull(ctx, e, c)
	if last != "" {
		fmt.Fprintf(e.err, "cursor %s\n", last)
	}
	if p := (wire.Problem{}); errors.As(err, &p) && p.Start != "" {
		return fail(e, "pull", fmt.Errorf("%w; the log begins anew at %s", err, p.Start))
	}
	if err != nil {
		return fail(e, "pull", err)
	}
	return exitOK
}

func parsePull(e env, args []string) (*pullFlags, int) {
	f := &pullFlags{}
	flags := newFlags("pull", pullHelp)
	flags.StringVar(&f.hub, "hub", "", "address of the hub, `URL` as https://127.0.0.1:8443")
	flags.StringVar(&f.after, "after", "", "go on behind this `CURSOR`; left out: from the start")
	flags.StringVar(&f.token, "token", "", "`FILE` with the token")
	flags.StringVar(&f.ca, "ca", "", "PEM `FILE` of the hub's certificate authority; left out: the system's")
	flags.StringVar(&f.key, "key", "", "PEM `FILE` of the authority's key: opens the sealed parts")
	flags.StringVar(&f.devices, "devices", "", "`DIR` with NAME.pub.pem of the devices: checks their signatures")
	flags.StringVar(&f.into, "into", "", "PostgreSQL database, `URL` as postgres://USER@HOST/DATABASE")
	flags.StringVar(&f.consumer, "consumer", "", "`NAME` under which the hub is told what the database holds; receipts wait for the keeper's")
	flags.BoolVar(&f.follow, "follow", false, "wait for more entries until interrupted")
	if code, ok := parse(e, flags, args); !ok {
		return nil, code
	}
	if f.hub == "" || f.token == "" || flags.NArg() > 0 {
		return nil, misused(e, flags, "-hub and -token are needed, and nothing but flags")
	}
	if !strings.HasPrefix(f.hub, "https://") {
		return nil, misused(e, flags, "-hub begins with https://, or the token would go in clear")
	}
	if why := f.intoFault(); why != "" {
		return nil, misused(e, flags, why)
	}
	return f, exitOK
}

// intoFault tells what is off about the words that have to do with a database.
func (f *pullFlags) intoFault() string {
	switch {
	case f.into == "" && f.consumer != "":
		return "-consumer goes with -into: only what is durable may be put"
	case f.into == "":
		return ""
	case !strings.HasPrefix(f.into, "postgres://") && !strings.HasPrefix(f.into, "postgresql://"):
		return "-into begins with postgres://"
	case f.after != "":
		return "-after does not go with -into: the database knows where to go on"
	case f.consumer != "" && !pull.IsConsumer(f.consumer):
		return "-consumer has 1 to 40 of a-z, 0-9 and -"
	}
	return ""
}

func (f *pullFlags) client() (*pull.Client, error) {
	token, err := readToken(f.token)
	if err != nil {
		return nil, err
	}
	h, err := hubClient(f.ca, pullTime)
	if err != nil {
		return nil, err
	}
	c := &pull.Client{HTTP: h, URL: f.hub, Token: token}
	if f.key != "" {
		if c.Authority, err = keyfile.SealPrivate(f.key); err != nil {
			return nil, err
		}
	}
	if f.devices != "" {
		keys, err := keyfile.Dir(f.devices)
		if err != nil {
			return nil, err
		}
		c.Devices = map[string]ed25519.PublicKey{}
		for _, k := range keys {
			c.Devices[entry.DeviceID(k)] = k
		}
	}
	return c, nil
}

// pull writes pages until there is no more, or until ctx ends when it follows. It returns the last cursor.
func (f *pullFlags) pull(ctx context.Context, e env, c *pull.Client) (string, error) {
	at, wait := f.after, time.Duration(0)
	out := json.NewEncoder(e.out)
	out.SetEscapeHTML(false)
	for {
		next, n, err := c.Page(ctx, at, pull.DefaultLimit, wait, func(l pull.Line) error { return out.Encode(l) })
		ended := n == 0 && next == at // a page may be empty and yet move on, over what the token does not open
		at = next
		switch {
		case f.follow && ctx.Err() != nil:
			return at, nil // interrupting is how one stops to follow
		case err != nil && f.follow && passing(err):
			fmt.Fprintf(e.err, "gatectl pull: %v; trying again\n", err)
			if !pause(ctx, pullRetry) {
				return at, nil
			}
		case err != nil:
			return at, err
		case ended && !f.follow:
			return at, c.Whole()
		}
		if f.follow {
			wait = pullWait
		}
	}
}

// passing tells whether an error may go away: the hub or the database could not be reached, or says so itself.
func passing(err error) bool {
	if p := (wire.Problem{}); errors.As(err, &p) {
		return p.Status >= http.StatusInternalServerError || p.Status == http.StatusTooManyRequests
	}
	return errors.Is(err, pull.ErrReach) || errors.Is(err, errAway)
}

// pause returns false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
