// Package corpustest finds what others have made and the tests of the scanner's rooms read: codes, certificates and pictures.
package corpustest

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Path returns a file or folder of the corpus: GATEPOST_CORPUS, or shared/corpus beside the checkout. Where there is none the
// test is skipped, and fails in CI.
func Path(t testing.TB, name ...string) string {
	t.Helper()
	dir := os.Getenv("GATEPOST_CORPUS")
	if dir == "" {
		dir = filepath.Join(root(t), "..", "shared", "corpus")
	}
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		if os.Getenv("CI") == "true" {
			t.Fatal("no corpus: set GATEPOST_CORPUS")
		}
		t.Skip("no corpus: set GATEPOST_CORPUS")
	}
	return filepath.Join(append([]string{dir}, name...)...)
}

// Read returns the bytes of a file of the corpus.
func Read(t testing.TB, name ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(Path(t, name...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// root is the checkout: the folder above with a go.mod.
func root(t testing.TB) string {
	t.Helper()
	dir, err := os.Getwd()
	for ; err == nil; dir = filepath.Dir(dir) {
		if _, e := os.Stat(filepath.Join(dir, "go.mod")); e == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	t.Fatal("no go.mod above the test")
	return ""
}
