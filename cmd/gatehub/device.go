package main

import (
	"context"
	"crypto/ed25519"
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

	mu      sync.Mutex // guards what follows
	stamp   string     // of the folder when it was last read
	keys    map[string]ed25519.PublicKey
	revoked map[string]bool
}

// Key returns the public key of a device.
func (d *devices) Key(id string) (ed25519.PublicKey, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	k, ok := d.keys[id]
	return k, ok
}

// Revoked reports whether the authority has shut a device out.
func (d *devices) Revoked(id string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.revoked[id]
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
		if places, err := d.read(); err != nil {
			d.log.Warn("devices folder cannot be read", "error", err)
		} else if places != nil {
			changed(places)
		}
	}
}

// read reads the folder, or returns nil when nothing has changed since the last time.
func (d *devices) read() (map[string]view.Place, error) {
	names, stamp, err := d.look()
	if err != nil || stamp == d.stamp {
		return nil, err
	}
	keys, revoked, places := map[string]ed25519.PublicKey{}, map[string]bool{}, map[string]view.Place{}
	for _, name := range names {
		key, err := keyfile.Public(filepath.Join(d.dir, name+keySuffix))
		if err != nil {
			d.log.Error("device left out", "name", name, "error", err) // the others must be heard all the same
			continue
		}
		id := entry.DeviceID(key)
		place, out, err := readPlace(filepath.Join(d.dir, name+".toml"), name)
		if err != nil {
			d.log.Error("device's place left out", "name", name, "error", err)
			out = d.revoked[id] // a slip of the pen lets nobody in again
		}
		keys[id], revoked[id], places[id] = key, out, place
	}
	d.mu.Lock()
	d.keys, d.revoked, d.stamp = keys, revoked, stamp
	d.mu.Unlock()
	d.log.Info("devices read", "known", len(keys))
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

// readPlace reads NAME.toml, where a device stands and whether it is shut out; without one the gate is known by its name
// alone.
func readPlace(path, name string) (place view.Place, revoked bool, err error) {
	p := struct {
		Schema  int    `toml:"schema"`
		Name    string `toml:"name"`
		Venue   string `toml:"venue"`
		Area    string `toml:"area"`
		Revoked bool   `toml:"revoked"`
	}{Schema: 1, Name: name}
	text, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return view.Place{Name: name}, false, nil
	}
	if err == nil {
		doc := strict.Decode(text, &p)
		doc.Schema(p.Schema, 1)
		err = doc.Err()
	}
	if err != nil {
		return view.Place{Name: name}, false, err
	}
	return view.Place{Name: p.Name, Venue: p.Venue, Area: p.Area}, p.Revoked, nil
}
