package main

import "testing"

// The list must fit the code, or it would be noticed only when everything is proved.
func TestSimMutantsFitTheCode(t *testing.T) {
	for _, m := range simMutations {
		if _, err := m.Plant("../../../..", t.TempDir()); err != nil {
			t.Error(err)
		}
	}
	if len(simMutations) < 12 {
		t.Errorf("only %d bugs", len(simMutations))
	}
}
