// Package report keeps the sections of the page on performance, each between two markers of its own, so that one
// benchmark writes its section anew and leaves the others alone.
package report

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// Update puts the section of the benchmark called name into the Markdown page at path, which it begins if there is
// none. The section ends with a line feed.
func Update(path, name, section string) error {
	page, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		page, err = []byte("# How fast, and beside what\n"), nil
	}
	if err != nil {
		return err
	}
	text, err := splice(string(page), name, section)
	if err != nil {
		return fmt.Errorf("update %s: %w", path, err)
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// splice puts the section between its markers, or with them at the end of a page that has none.
func splice(page, name, section string) (string, error) {
	from, to := fmt.Sprintf("<!-- %s -->", name), fmt.Sprintf("<!-- /%s -->", name)
	head, rest, begins := strings.Cut(page, from)
	_, tail, ends := strings.Cut(rest, to)
	switch {
	case begins && ends:
	case !begins && !strings.Contains(page, to):
		head, tail = strings.TrimRight(page, "\n")+"\n\n", "\n"
	default:
		return "", fmt.Errorf("%s and %s do not stand in this order", from, to)
	}
	return head + from + "\n" + section + to + tail, nil
}
