package strict

import (
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"
)

type sample struct {
	Schema int    `toml:"schema"`
	Name   string `toml:"name"`
	Long   string `toml:"long"`
	On     bool   `toml:"on"`
	Sub    struct {
		Tags []string `toml:"tags"`
		Rank upper    `toml:"rank"`
	} `toml:"sub"`
	Rows []struct {
		ID    string `toml:"id"`
		Cells []struct {
			N int `toml:"n"`
		} `toml:"cell"`
	} `toml:"row"`
}

type upper string

func (u *upper) UnmarshalText(b []byte) error {
	if s := string(b); s != strings.ToUpper(s) {
		return fmt.Errorf("%q is not in capitals", s)
	}
	*u = upper(b)
	return nil
}

const good = `# a comment
schema = 1
"name" = "a # b = [c"
long = """
[not a table]
id = "no key \""" """
on = true

[sub]
tags = [
  "one", # ]
  "two",
]
rank = "A"

[[row]]
id = "x"
[[row.cell]]
n = 1
[[row.cell]]
n = 2

[[row]]
id = 'y'
[[row.cell]]
n = 3
`

func TestDecode(t *testing.T) {
	for name, text := range map[string]string{
		"plain": good, "bom": "\uFEFF" + good, "crlf": strings.ReplaceAll(good, "\n", "\r\n"),
	} {
		t.Run(name, func(t *testing.T) {
			var s sample
			d := Decode([]byte(text), &s)
			if err := d.Err(); err != nil {
				t.Fatal(err)
			}
			if s.Name != "a # b = [c" || !s.On || s.Sub.Rank != "A" || len(s.Sub.Tags) != 2 || len(s.Rows) != 2 || s.Rows[1].Cells[0].N != 3 {
				t.Errorf("got %+v", s)
			}
			for path, want := range map[string]int{
				"name": 3, "long": 4, "on": 7, "sub": 9, "sub.tags": 10, "sub.tags.1": 10, "sub.rank": 14,
				"row.0.id": 17, "row.0.cell.1.n": 21, "row.1.id": 24, "row.1.cell.0.n": 26, "row.1.absent": 23, "absent": 0,
			} {
				if got := d.Line(path); got != want {
					t.Errorf("line of %s is %d, want %d", path, got, want)
				}
			}
		})
	}
}

// A list over several lines is neither tables nor keys.
func TestLinesOfLists(t *testing.T) {
	got := lines("a = [\n[1], # [\n{x = 1},\n]\nb = '''\n[c]'''\nd = \"[\"\ne = 1\n")
	want := map[string]int{"a": 1, "b": 5, "d": 7, "e": 8}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestFaults(t *testing.T) {
	var s sample
	d := Decode([]byte(`schema = 2
nmae = "typo"
on = "yes"
[sub]
rank = "low"
tags = ["a", 7]
[[row]]
id = 3
[[row.cell]]
n = 99999999999
`), &s)
	d.Schema(s.Schema, 1)
	d.Fault("row.0.id", "empty") // it has the wrong type already
	d.Fault("name", "missing")
	want := `name: missing
line 1: schema: this program knows schema 1, not 2
line 2: nmae: unknown key; known are schema, name, long, on, sub, row
line 3: on: needs true or false
line 5: sub.rank: "low" is not in capitals
line 6: sub.tags.1: needs a text in quotes
line 8: row.0.id: needs a text in quotes
line 10: row.0.cell.0.n: needs a whole number`
	if got := fmt.Sprint(d.Err()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestSyntaxAndSize(t *testing.T) {
	for text, want := range map[string]string{
		"a = 1\nb = = 2\n":              "line 2: ",
		"a = 1\na = 2\n":                "line 2: ",
		strings.Repeat("#", MaxSize+1):  "65537 bytes exceed 65536",
		"schema = 1\nname = \"\xff\"\n": "line 2: ",
		"":                              "the file does not say schema = 1",
	} {
		var s sample
		d := Decode([]byte(text), &s)
		if d.Syntax() == nil {
			d.Schema(s.Schema, 1)
		}
		if got := fmt.Sprint(d.Err()); !strings.HasPrefix(got, want) {
			t.Errorf("%.20q: got %q, want %q…", text, got, want)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("a = {b = 1, c = [\n1]}\n[x.y]\n'k' = 1"))
	f.Fuzz(func(t *testing.T, data []byte) {
		var s sample
		for _, fault := range Decode(data, &s).faults {
			if n := strings.Count(string(data), "\n") + 1; fault.Line < 0 || fault.Line > n {
				t.Errorf("line %d of %d", fault.Line, n)
			}
		}
	})
}

func TestDuration(t *testing.T) {
	type Inner struct {
		A time.Duration `toml:"a"`
	}
	var v struct {
		Inner
		B time.Duration `toml:"b"`
		C time.Duration `toml:"c"`
	}
	d := Decode([]byte("a = \"14d\"\nb = \"1h30m\"\nc = \"-1h\""), &v)
	if v.A != 14*24*time.Hour || v.B != 90*time.Minute || v.C != 0 {
		t.Errorf("got %+v", v)
	}
	if want := `line 3: c: "-1h" is not a duration such as "12h" or "14d", 3660 days at most`; fmt.Sprint(d.Err()) != want {
		t.Errorf("got %v", d.Err())
	}
}
