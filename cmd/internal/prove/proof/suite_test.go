package proof

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
)

func last(t Tally) string {
	return fmt.Sprintf("prove: cuts=%d kills=%d mutants=%d/%d lost=%d doubled=%d unnoticed=%d",
		t.Cuts, t.Kills, t.Caught, t.Mutants, t.Lost, t.Doubled, t.Unnoticed)
}

func TestWords(t *testing.T) {
	sum := func(t Tally, err error) []Part {
		return []Part{{"one", "", func(context.Context, *Run) (Tally, error) { return t, err }}, {"two", "", func(context.Context, *Run) (Tally, error) { return Tally{Kills: 2}, nil }}}
	}
	good := Tally{Cuts: 1, Mutants: 3, Caught: 3}
	for _, c := range []struct {
		all  []Part
		args []string
		code int
		last string
	}{
		{sum(good, nil), nil, holds, "prove: cuts=1 kills=2 mutants=3/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, nil), []string{"two"}, holds, "prove: cuts=0 kills=2 mutants=0/0 lost=0 doubled=0 unnoticed=0\n"},
		{sum(Tally{Lost: 1}, nil), nil, fails, "lost=1 doubled=0 unnoticed=0\n"},
		{sum(Tally{Doubled: 1}, nil), nil, fails, "lost=0 doubled=1 unnoticed=0\n"},
		{sum(Tally{Unnoticed: 1}, nil), nil, fails, "lost=0 doubled=0 unnoticed=1\n"},
		{sum(Tally{Mutants: 3, Caught: 2}, nil), nil, fails, "mutants=2/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, errors.New("no control")), nil, fails, "kills=2 mutants=3/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, nil), []string{"three"}, usage, ""},
		{sum(good, nil), []string{"-n", "-1"}, usage, ""},
		{sum(good, nil), []string{"-x"}, usage, ""},
		{sum(good, nil), []string{"-h"}, holds, ""},
	} {
		var out, errs bytes.Buffer
		if code := (Suite{"prove", c.all, last}).Main(t.Context(), c.args, &out, &errs); code != c.code || !strings.HasSuffix(out.String(), c.last) || c.last == "" && out.Len() > 0 {
			t.Errorf("%q: status %d, want %d, %s%s", c.args, code, c.code, out.String(), errs.String())
		}
	}
}

// What was broken off is no success.
func TestBrokenOff(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	all := []Part{
		{"one", "", func(context.Context, *Run) (Tally, error) { stop(); return Tally{}, nil }},
		{"two", "", func(context.Context, *Run) (Tally, error) { t.Error("it goes on"); return Tally{}, nil }},
	}
	var out, errs bytes.Buffer
	if code := (Suite{"prove", all, last}).Main(ctx, nil, &out, &errs); code != fails {
		t.Errorf("status %d", code)
	}
}
