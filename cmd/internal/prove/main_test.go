package main

import (
	"testing"

	"gatepost/cmd/internal/prove/proof/prooftest"
)

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
