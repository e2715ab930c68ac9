package main

import (
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"gatepost/cmd/internal/prove/proof"
)

func TestAccount(t *testing.T) {
	var a account
	if n := a.take([]mark{{1, "a"}, {3, "c"}, {2, "b"}}); n != 0 || a.last != (mark{3, "c"}) {
		t.Errorf("%d doubled, last %v", n, a.last)
	}
	if n := a.take([]mark{{4, "d"}, {3, "x"}}); n != 1 || a.last != (mark{4, "d"}) {
		t.Errorf("%d doubled, last %v", n, a.last)
	}
}

func TestMoment(t *testing.T) {
	random, seen := rand.New(rand.NewPCG(1, 1)), map[int]bool{}
	for range 5000 {
		seen[moment(random, false)] = true
		if moment(random, true) == 0 {
			t.Fatal("the last run is cut before its check")
		}
	}
	if len(seen) != 121 || !seen[0] || !seen[120] {
		t.Errorf("%d moments", len(seen))
	}
}

func TestHear(t *testing.T) {
	hash := strings.Repeat("0a", 32)
	for line, want := range map[string]struct {
		life
		failed string
	}{
		"WHOLE 1 7":                       {life{whole: true}, ""},
		"LOST lost: entry 7":              {life{lost: "lost: entry 7"}, ""},
		"FAILED disk":                     {life{}, "disk"},
		"ACK 7 " + hash:                   {life{acks: []mark{{7, hash}}}, ""},
		"ACK 7 " + hash[:63]:              {},
		"ACK 7":                           {},
		"ACK -7 " + hash:                  {},
		"ACK 9999999999999999999 " + hash: {life{acks: []mark{{9999999999999999999, hash}}}, ""},
		"":                                {},
		"[    1.0] a kernel's words":      {},
	} {
		var l life
		if failed := l.hear(line); failed != want.failed || !reflect.DeepEqual(l, want.life) {
			t.Errorf("%q: %+v, %q", line, l, failed)
		}
	}
}

func TestNoMachineAtScaleNought(t *testing.T) {
	if got, err := cut(t.Context(), &proof.Run{Root: t.TempDir()}); got != (proof.Tally{}) || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}
