package sim

import (
	"flag"
	"fmt"
	"runtime/debug"
	"strings"
	"testing"
)

var (
	seeds = flag.Int("seeds", 3, "how many seeds are played")
	from  = flag.Uint64("from", 1, "the first one")
)

// play makes the world of a seed and ends it.
func play(t *testing.T, seed uint64) *world {
	w := newWorld(t, seed)
	defer w.end()
	w.live()
	w.heal()
	w.truth.settle()
	return w
}

// tell shows what a failed world did last.
func (w *world) tell() string {
	return fmt.Sprintf("seed %d: %s\n%s\nto see all of it: go test ./sync/sim -run TestSeeds -from %d -seeds 1 -v",
		w.seed, w.failed, strings.Join(w.tail, "\n"), w.seed)
}

// Whatever a seed lets happen, nothing is lost and nothing is doubled. The flags say which seeds.
func TestSeeds(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400)) // a world is small and short
	lost, doubled := 0, 0
	for seed := *from; seed < *from+uint64(*seeds); seed++ {
		w := play(t, seed)
		lost, doubled = lost+w.truth.lost, doubled+w.truth.doubled
		if w.failed != "" {
			t.Fatal(w.tell())
		}
		if n := seed - *from + 1; n%500 == 0 { // somebody waits for ten thousand
			fmt.Printf("played %d seeds from %d on\n", n, *from)
		}
	}
	fmt.Printf("sim: seeds=%d lost=%d doubled=%d\n", *seeds, lost, doubled)
}

// The same seed makes the same world, event by event and byte by byte.
func TestSameSeedSameWorld(t *testing.T) {
	for seed := uint64(1); seed <= 20; seed++ {
		a, b := play(t, seed), play(t, seed)
		if a.failed != "" {
			t.Error(a.tell())
		}
		if x, y := fmt.Sprintf("%x", a.trace.Sum(nil)), fmt.Sprintf("%x", b.trace.Sum(nil)); x != y {
			t.Errorf("seed %d: traces %s and %s", seed, x, y)
		}
	}
}
