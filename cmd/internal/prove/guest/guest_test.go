package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

// filled makes a journal with some entries of the lanes and returns its folder and what was acknowledged last.
func filled(t *testing.T) (string, mark) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "journal")
	j, err := examine(dir, mark{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var count atomic.Int32
	err = appendFor(ctx, j, func(format string, a ...any) {
		if count.Add(1) == 300 {
			stop()
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	head := j.Head()
	return dir, mark{head.Seq, head.Hash.String()}
}

func TestWholeJournalPasses(t *testing.T) {
	dir, last := filled(t)
	j, err := examine(dir, last)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := j.Receipt(); !ok || j.First() == 1 {
		t.Errorf("no receipt or no purge in %d entries", j.Head().Seq)
	}
	if err := goOn(dir, j); err != nil {
		t.Error(err)
	}
}

func TestNothingYet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "journal")
	if err := act([]string{"check", dir, "0", "-"}); err != nil {
		t.Error(err)
	}
	if err := act([]string{"check", dir + "2", "1", "ab"}); !errors.Is(err, errLost) {
		t.Errorf("a journal that is gone: %v", err)
	}
}

func TestLossShows(t *testing.T) {
	dir, last := filled(t)
	for name, m := range map[string]mark{
		"one more was acknowledged": {last.seq + 1, last.hash},
		"another was acknowledged":  {last.seq, strings.Repeat("0", 64)},
	} {
		if j, err := examine(dir, m); !errors.Is(err, errLost) {
			t.Errorf("%s: %v, %v", name, j, err)
		}
	}
}

// TestStrangersShow appends what no lane appends.
func TestStrangersShow(t *testing.T) {
	body := func(b entry.Body) entry.Draft {
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Unix(1e9, 0)}, b)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	nth := func(boot uint32, n int) entry.Draft { return body(entry.Fault{Part: "proof", Text: text(boot, 0, n)}) }
	for name, list := range map[string][]entry.Draft{
		"a gap":         {body(entry.Gap{First: 1, Last: 1, Why: "x"})},
		"a boot":        {body(entry.Boot{})},
		"other content": {body(entry.Fault{Part: "proof", Text: text(1, 0, 1) + "x"})},
		"another boot":  {nth(2, 1)},
		"twice":         {nth(1, 1), nth(1, 1)},
		"one missing":   {nth(1, 1), nth(1, 3)},
		"the first":     {nth(1, 2)},
	} {
		dir := filepath.Join(t.TempDir(), "journal")
		j, err := journal.Open(dir, options)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range list {
			if _, err := j.Append(t.Context(), d); err != nil {
				t.Fatal(err)
			}
		}
		if err := read(j); err == nil {
			t.Errorf("%s went unnoticed", name)
		}
		j.Close()
	}
}

func TestDamageShows(t *testing.T) {
	dir, last := filled(t)
	files, err := filepath.Glob(filepath.Join(dir, "*.db"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, f := range files {
		if err := os.Truncate(f, 8192); err != nil {
			t.Fatal(err)
		}
	}
	if err := lie(dir, last); !errors.Is(err, errLost) {
		t.Error(err)
	}
}

func TestWordsThatAreWrong(t *testing.T) {
	for _, args := range [][]string{nil, {"run"}, {"check", t.TempDir(), "x", "-"}, {"other", t.TempDir(), "0", "-"}} {
		if err := act(args); err == nil || errors.Is(err, errLost) {
			t.Errorf("%q: %v", args, err)
		}
	}
}

func TestTextFollowsFromItsPlace(t *testing.T) {
	seen := map[string]string{}
	for boot := range uint32(3) {
		for n := range 80 {
			at, s := fmt.Sprint(boot, n), text(boot, 1, n)
			if s != text(boot, 1, n) || seen[s] != "" {
				t.Errorf("%s and %s have one text", at, seen[s])
			}
			seen[s] = at
		}
	}
}
