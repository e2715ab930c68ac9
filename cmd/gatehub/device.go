package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/form/strict"
	"gatepost/storage/entry"
	"gatepost/storage/view"
)

const (
	keySuffix  = ".pub.pem"
	lookAgain  = time.Second // for changes in the devices folder
	maxDevices = 100_000
)

// devices are the gates that may send, as the devices folder names them. They are read again when the folder
// changes, so that a new gate needs no restart.
type devices struct {
	dir string
	log *slog.Logger

	reading sync.Mutex // one reader of the folder at a time, and what it tells in that order
	stamp   string     // of the folder when it was last read; reading guards it

	mu     sync.Mutex // guards what follows
	all    map[string]known
	faulty string // a name whose files could not be read, "" where all could
}

// known is a device that may send.
type known struct {
	stem string // its files' name without endings
	key  ed25519.PublicKey
	record
}

// record is what NAME.toml holds beside the key.
type record struct {
	Schema     int      `toml:"schema"`
	Name       string   `toml:"name"`
	Venue      string   `toml:"venue"`
	Area       string   `toml:"area"`
	Revoked    bool     `toml:"revoked,omitempty"`     // the authority has shut it out
	Enrolments []string `toml:"enrolments,omitempty"`  // ids of the enrolments that it has used, the latest last
	Enrolled   string   `toml:"enrolled,omitempty"`    // when it used that one, RFC 3339
	ReplacedBy string   `toml:"replaced_by,omitempty"` // id of the device that stands in its place now
}

// enrolledAfter tells whether the record is of an enrolment that was used after t, and so of a later one than one that had
// expired by then.
func (r record) enrolledAfter(t time.Time) bool {
	at, err := time.Parse(time.RFC3339, r.Enrolled)
	return err == nil && at.After(t)
}

// Key returns the public key of a device.
func (d *devices) Key(id string) (ed25519.PublicKey, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.all[id]
	return k.key, ok
}

// ReplacedBy returns the id of the device that has taken the place of one, "" where none has.
func (d *devices) ReplacedBy(id string) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[id].ReplacedBy
}

// Replaced tells whether another device has taken a device's place.
func (d *devices) Replaced(id string) bool { return d.ReplacedBy(id) != "" }

// Revoked reports whether the authority has shut a device out.
func (d *devices) Revoked(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all[id].Revoked
}

// shutOut reports whether a device is revoked as far as is known. Before the folder was read, everyone may be.
func (d *devices) shutOut(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.all == nil || d.all[id].Revoked
}

// follow reads the folder whenever it changes, until ctx ends, and tells changed where each gate stands.
func (d *devices) follow(ctx context.Context, changed func(map[string]view.Place)) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := d.refresh(changed); err != nil {
			d.log.Warn("devices folder cannot be read", "error", err)
		}
	}
}

// refresh reads the folder if it has changed, and tells changed so; it has returned then.
func (d *devices) refresh(changed func(map[string]view.Place)) error {
	d.reading.Lock()
	defer d.reading.Unlock()
	places, err := d.read()
	if places != nil {
		changed(places)
	}
	return err
}

// read reads the folder, or returns nil when nothing has changed since the last time. The caller holds reading, or is
// alone.
func (d *devices) read() (map[string]view.Place, error) {
	names, stamp, err := d.look()
	if err != nil || stamp == d.stamp {
		return nil, err
	}
	all, places, faulty := map[string]known{}, map[string]view.Place{}, ""
	for _, name := range names {
		key, err := keyfile.Public(filepath.Join(d.dir, name+keySuffix))
		if err != nil {
			d.log.Error("device left out", "name", name, "error", err) // the others must be heard all the same
			faulty = name
			continue
		}
		id := entry.DeviceID(key)
		r, err := readRecord(filepath.Join(d.dir, name+".toml"), name)
		if err != nil {
			d.log.Error("device's place left out, and whether it is revoked", "name", name, "error", err)
			faulty = name
			r.Revoked = d.shutOut(id) // a slip of the pen lets nobody in again
		}
		all[id], places[id] = known{name, key, r}, view.Place{Name: r.Name, Venue: r.Venue, Area: r.Area}
	}
	d.mu.Lock()
	d.all, d.faulty = all, faulty
	d.mu.Unlock()
	d.stamp = stamp
	d.log.Info("devices read", "known", len(all))
	return places, nil
}

// look returns the names that have a key, and a text that changes whenever a file of theirs does.
func (d *devices) look() (names []string, stamp string, err error) {
	files, err := os.ReadDir(d.dir)
	if err != nil {
		return nil, "", err
	}
	if len(files) > maxDevices {
		return nil, "", fmt.Errorf("%d files, at most %d are read", len(files), maxDevices)
	}
	var all strings.Builder
	for _, f := range files {
		info, err := f.Info()
		if err != nil {
			continue // gone since; its going changes the next stamp
		}
		fmt.Fprintln(&all, f.Name(), info.Size(), info.ModTime().UnixNano())
		if name, ok := strings.CutSuffix(f.Name(), keySuffix); ok {
			names = append(names, name)
		}
	}
	return names, "read\n" + all.String(), nil
}

// readRecord reads NAME.toml; without one, or with a faulty one, the gate is known by its name alone.
func readRecord(path, name string) (record, error) {
	r := record{Schema: 1, Name: name}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return r, nil
	}
	if err == nil && len(bytes.TrimSpace(text)) == 0 {
		err = errors.New("the file is empty") // an editor may be writing it
	}
	if err == nil {
		doc := strict.Decode(text, &r)
		doc.Schema(r.Schema, 1)
		err = doc.Err()
	}
	if err != nil {
		return record{Schema: 1, Name: name}, err
	}
	return r, nil
}
