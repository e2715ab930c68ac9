// Package prooftest runs parts of a proof in their short form, as tests.
package prooftest

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"gatepost/cmd/internal/prove/proof"
)

// Short returns a run in the short form.
func Short(t *testing.T) *proof.Run {
	t.Helper()
	if testing.Short() {
		t.Skip("builds and runs the programs")
	}
	p, err := proof.NewRun(0, uint64(time.Now().UnixNano()), writer{t})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(p.Work) })
	t.Logf("seed %d", p.Seed)
	return p
}

type writer struct{ t *testing.T }

func (w writer) Write(b []byte) (int, error) { w.t.Logf("%s", b); return len(b), nil }

// Prove fails the test unless the part holds.
func Prove(t *testing.T, p *proof.Run, do func(context.Context, *proof.Run) (proof.Tally, error)) proof.Tally {
	t.Helper()
	got, err := do(t.Context(), p)
	if err != nil || !got.Holds() {
		t.Fatalf("%+v, %v", got, err)
	}
	return got
}

// Fit fails the test for each planted bug that does not fit the code any more: otherwise that would be noticed only when
// everything is proved.
func Fit(t *testing.T, p *proof.Run, list []proof.Mutation) {
	t.Helper()
	for _, m := range list {
		if _, err := m.Plant(p.Root, filepath.Join(p.Work, "fit")); err != nil {
			t.Error(err)
		}
	}
}
