package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// module writes a tiny module with one function and its test.
func module(t *testing.T) *proof {
	t.Helper()
	p := short(t)
	p.root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module fake\n\ngo 1.26\n",
		"sum/sum.go":      "package sum\n\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n\nfunc Spare() int { return 1 }\n",
		"sum/sum_test.go": "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(2, 3) != 5 {\n\t\tt.Fatal(\"no sum\")\n\t}\n}\n",
		"bad/bad_test.go": "package bad\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Fatal(\"as ever\") }\n",
	} {
		path := filepath.Join(p.root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestMutants(t *testing.T) {
	p := module(t)
	minus := mutation{name: "minus", file: "sum/sum.go", old: "a + b", new: "a - b", pkgs: []string{"./sum"}}
	change := func(f func(*mutation)) mutation { m := minus; f(&m); return m }
	for _, c := range []struct {
		name   string
		m      mutation
		caught int
		err    string
	}{
		{"caught", minus, 1, ""},
		{"caught by a panic", change(func(m *mutation) { m.new = "a / (b - b)" }), 1, ""},
		{"missed", change(func(m *mutation) { m.old, m.new = "return 1", "return 2" }), 0, ""},
		{"does not compile", change(func(m *mutation) { m.new = "a +" }), 0, `mutant "minus": it does not compile`},
		{"not there", change(func(m *mutation) { m.old = "a * b" }), 0, "mutant does not fit the code any more: minus"},
		{"twice there", change(func(m *mutation) { m.old = "return" }), 0, "mutant does not fit the code any more: minus"},
		{"tests that fail by themselves", change(func(m *mutation) { m.pkgs = []string{"./bad"} }), 0, "the tests of ./bad fail without any mutant: TestBad"},
	} {
		before := sources(t, p.root)
		got, err := p.mutate(t.Context(), []mutation{c.m})
		if err == nil && c.err != "" || err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (got.Caught != c.caught || got.Mutants != 1) {
			t.Errorf("%s: %v", c.name, got)
		}
		if sources(t, p.root) != before {
			t.Fatalf("%s: the tree was touched", c.name)
		}
	}
}

func sources(t *testing.T, root string) (all string) {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(root, "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		all += path + string(text)
	}
	return all
}

// The list must fit the code, or it would be noticed only when everything is proved.
func TestMutantsFitTheCode(t *testing.T) {
	p := short(t)
	for _, m := range mutations {
		if _, err := m.plant(p.root, filepath.Join(p.work, "fit")); err != nil {
			t.Error(err)
		}
	}
}
