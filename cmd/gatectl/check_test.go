package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// runCheck returns the exit status of gatectl check and its report.
func runCheck(t *testing.T, args ...string) (code int, r journal.Report, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = run(t.Context(), env{strings.NewReader(""), &out, &err}, append([]string{"check"}, args...))
	if out.Len() > 0 {
		if err := json.Unmarshal(out.Bytes(), &r); err != nil {
			t.Fatalf("%v in %s", err, &out)
		}
	}
	return code, r, err.String()
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	j, err := journal.Open(dir, journal.Options{Device: "0011223344556677"})
	if err != nil {
		t.Fatal(err)
	}
	for range 40 {
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Unix(1795404000, 0)}, entry.Fault{Part: "camera", Text: "unplugged"})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := j.Append(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	head := j.Head()
	if code, _, stderr := runCheck(t, dir); code != exitLocked || !strings.Contains(stderr, "in use") {
		t.Errorf("while it is open: %d, %s", code, stderr)
	}
	j.Close()
	code, r, stderr := runCheck(t, dir)
	if code != exitOK || r.Device != "0011223344556677" || r.First != 1 || r.Last != 40 || r.Entries != 40 || r.Head != head.Hash.String() || len(r.Damage) != 0 {
		t.Errorf("whole: %d, %+v, %s", code, r, stderr)
	}
	path := filepath.Join(dir, "0000000000000001.db")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b = bytes.ReplaceAll(b, []byte("unplugged"), []byte("unplugget"))
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if code, r, _ := runCheck(t, dir); code != exitFail || len(r.Damage) == 0 {
		t.Errorf("damaged: %d, %+v", code, r)
	}
}

func TestCheckTellsWhatItCannotRead(t *testing.T) {
	strange := t.TempDir()
	if err := os.WriteFile(filepath.Join(strange, "0000000000000001.db"), []byte("This is no journal."), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		code int
	}{
		{nil, exitUsage},
		{[]string{"a", "b"}, exitUsage},
		{[]string{"-receipt-key", "none.pem", "a"}, exitUsage},
		{[]string{"-h"}, exitOK},
		{[]string{t.TempDir()}, exitLocked},
		{[]string{strange}, exitFail},
	} {
		e := env{strings.NewReader(""), new(bytes.Buffer), new(bytes.Buffer)}
		if code := check(t.Context(), e, c.args); code != c.code {
			t.Errorf("check %q: %d, want %d", c.args, code, c.code)
		}
	}
}
