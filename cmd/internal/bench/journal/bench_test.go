package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestPercentile(t *testing.T) {
	var hundred []time.Duration
	for i := range 100 {
		hundred = append(hundred, time.Duration(i+1))
	}
	for _, c := range []struct {
		sorted []time.Duration
		p      int
		want   time.Duration
	}{
		{hundred, 50, 50},
		{hundred, 99, 99},
		{hundred, 0, 1},
		{[]time.Duration{1, 2, 9}, 50, 2},
		{[]time.Duration{1, 2, 9}, 95, 9},
		{[]time.Duration{7}, 50, 7},
	} {
		if got := percentile(c.sorted, c.p); got != c.want {
			t.Errorf("%d percent of %d: %d, want %d", c.p, len(c.sorted), got, c.want)
		}
	}
}

func TestOrder(t *testing.T) {
	for round, want := range [][]int{{0, 1, 2}, {1, 2, 0}, {2, 0, 1}, {0, 1, 2}} {
		if got := order(3, round); !slices.Equal(got, want) {
			t.Errorf("round %d: %v, want %v", round, got, want)
		}
	}
}

func TestParseStat(t *testing.T) {
	got, err := parseStat("  1 2 3 4 5 6 70 8 0 10 11 0 0 0 0 9 12\n")
	if want := (tally{bytes: 70 * 512, flushes: 9}); got != want || err != nil {
		t.Errorf("%+v, %v", got, err)
	}
	for _, text := range []string{"", "1 2 3 4 5 6 70 8 9 10 11", strings.Repeat("x ", 17)} {
		if _, err := parseStat(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestMemoryIsNoDisk(t *testing.T) {
	if _, err := machine(t.Context(), "/dev/shm"); err == nil {
		t.Error("/dev/shm passes for a disk")
	}
}

// Every candidate must find again what it kept, or its long history would be none.
func TestMeasure(t *testing.T) {
	s, err := newSample()
	if err != nil {
		t.Fatal(err)
	}
	disk := tally{}
	written := func() (tally, error) {
		disk.bytes += 600
		disk.flushes += 6
		return disk, nil
	}
	all, dir := candidates(s), t.TempDir()
	p := plan{[]int{0, 40}, 2, 2, 3, func(string, ...any) {}}
	results, err := p.measure(t.Context(), all, dir, written)
	if err != nil || len(results) != 2*len(all) {
		t.Fatalf("%d results, %v", len(results), err)
	}
	for _, r := range results {
		if len(r.took) != 6 || !slices.IsSorted(r.took) || r.took[0] <= 0 || r.wrote != (tally{6, 1200, 12}) {
			t.Errorf("%s behind %d: %v, %+v", r.name, r.history, r.took, r.wrote)
		}
	}
	for _, c := range all[2:] { // a raw write keeps no entry
		st, err := c.open(filepath.Join(dir, c.name))
		if err != nil {
			t.Fatal(err)
		}
		if st.count() != 48 {
			t.Errorf("%s keeps %d entries", c.name, st.count())
		}
		st.Close()
	}
	text := paper{"here", "today", s.size(), p, results, nil}.section()
	for _, want := range []string{"about 291 bytes", "Behind 0 entries", "Behind 40 entries", "| 200 ", "| 1.00 "} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q in\n%s", want, text)
		}
	}
}

func TestMeasureEndsWhenTold(t *testing.T) {
	s, err := newSample()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := (plan{[]int{5}, 0, 1, 1, func(string, ...any) {}}).measure(ctx, candidates(s), t.TempDir(), nil); err == nil {
		t.Error("it went on")
	}
}

func TestTornFrameEndsTheFile(t *testing.T) {
	s, err := newSample()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	f, err := s.openFile(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.add(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	end := f.(*frames).end
	if _, err := f.(*frames).WriteAt([]byte{0xFF}, end-1); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if f, err = s.openFile(dir); err != nil || f.count() != 2 {
		t.Errorf("%d frames, %v", f.count(), err)
	}
	f.Close()
}
