package main

import (
	"errors"
	"os"
	"os/exec"
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
	_, err := exec.LookPath("mkfs.ext4")
	if os.Getuid() != 0 {
		err = errors.New("a file system to mount needs root")
	}
	if err == nil {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(err)
	}
	t.Skip(err)
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
