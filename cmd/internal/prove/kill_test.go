package main

import "testing"

func TestKill(t *testing.T) {
	if got := prove(t, short(t), kill); got.Kills != 5 {
		t.Errorf("%v", got)
	}
}
