package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"gatepost/cmd/internal/prove/proof/prooftest"
)

// The short forms, side by side: most of their time is spent in waiting for a cluster or a program.
func TestShort(t *testing.T) {
	p := prooftest.Short(t)
	var all sync.WaitGroup
	defer all.Wait()
	for _, part := range suite().Parts {
		if part.Name == "sim" || part.Name == "mutant" { // the one is a test of its own, the other runs this very test
			continue
		}
		all.Go(func() {
			t.Run(part.Name, func(t *testing.T) {
				if part.Name == "power" {
					needDisk(t)
				}
				prooftest.Prove(t, p, part.Do)
			})
		})
	}
}

// needDisk skips a test that mounts disks where that cannot be; where CI is set that is a failure.
func needDisk(t *testing.T) {
	t.Helper()
	err := errors.New("a file system to mount needs root")
	if os.Getuid() == 0 {
		var v *volatile
		if v, err = newVolatile(t.Context(), filepath.Join(t.TempDir(), "disk")); err == nil {
			err = v.off(t.Context())
		}
	}
	if err != nil && os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
}

// What was flushed before the power went is there afterwards, and what was not is gone, unless the disk was just writing it.
func TestVolatile(t *testing.T) {
	needDisk(t)
	v, err := newVolatile(t.Context(), filepath.Join(t.TempDir(), "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := v.off(context.Background()); err != nil {
			t.Error(err)
		}
	}()
	path := filepath.Join(v.mount, "file")
	for _, c := range []struct {
		text  string
		flush bool
		keep  float64
		want  string
	}{{"a", true, 0, "a"}, {"b", false, 0, "a"}, {"c", true, 0, "ac"}, {"d", false, 1, ""}} {
		f, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		_, err = f.WriteString(c.text)
		if c.flush {
			err = errors.Join(err, f.Sync())
		}
		if err = errors.Join(err, f.Close(), v.cut(t.Context(), rand.New(rand.NewPCG(1, 1)), c.keep), v.on(t.Context())); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(path); err != nil || c.keep == 0 && string(got) != c.want {
			t.Errorf("behind %q: %q, %v", c.text, got, err)
		}
	}
}

func TestPartsHaveNames(t *testing.T) {
	seen := map[string]bool{}
	for _, p := range suite().Parts {
		if p.Name == "" || p.About == "" || p.Do == nil || seen[p.Name] {
			t.Errorf("part %+v", p)
		}
		seen[p.Name] = true
	}
}

func TestMutantsFitTheCode(t *testing.T) { prooftest.Fit(t, prooftest.Short(t), mutations) }
