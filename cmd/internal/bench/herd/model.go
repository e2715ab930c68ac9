package main

import (
	"container/heap"
	"math/rand/v2"
	"time"

	"gatepost/sync/uplink"
)

// A world is a hub and its kiosks as numbers. It stands for herds that no one machine can play.
type world struct {
	n     int           // kiosks, all there at the same moment
	rate  float64       // visits that the hub serves a second, one after the other
	turn  time.Duration // of the hub's time, for a socket that it resets
	queue int           // sockets that wait; what comes beyond is reset
	rule  uplink.Rule   // of those who are reset
}

// A fate is what becomes of a world's kiosks.
type fate struct {
	last   time.Duration // until the last was in
	tries  float64       // a kiosk, on average
	most   int           // tries of one kiosk
	turned int           // a second, in the worst second
	wait   time.Duration // the longest in the queue
	within bool          // everyone was in within a day
}

// run plays the world to its end; the same seed plays the same.
func (w world) run(seed uint64) (f fate) {
	r := rand.New(rand.NewPCG(seed, 1))
	tries, second := make([]int, w.n), map[int64]int{}
	var calls calls
	for i := range w.n {
		calls = append(calls, call{0, i})
	}
	serve := time.Duration(float64(time.Second) / w.rate)
	var waiting []time.Duration // when each socket in the queue will have been served
	var free time.Duration      // when the hub will have done what it has to do
	in, all := 0, 0
	for in < w.n {
		c := heap.Pop(&calls).(call)
		if c.at > 24*time.Hour {
			return f
		}
		all++
		tries[c.kiosk]++
		f.most = max(f.most, tries[c.kiosk])
		for len(waiting) > 0 && waiting[0] <= c.at {
			waiting = waiting[1:]
		}
		free = max(free, c.at)
		if len(waiting) >= w.queue {
			free += w.turn // it delays whoever waits
			second[int64(c.at/time.Second)]++
			f.turned = max(f.turned, second[int64(c.at/time.Second)])
			heap.Push(&calls, call{c.at + time.Duration(r.Float64()*float64(w.rule.Window(c.at))), c.kiosk})
			continue
		}
		free += serve
		f.wait = max(f.wait, free-c.at)
		waiting = append(waiting, free)
		f.last = free
		in++
	}
	f.tries, f.within = float64(all)/float64(w.n), true
	return f
}

// call is a kiosk's next try.
type call struct {
	at    time.Duration
	kiosk int
}

// calls is a heap, the next one first.
type calls []call

func (c calls) Len() int { return len(c) }
func (c calls) Less(i, j int) bool {
	return c[i].at < c[j].at || c[i].at == c[j].at && c[i].kiosk < c[j].kiosk
}
func (c calls) Swap(i, j int) { c[i], c[j] = c[j], c[i] }
func (c *calls) Push(x any)   { *c = append(*c, x.(call)) }
func (c *calls) Pop() any {
	old := *c
	last := old[len(old)-1]
	*c = old[:len(old)-1]
	return last
}
