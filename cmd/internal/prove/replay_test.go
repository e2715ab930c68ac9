package main

import (
	"bytes"
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestImageIsWhatTheCutLeft(t *testing.T) {
	b, err := newBench(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	kept := make([]byte, 3*chunkSize+sectorSize)
	copy(kept[chunkSize+5:], "kept")
	survivors := []sector{{2 * chunkSize, filled(1, '1')}, {0, filled(1, '2')}, {2 * chunkSize, filled(1, '3')}}
	if err := b.write(bytes.Repeat([]byte{9}, len(kept)), nil); err != nil {
		t.Fatal(err)
	}
	if err := b.write(kept, survivors); err != nil {
		t.Fatal(err)
	}
	want := bytes.Clone(kept)
	for _, s := range survivors {
		copy(want[s.off:], s.data)
	}
	if got, err := os.ReadFile(b.image); err != nil || !bytes.Equal(got, want) {
		t.Errorf("another image, %v", err)
	}
}

func TestPointsAreInTheRecordAndInOrder(t *testing.T) {
	list := points(&tape{events: make([]event, 3)}, 1000, rand.New(rand.NewPCG(1, 1)))
	if len(list) != 1000 || !slices.IsSorted(list) || list[0] != 0 || list[999] != 3 {
		t.Errorf("%d points from %d to %d", len(list), list[0], list[len(list)-1])
	}
}

// TestCheckerIsHeard puts a script in the checker's place.
func TestCheckerIsHeard(t *testing.T) {
	for script, want := range map[string]struct {
		lost string
		bad  bool
	}{
		"echo WHOLE 1 5":               {},
		"echo LOST entry 5; exit 1":    {lost: "entry 5"},
		"echo FAILED to start; exit 1": {bad: true},
		"echo panic; exit 2":           {lost: "the checker ended with exit status 2: panic\n"},
		"echo WHOLE 1 5; echo LOST 6":  {lost: "6"},
		"echo WHOLE 1 5; exit 3":       {lost: "the checker ended with exit status 3: WHOLE 1 5\n"},
		":":                            {lost: "the checker ended with <nil>: "},
		`[ "$1 $3 $4" = "check 7 x" ] || exit 1; echo WHOLE 1 7`: {},
	} {
		b := &bench{mount: t.TempDir(), check: filepath.Join(t.TempDir(), "check")}
		if err := os.WriteFile(b.check, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		lost, err := b.examine(t.Context(), mark{7, "x"})
		if lost != want.lost || (err != nil) != want.bad {
			t.Errorf("%s: %q, %v", script, lost, err)
		}
	}
	b := &bench{mount: t.TempDir(), check: filepath.Join(t.TempDir(), "gone")}
	if lost, err := b.examine(t.Context(), mark{}); err == nil {
		t.Errorf("no checker: %q", lost)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if _, err := b.examine(ctx, mark{}); err != context.Canceled {
		t.Errorf("broken off: %v", err)
	}
}
