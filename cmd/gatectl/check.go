package main

import (
	"context"
	"crypto/ed25519"
	"encoding/json"
	"fmt"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/journal"
)

const checkHelp = `usage: gatectl check [-receipt-key FILE] DIR

Reads the whole journal in DIR (a kiosk's DATA/journal), changes nothing, and prints a report in JSON: every page in use, every
link of the chain from the first entry to the last, and that the hub's receipt lies on it.
Exit status: 0 whole, 1 damaged, 2 usage, 3 in use by a kiosk or not to be read at all.

`

// exitLocked means that there was nothing to read.
const exitLocked = 3

func check(_ context.Context, e env, args []string) int {
	fs := newFlags("check", checkHelp)
	keyFile := fs.String("receipt-key", "", "the hub's public key for receipts; checks the receipt's signature, too")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if fs.NArg() != 1 {
		return misused(e, fs, "one folder is needed")
	}
	var hub ed25519.PublicKey
	if *keyFile != "" {
		var err error
		if hub, err = keyfile.Public(*keyFile); err != nil {
			return misused(e, fs, err.Error())
		}
	}
	report, err := journal.Check(fs.Arg(0), hub)
	if err != nil {
		fmt.Fprintf(e.err, "gatectl check: %v\n", err)
		return exitLocked
	}
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	if err := enc.Encode(report); err != nil {
		return fail(e, "check", err)
	}
	if len(report.Damage) > 0 {
		return exitFail
	}
	return exitOK
}
