// Package strict reads TOML so that a person who wrote it hears of every fault at once, each with its
// line: a key that nobody knows, a value of the wrong type, and whatever the caller finds wrong on top.
//
// It promises no more TOML than forms, policies and configurations need: tables, arrays of tables, texts,
// whole numbers, booleans, durations ("12h", "14d"), lists of them, and types that read themselves
// (encoding.TextUnmarshaler).
// A fault in the syntax itself ends the reading: it is then the only fault told.
package strict

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// MaxSize is the most bytes that one file may have.
const MaxSize = 64 << 10

// A Fault is one thing that is wrong.
type Fault struct {
	Line int    // from 1; 0 when the whole file is meant
	Path string // of the key, "question.2.type"; lists count from 0
	Text string
}

func (f Fault) Error() string {
	text := f.Text
	if f.Path != "" {
		text = f.Path + ": " + text
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// A Doc is a file that was read, and its faults so far.
type Doc struct {
	faults []Fault
	lines  map[string]int
	broken bool // it is no TOML at all, so nothing was read
}

// Decode reads data into v, a pointer to a struct with toml tags; fields that data does not mention keep
// their values. A byte order mark and CRLF are accepted. The faults are in the Doc that is returned; what
// could be read stands in v all the same, so that the caller can look for faults of its own.
func Decode(data []byte, v any) *Doc {
	d := &Doc{lines: map[string]int{}}
	if len(data) > MaxSize {
		d.broken = true
		d.Fault("", "%d bytes exceed %d", len(data), MaxSize)
		return d
	}
	var tree map[string]any
	if err := toml.Unmarshal(data, &tree); err != nil {
		d.broken = true
		d.faults = append(d.faults, syntax(err))
		return d
	}
	text := strings.TrimPrefix(string(data), "\uFEFF")
	d.lines = lines(text)
	d.fill("", tree, v)
	return d
}

// syntax tells the fault that the TOML parser stopped at.
func syntax(err error) Fault {
	if p, ok := errors.AsType[toml.ParseError](err); ok {
		return Fault{Line: p.Position.Line, Text: strings.ToLower(p.Message[:1]) + p.Message[1:]}
	}
	return Fault{Text: err.Error()}
}

// Fault notes that the value at path is wrong; "" means the file as a whole. The first fault of a value
// counts: one of the wrong type is not also called empty, and neither is what would be inside it.
func (d *Doc) Fault(path, format string, args ...any) {
	if slices.ContainsFunc(d.faults, func(f Fault) bool {
		return f.Path != "" && (f.Path == path || strings.HasPrefix(path, f.Path+"."))
	}) {
		return
	}
	d.faults = append(d.faults, Fault{d.Line(path), path, fmt.Sprintf(format, args...)})
}

// Syntax returns the fault that kept the file from being read at all, or nil.
func (d *Doc) Syntax() error {
	if d.broken {
		return d.Err()
	}
	return nil
}

// Has reports whether the file sets the value at path.
func (d *Doc) Has(path string) bool { return d.lines[path] > 0 }

// Line returns where the value at path stands, or the nearest table around it; 0 when nothing does.
func (d *Doc) Line(path string) int {
	for path != "" {
		if n := d.lines[path]; n > 0 {
			return n
		}
		path = path[:max(strings.LastIndexByte(path, '.'), 0)]
	}
	return 0
}

// Schema notes a fault unless the file says schema = want.
func (d *Doc) Schema(got, want int) {
	switch {
	case got == want:
	case !d.Has("schema"):
		d.Fault("", "the file does not say schema = %d", want)
	default:
		d.Fault("schema", "this program knows schema %d, not %d", want, got)
	}
}

// Err returns nil, or all faults in the order of their lines, one a line.
func (d *Doc) Err() error {
	if len(d.faults) == 0 {
		return nil
	}
	slices.SortStableFunc(d.faults, func(a, b Fault) int { return a.Line - b.Line })
	errs := make([]error, len(d.faults))
	for i, f := range d.faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
