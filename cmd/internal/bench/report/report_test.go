package report

import (
	"os"
	"path/filepath"
	"testing"
)

const from, to = "<!-- bench-x -->", "<!-- /bench-x -->"

func TestSplice(t *testing.T) {
	for _, c := range []struct{ page, want string }{
		{"# Page\n", "# Page\n\n" + from + "\nnew\n" + to + "\n"},
		{"a\n" + from + "\nold\n" + to + "\nb\n", "a\n" + from + "\nnew\n" + to + "\nb\n"},
		{"a\n" + from + "\nold\n", ""},
		{to + "\n" + from + "\n", ""},
	} {
		got, err := splice(c.page, "bench-x", "new\n")
		if got != c.want || (err != nil) != (c.want == "") {
			t.Errorf("%q: %q, %v", c.page, got, err)
		}
	}
}

func TestUpdateTwice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "page.md")
	const other = "\n<!-- bench-y -->\nother\n<!-- /bench-y -->\n"
	for _, s := range []struct{ name, section string }{{"bench-x", "one\n"}, {"bench-y", "other\n"}, {"bench-x", "two\n"}} {
		if err := Update(path, s.name, s.section); err != nil {
			t.Fatal(err)
		}
	}
	page, err := os.ReadFile(path)
	if want := "# How fast, and beside what\n\n" + from + "\ntwo\n" + to + "\n" + other; err != nil || string(page) != want {
		t.Errorf("%q, %v", page, err)
	}
}
