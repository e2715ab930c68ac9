package main

import (
	"testing"

	"gatepost/cmd/internal/prove/proof/prooftest"
)

func TestKill(t *testing.T) {
	if got := prooftest.Prove(t, prooftest.Short(t), kill); got.Kills != 5 {
		t.Errorf("%v", got)
	}
}
