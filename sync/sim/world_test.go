package sim

import (
	"container/heap"
	"crypto/sha256"
	"fmt"
	"hash"
	"math/rand/v2"
	"os"
	"testing"
	"testing/cryptotest"
	"time"

	"gatepost/sync/pull"
)

const (
	maxDepth     = 8      // events inside events
	maxSteps     = 50_000 // of one world
	maxExchanges = 20_000
	tailSize     = 40 // lines of the trace that a failure shows
)

var dawn = time.Date(2026, 11, 23, 5, 0, 0, 0, time.UTC)

// A world is everything that one seed makes.
type world struct {
	t    *testing.T
	seed uint64
	dir  string // for journals and the stick, in memory where possible
	rng  *rand.Rand

	now       time.Time
	queue     queue
	count     int // events so far
	exchanges int
	depth     int

	trace  hash.Hash
	tail   []string
	failed string // the first thing that does not hold

	fate    fate
	truth   *truth
	tokens  pull.Tokens
	log     *memory
	servers []*server
	kiosks  []*kiosk
	pullers []*puller
	carrier *carrier
	keeper  string // the puller for whom receipts wait, "" = nobody
	stalled bool   // the log does not answer
	calm    bool   // nothing goes wrong any more
	revoked map[string]bool
	poison  map[string]uint64 // by device: the entry that no hub takes
}

// newWorld makes a world at dawn. Its end is the caller's to call.
func newWorld(t *testing.T, seed uint64) *world {
	cryptotest.SetGlobalRandom(t, seed)
	w := &world{
		t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 0)), now: dawn, trace: sha256.New(),
		revoked: map[string]bool{}, poison: map[string]uint64{},
	}
	parent := "/dev/shm"
	if _, err := os.Stat(parent); err != nil {
		parent = ""
	}
	var err error
	if w.dir, err = os.MkdirTemp(parent, "gatepost-sim-"); err != nil {
		t.Fatal(err)
	}
	w.truth = newTruth(w)
	w.log = newMemory("epoch0", w.clock)
	w.log.stored = w.truth.stored
	w.populate()
	return w
}

// end lets go of every file.
func (w *world) end() {
	for _, k := range w.kiosks {
		k.stop()
	}
	if err := os.RemoveAll(w.dir); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) clock() time.Time { return w.now }

// say adds a line to the trace.
func (w *world) say(format string, a ...any) {
	line := fmt.Sprintf("%12v %*s%s", w.now.Sub(dawn).Round(time.Millisecond), 2*w.depth, "", fmt.Sprintf(format, a...))
	fmt.Fprintln(w.trace, line)
	if *seeds == 1 {
		w.t.Log(line)
	}
	if len(w.tail) == tailSize {
		w.tail = append(w.tail[:0], w.tail[1:]...)
	}
	w.tail = append(w.tail, line)
}

// fail notes that something does not hold. The first one counts, and ends the world.
func (w *world) fail(format string, a ...any) {
	if w.failed == "" {
		w.failed = fmt.Sprintf(format, a...)
		w.say("FAILED: %s", w.failed)
	}
}

// must fails the world for an error that no fate explains.
func (w *world) must(err error) {
	if err != nil {
		w.fail("unexpected: %v", err)
	}
}

// chance is true with the probability p.
func (w *world) chance(p float64) bool { return w.rng.Float64() < p }

// upTo draws a time below d.
func (w *world) upTo(d time.Duration) time.Duration { return time.Duration(w.rng.Int64N(int64(d))) }

// An event happens at its time; of two at the same time, the one that was planned first.
type event struct {
	at    time.Time
	order int
	do    func()
}

type queue []event

func (q queue) Len() int { return len(q) }
func (q queue) Less(i, j int) bool {
	return q[i].at.Before(q[j].at) || q[i].at.Equal(q[j].at) && q[i].order < q[j].order
}
func (q queue) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(e any)   { *q = append(*q, e.(event)) }
func (q *queue) Pop() any {
	e := (*q)[len(*q)-1]
	*q = (*q)[:len(*q)-1]
	return e
}

// after plans an event.
func (w *world) after(d time.Duration, do func()) {
	w.count++
	heap.Push(&w.queue, event{w.now.Add(max(d, 0)), w.count, do})
}

// pass lets time pass, with all that is due in it. The code that runs now is waiting for something: this is where events
// overlap.
func (w *world) pass(d time.Duration) {
	end := w.now.Add(d)
	w.depth++
	for w.depth <= maxDepth && w.failed == "" && len(w.queue) > 0 && !w.queue[0].at.After(end) {
		e := heap.Pop(&w.queue).(event)
		if e.at.After(w.now) {
			w.now = e.at
		}
		e.do()
		if w.count > maxSteps {
			w.fail("no rest after %d events", w.count)
		}
	}
	w.depth--
	if end.After(w.now) {
		w.now = end
	}
}
