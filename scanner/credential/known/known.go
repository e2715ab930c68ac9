// Package known names codes that this program knows of and does not read: proofs of other systems, and codes
// that carry no person. Naming them is all it does; the list is data, known.tsv.
package known

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

//go:embed known.tsv
var list string

// Parse returns what text claims; ok is false when the list does not have it.
func Parse(text string) (c claim.Claims, ok bool) {
	for line := range strings.Lines(list) {
		r, err := parse(line)
		if err != nil || !r.match(text) {
			continue // a test reads every line of the list, so an error is an empty line or a comment
		}
		return claim.Not(claim.Known, r.reason, r.name), true
	}
	return c, false
}

// A row is one line of the list.
type row struct {
	begins, contains string
	reason           entry.Reason
	name             string
}

func (r row) match(text string) bool {
	return len(text) >= len(r.begins) && strings.EqualFold(text[:len(r.begins)], r.begins) && strings.Contains(text, r.contains)
}

// parse reads: how the code begins (capitals or not, with escapes as in Go), what else it contains or "-",
// the reason, the name for the guard's record.
func parse(line string) (r row, err error) {
	f := strings.Split(strings.TrimSpace(line), "\t")
	if strings.HasPrefix(line, "#") || len(f) != 4 {
		return r, fmt.Errorf("%q is not four columns", line)
	}
	if r.begins, err = strconv.Unquote(`"` + f[0] + `"`); err != nil {
		return r, fmt.Errorf("%q: %w", f[0], err)
	}
	if f[1] != "-" {
		r.contains = f[1]
	}
	r.reason, r.name = entry.Reason(f[2]), f[3]
	return r, nil
}
