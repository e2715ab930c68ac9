package enrol

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

const (
	// ResetFile, beside the configuration, makes a gate a unit again of which nothing is known, once for each text in it.
	ResetFile = "reset.txt"
	doneFile  = "reset" // in the data folder: the SHA-256 of the last text that was obeyed, hexadecimal
)

// lastToGo is what a reset takes away last, and in this order, so that one that is cut off is seen as one at the next start.
var lastToGo = []string{"enrolment", "device.pub.pem", "device.key"}

// Reset does what the file in dir asks for, unless that was done before. While the journal has entries that no hub has taken,
// nothing is changed and why says so; the next start looks again. key is the device's.
func Reset(dir, data, key string) (why string, err error) {
	text, err := readFile(filepath.Join(dir, ResetFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", ResetFile, err)
	}
	sum := sha256.Sum256(text)
	mark := []byte(hex.EncodeToString(sum[:]))
	if done, err := os.ReadFile(filepath.Join(data, doneFile)); err == nil && bytes.Equal(done, mark) {
		return "", nil
	}
	switch n, err := unsent(filepath.Join(data, "journal"), key); {
	case err != nil:
		return "", fmt.Errorf("%s: whether entries are unsent cannot be told: %w", ResetFile, err)
	case n > 0:
		return fmt.Sprintf("%s chờ: %d mục chưa gửi · the reset waits: %d entries are not sent", ResetFile, n, n), nil
	}
	if err := empty(data); err != nil {
		return "", fmt.Errorf("reset: %w", err)
	}
	return "", durable.Write(filepath.Join(data, doneFile), mark, 0o600)
}

// unsent returns how many entries of a journal no hub has taken. Without a key there never was a gate.
func unsent(dir, key string) (n int, err error) {
	private, err := keyfile.Private(key)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	j, err := journal.Open(dir, journal.Options{Device: entry.DeviceID(private.Public().(ed25519.PublicKey))})
	if err != nil {
		return 0, err
	}
	return j.Stats().Unsent, j.Close()
}

// empty takes away all that a gate keeps.
func empty(data string) error {
	files, err := os.ReadDir(data)
	if err != nil {
		return err
	}
	last := map[string]bool{"stick": true} // where a stick may be mounted
	for _, name := range lastToGo {
		last[name] = true
	}
	for _, f := range files {
		if !last[f.Name()] {
			err = errors.Join(err, os.RemoveAll(filepath.Join(data, f.Name())))
		}
	}
	if err = errors.Join(err, durable.Sync(data)); err != nil {
		return err
	}
	for _, name := range lastToGo {
		if err := os.RemoveAll(filepath.Join(data, name)); err != nil {
			return err
		}
	}
	return durable.Sync(data)
}
