package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
)

const exportHelp = `usage: gatectl export -journal DIR -key FILE [-dead] STICK

Puts what no receipt covers of the journal in DIR (of a kiosk's card in a reader, DATA/journal) onto the stick that is
mounted at STICK, for "gatectl import". It works on a copy in the folder for temporary files (TMPDIR) and changes
nothing on the card. A kiosk does the same by itself when a stick labelled GATEPOST is put in.
Exit status: 0 all of it is on the stick, 1 not all, 2 usage.

`

func exportCommand(ctx context.Context, e env, args []string) int {
	fs := newFlags("export", exportHelp)
	dir := fs.String("journal", "", "`DIR` of the journal")
	keyFile := fs.String("key", "", "`FILE` with the device's private key, DATA/device.key")
	dead := fs.Bool("dead", false, "the card is damaged and no kiosk will use it again: export what can be read, and gaps for the rest")
	if code, ok := parse(e, fs, args); !ok {
		return code
	}
	if *dir == "" || *keyFile == "" || fs.NArg() != 1 {
		return misused(e, fs, "-journal, -key and the stick's folder are needed")
	}
	key, err := keyfile.Private(*keyFile)
	if err != nil {
		return fail(e, "export", err)
	}
	if err := exportCopy(ctx, e, *dir, key, *dead, fs.Arg(0)); err != nil {
		return fail(e, "export", err)
	}
	return exitOK
}

// exportCopy exports a copy of the journal in dir, since opening a journal writes to it.
func exportCopy(ctx context.Context, e env, dir string, key ed25519.PrivateKey, dead bool, stick string) (err error) {
	tmp, err := os.MkdirTemp("", "gatepost-export-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(tmp)) }()
	own := filepath.Join(tmp, "journal")
	repairs, _, err := journal.Salvage(dir, own)
	if err != nil {
		return err
	}
	if len(repairs) > 0 && !dead {
		// The kiosk will repair its card in its own words, and a chain that differs from it is an alarm at the hub.
		return fmt.Errorf("journal is damaged (%s: %s): start its kiosk, which repairs it; if that is gone for good, use -dead", repairs[0].File, repairs[0].Why)
	}
	j, err := journal.Open(own, journal.Options{Device: entry.DeviceID(key.Public().(ed25519.PublicKey))})
	if err != nil {
		return err
	}
	defer j.Close()
	total := uint64(0)
	err = uplink.Export(ctx, j, key, filepath.Join(filepath.Dir(filepath.Clean(dir)), "aside"), stick, func(done, all uint64) {
		total = all
		fmt.Fprintf(e.out, "%d of %d\n", done, all)
	})
	if err == nil {
		fmt.Fprintf(e.out, "%d entries of %s are on the stick, it may be pulled out when it is unmounted\n", total, j.Device)
	}
	return err
}
