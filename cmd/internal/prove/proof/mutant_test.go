package proof_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gatepost/cmd/internal/prove/proof"
	"gatepost/cmd/internal/prove/proof/prooftest"
)

// module writes a tiny module with one function and its test.
func module(t *testing.T) *proof.Run {
	t.Helper()
	p := prooftest.Short(t)
	p.Root = t.TempDir()
	for name, text := range map[string]string{
		"go.mod":          "module fake\n\ngo 1.26\n",
		"sum/sum.go":      "package sum\n\nfunc Sum(a, b int) int {\n\treturn a + b\n}\n\nfunc Spare() int { return 1 }\n",
		"sum/sum_test.go": "package sum\n\nimport \"testing\"\n\nfunc TestSum(t *testing.T) {\n\tif Sum(2, 3) != 5 {\n\t\tt.Fatal(\"no sum\")\n\t}\n}\n",
		"bad/bad_test.go": "package bad\n\nimport \"testing\"\n\nfunc TestBad(t *testing.T) { t.Fatal(\"as ever\") }\n",
	} {
		path := filepath.Join(p.Root, name)
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
	minus := proof.Mutation{Name: "minus", File: "sum/sum.go", Old: "a + b", New: "a - b", Pkgs: []string{"./sum"}}
	change := func(f func(*proof.Mutation)) proof.Mutation { m := minus; f(&m); return m }
	for _, c := range []struct {
		name   string
		m      proof.Mutation
		caught int
		err    string
	}{
		{"caught", minus, 1, ""},
		{"caught by a panic", change(func(m *proof.Mutation) { m.New = "a / (b - b)" }), 1, ""},
		{"missed", change(func(m *proof.Mutation) { m.Old, m.New = "return 1", "return 2" }), 0, ""},
		{"does not compile", change(func(m *proof.Mutation) { m.New = "a +" }), 0, `mutant "minus": it does not compile`},
		{"not there", change(func(m *proof.Mutation) { m.Old = "a * b" }), 0, "mutant does not fit the code any more: minus"},
		{"twice there", change(func(m *proof.Mutation) { m.Old = "return" }), 0, "mutant does not fit the code any more: minus"},
		{"tests that fail by themselves", change(func(m *proof.Mutation) { m.Pkgs = []string{"./bad"} }), 0, "the tests of ./bad fail without any mutant: TestBad"},
	} {
		before := sources(t, p.Root)
		got, err := p.Mutate(t.Context(), []proof.Mutation{c.m})
		if err == nil && c.err != "" || err != nil && (c.err == "" || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err == nil && (got.Caught != c.caught || got.Mutants != 1) {
			t.Errorf("%s: %v", c.name, got)
		}
		if sources(t, p.Root) != before {
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
