package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

// short returns the proof in the short form.
func short(t *testing.T) *proof {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	p, err := newProof(0, uint64(time.Now().UnixNano()), testWriter{t})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.work) })
	t.Logf("seed %d", p.seed)
	return p
}

type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) { w.t.Logf("%s", b); return len(b), nil }

// prove fails the test unless the part holds.
func prove(t *testing.T, p *proof, run func(context.Context, *proof) (tally, error)) tally {
	t.Helper()
	got, err := run(t.Context(), p)
	if err != nil || !got.holds() {
		t.Fatalf("%v, %v", got, err)
	}
	return got
}

func TestWords(t *testing.T) {
	sum := func(t tally, err error) []part {
		return []part{{"one", "", func(context.Context, *proof) (tally, error) { return t, err }}, {"two", "", func(context.Context, *proof) (tally, error) { return tally{Kills: 2}, nil }}}
	}
	good := tally{Cuts: 1, Mutants: 3, Caught: 3}
	for _, c := range []struct {
		all  []part
		args []string
		code int
		last string
	}{
		{sum(good, nil), nil, holds, "prove: cuts=1 kills=2 damaged=0 mutants=3/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, nil), []string{"two"}, holds, "prove: cuts=0 kills=2 damaged=0 mutants=0/0 lost=0 doubled=0 unnoticed=0\n"},
		{sum(tally{Lost: 1}, nil), nil, fails, "lost=1 doubled=0 unnoticed=0\n"},
		{sum(tally{Doubled: 1}, nil), nil, fails, "lost=0 doubled=1 unnoticed=0\n"},
		{sum(tally{Unnoticed: 1}, nil), nil, fails, "lost=0 doubled=0 unnoticed=1\n"},
		{sum(tally{Mutants: 3, Caught: 2}, nil), nil, fails, "mutants=2/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, errors.New("no control")), nil, fails, "kills=2 damaged=0 mutants=3/3 lost=0 doubled=0 unnoticed=0\n"},
		{sum(good, nil), []string{"three"}, usage, ""},
		{sum(good, nil), []string{"-n", "-1"}, usage, ""},
		{sum(good, nil), []string{"-x"}, usage, ""},
		{sum(good, nil), []string{"-h"}, holds, ""},
	} {
		var out, errs bytes.Buffer
		if code := run(t.Context(), c.all, c.args, &out, &errs); code != c.code || !strings.HasSuffix(out.String(), c.last) || c.last == "" && out.Len() > 0 {
			t.Errorf("%q: status %d, want %d, %s%s", c.args, code, c.code, out.String(), errs.String())
		}
	}
}

// What was broken off is no success.
func TestBrokenOff(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	all := []part{
		{"one", "", func(context.Context, *proof) (tally, error) { stop(); return tally{}, nil }},
		{"two", "", func(context.Context, *proof) (tally, error) { t.Error("it goes on"); return tally{}, nil }},
	}
	var out, errs bytes.Buffer
	if code := run(ctx, all, nil, &out, &errs); code != fails {
		t.Errorf("status %d", code)
	}
}

func TestPartsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range parts() {
		if p.name == "" || p.about == "" || p.run == nil || seen[p.name] {
			t.Errorf("part %+v", p)
		}
		seen[p.name] = true
	}
}
