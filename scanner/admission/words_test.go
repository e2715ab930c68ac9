package admission_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

// reasons reads every Reason constant out of the source, so that a new one cannot be forgotten here.
func reasons(t *testing.T) (list []entry.Reason) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../storage/entry/verdict.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || !strings.HasPrefix(spec.Names[0].Name, "Reason") {
			return true
		}
		s, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, entry.Reason(s))
		return true
	})
	return list
}

func TestWords(t *testing.T) {
	list := reasons(t)
	if len(list) < 25 {
		t.Fatalf("found %d reasons", len(list))
	}
	anyVI, anyEN := admission.Words("no such reason")
	for _, r := range list {
		vi, en := admission.Words(r)
		if vi == "" || en == "" || !strings.HasSuffix(vi, ".") || !strings.HasSuffix(en, ".") || utf8.RuneCountInString(vi) > 50 || len(en) > 60 {
			t.Errorf("%s: %q, %q are not a short sentence each", r, vi, en)
		}
		private := r == entry.ReasonRefusedAnswer || r == entry.ReasonAskedAnswer || r == entry.ReasonBarred
		if same := vi == anyVI && en == anyEN; same != private {
			t.Errorf("%s: words of its own: %v", r, !same)
		}
	}
}
