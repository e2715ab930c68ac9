package enrol

import (
	"crypto/ed25519"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// A reset waits for unsent entries, then leaves nothing of the gate, and is done once for each text.
func TestReset(t *testing.T) {
	boot, data := t.TempDir(), t.TempDir()
	key := filepath.Join(data, "device.key")
	reset := func() (string, error) { return Reset(boot, data, key) }
	if why, err := reset(); why != "" || err != nil {
		t.Errorf("no file: %q, %v", why, err)
	}
	if err := keyfile.Create(data, "device", "device"); err != nil {
		t.Fatal(err)
	}
	private, err := keyfile.Private(key)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"enrolment", "memory", "orders", "stick"} {
		if err := os.Mkdir(filepath.Join(data, dir), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	open := func() *journal.Journal {
		j, err := journal.Open(filepath.Join(data, "journal"), journal.Options{Device: entry.DeviceID(private.Public().(ed25519.PublicKey))})
		if err != nil {
			t.Fatal(err)
		}
		return j
	}
	j := open()
	d, err := entry.NewDraft(entry.Stamp{Wall: time.Now()}, entry.Boot{Program: "test"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := j.Append(t.Context(), d); err != nil {
		t.Fatal(err)
	}
	j.Close()
	ask := func(text string) {
		if err := os.WriteFile(filepath.Join(boot, ResetFile), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	ask("another factory")
	if why, err := reset(); !strings.Contains(why, "1 entries are not sent") || err != nil {
		t.Errorf("%q, %v", why, err)
	}
	j = open()
	_, hub, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := j.PutReceipt(entry.NewReceipt(hub, entry.DeviceID(private.Public().(ed25519.PublicKey)), j.Head(), time.Now())); err != nil {
		t.Fatal(err)
	}
	j.Close()
	if why, err := reset(); why != "" || err != nil {
		t.Fatalf("%q, %v", why, err)
	}
	if left := names(t, data); left != "reset stick" {
		t.Errorf("left: %s", left)
	}
	if err := os.WriteFile(filepath.Join(data, "settings.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := reset(); err != nil || names(t, data) != "reset settings.json stick" {
		t.Errorf("the same text again: %s, %v", names(t, data), err)
	}
	ask("and another one")
	if _, err := reset(); err != nil || names(t, data) != "reset stick" {
		t.Errorf("another text: %s, %v", names(t, data), err)
	}
	if err := os.WriteFile(key, []byte("no key"), 0o600); err != nil {
		t.Fatal(err)
	}
	ask("with a broken key")
	if _, err := reset(); err == nil || names(t, data) != "device.key reset stick" {
		t.Errorf("nobody knows whether entries are unsent: %s, %v", names(t, data), err)
	}
}

func names(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		all = append(all, f.Name())
	}
	return strings.Join(all, " ")
}
