package main

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// A record is an entry as it was read, with the hash of its bytes.
type record struct {
	entry.Entry
	hash entry.Hash
}

// journalDir returns the folder of the journal that belongs to a kiosk's data folder.
func journalDir(data string) string {
	dir := filepath.Join(data, "journal")
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return dir
	}
	return data
}

// smallFiles are options for a journal whose files are soon full, so that little work meets everything.
func smallFiles(device string) journal.Options {
	return journal.Options{Device: device, Entries: 4, Lock: 50 * time.Millisecond}
}

// errUnsound means that Check found damage.
var errUnsound = errors.New("the journal is not whole")

// read checks the journal in dir and reads all of it from a copy that it makes at scratch, so that dir stays as it is.
func read(dir, scratch string, hub ed25519.PublicKey) (r journal.Report, all []record, err error) {
	if r, err = journal.Check(dir, hub); err != nil {
		return r, nil, err
	}
	if len(r.Damage) > 0 {
		return r, nil, fmt.Errorf("%w: %q", errUnsound, r.Damage)
	}
	if err := replace(scratch, dir); err != nil {
		return r, nil, err
	}
	j, err := journal.Open(scratch, journal.Options{Device: r.Device})
	if err != nil {
		return r, nil, err
	}
	defer j.Close()
	for after := r.First - 1; after < r.Last; {
		raws, err := j.Range(after, 1000, 1<<20)
		if err != nil {
			return r, nil, err
		}
		if len(raws) == 0 {
			return r, nil, fmt.Errorf("%w: nothing can be read behind entry %d of %d", errUnsound, after, r.Last)
		}
		for _, raw := range raws {
			e, err := entry.Parse(raw)
			if err != nil {
				return r, nil, err
			}
			all = append(all, record{e, entry.HashOf(raw)})
			after = e.Seq
		}
	}
	return r, all, nil
}

// replace makes dir a copy of the folder from.
func replace(dir, from string) error {
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.CopyFS(dir, os.DirFS(from))
}
