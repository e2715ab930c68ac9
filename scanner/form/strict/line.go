package strict

import (
	"fmt"
	"strings"
)

// lines returns the line of every key and table of a TOML text, by path. It follows the syntax only as far
// as that needs, which is enough because a parser has accepted the text before. Keys inside an inline table
// have no line of their own: theirs is the outer key's.
func lines(text string) map[string]int {
	found := map[string]int{}
	counts := map[string]int{} // tables so far in each array of tables
	table, rest := "", value{}
	for i, line := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(line)
		switch {
		case rest.open():
			rest.read(line)
		case trimmed == "" || trimmed[0] == '#':
		case strings.HasPrefix(trimmed, "[["):
			path, _ := keys(trimmed[2:])
			name := resolve(path, counts)
			table = fmt.Sprintf("%s.%d", name, counts[name])
			counts[name]++
			note(found, name, i+1)
			note(found, table, i+1)
		case trimmed[0] == '[':
			path, _ := keys(trimmed[1:])
			table = resolve(path, counts)
			note(found, table, i+1)
		default:
			path, tail := keys(trimmed)
			for n := range path { // a dotted key makes the tables on its way
				note(found, join(table, strings.Join(path[:n+1], ".")), i+1)
			}
			rest.read(tail)
		}
	}
	return found
}

func note(found map[string]int, path string, line int) {
	if found[path] == 0 {
		found[path] = line
	}
}

// resolve writes the path of a table, with the index of the last table of each array on its way.
func resolve(path []string, counts map[string]int) string {
	name := ""
	for i, p := range path {
		name = join(name, p)
		if n := counts[name]; n > 0 && i < len(path)-1 {
			name = fmt.Sprintf("%s.%d", name, n-1)
		}
	}
	return name
}

// keys splits a dotted key from what follows its "=" or "]".
func keys(s string) (path []string, rest string) {
	var part strings.Builder
	var quote byte
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			part.WriteByte(c)
		case c == '"' || c == '\'':
			quote = c
		case c == '=' || c == ']':
			return append(path, part.String()), s[i+1:]
		case c == '.':
			path = append(path, part.String())
			part.Reset()
		case c != ' ' && c != '\t':
			part.WriteByte(c)
		}
	}
	return append(path, part.String()), ""
}

// A value tells whether the value of a key goes on in the next line.
type value struct {
	depth int    // of open brackets and braces
	quote string // the three quotes of an open text of several lines
}

func (v *value) open() bool { return v.depth > 0 || v.quote != "" }

func (v *value) read(line string) {
	for i := 0; i < len(line); i++ {
		rest := line[i:]
		switch c := line[i]; {
		case v.quote != "":
			if strings.HasPrefix(rest, v.quote) {
				i += len(v.quote) - 1
				v.quote = ""
			} else if c == '\\' && v.quote[0] == '"' {
				i++
			}
		case strings.HasPrefix(rest, `"""`) || strings.HasPrefix(rest, "'''"):
			v.quote = rest[:3]
			i += 2
		case c == '"' || c == '\'':
			v.quote = rest[:1]
		case c == '#':
			return
		case c == '[' || c == '{':
			v.depth++
		case c == ']' || c == '}':
			v.depth--
		}
	}
	if len(v.quote) == 1 { // a text of one line cannot stay open; the parser would have refused it
		v.quote = ""
	}
}
