package known

import (
	"strings"
	"testing"

	"gatepost/storage/entry"
)

func TestList(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(list), "\n")[1:]
	for _, line := range lines {
		r, err := parse(line)
		if err != nil {
			t.Error(err)
			continue
		}
		if r.begins == "" || r.name == "" || r.reason != entry.ReasonKnown && r.reason != entry.ReasonNotPerson {
			t.Errorf("%q is incomplete", line)
		}
		if c, ok := Parse(r.begins + r.contains); !ok || c.Reason == "" {
			t.Errorf("%q does not find itself", line)
		}
	}
}
