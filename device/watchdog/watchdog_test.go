package watchdog

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/device"
)

type bowl struct {
	bytes.Buffer
	closed bool
}

func (b *bowl) Close() error {
	b.closed = true
	return nil
}

// Food is no V, for that would let the board hang after the program's death; the end is one.
func TestFeedAndClose(t *testing.T) {
	b := &bowl{}
	d := &Dog{file: b}
	for range 3 {
		if err := d.Feed(); err != nil {
			t.Fatal(err)
		}
	}
	if b.Len() != 3 || bytes.Contains(b.Bytes(), []byte("V")) {
		t.Errorf("food is %q", b.Bytes())
	}
	if err := d.Close(); err != nil || !bytes.HasSuffix(b.Bytes(), []byte("V")) || !b.closed {
		t.Errorf("closed with %q, %v, %v", b.Bytes(), b.closed, err)
	}
}

func TestOpenWhatIsNone(t *testing.T) {
	dir := t.TempDir()
	if _, err := Open(filepath.Join(dir, "watchdog"), time.Minute); !errors.Is(err, device.ErrGone) {
		t.Errorf("no node: %v", err)
	}
	path := filepath.Join(dir, "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path, time.Minute); err == nil || errors.Is(err, device.ErrGone) {
		t.Errorf("a file: %v", err)
	}
}
