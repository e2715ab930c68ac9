package sim

import (
	"fmt"
	"time"

	"gatepost/storage/entry"
)

// fate is what a seed's world is like: how many live in it, and how badly things go.
type fate struct {
	kiosks, servers, pullers int

	loss        float64 // chance of a fault for each exchange
	narrow      int     // bytes that a proxy lets through, 0 = all
	slow        float64 // chance that the log takes its time
	storeFails  float64 // chance that a call of the log fails
	pullerFails float64

	interval    time.Duration // between an uplink's contacts
	retain      time.Duration
	fileEntries int // of a journal's file
	events      int
	pace        time.Duration // between two events, on average
	keeper      bool
	moves       bool // the keeper may change
}

// oneOf draws.
func oneOf[T any](w *world, list ...T) T { return list[w.rng.IntN(len(list))] }

// populate draws a fate and those who live under it.
func (w *world) populate() {
	w.fate = fate{
		kiosks: oneOf(w, 1, 1, 1, 2, 3), servers: oneOf(w, 1, 1, 2, 3), pullers: oneOf(w, 1, 1, 2),
		loss: oneOf(w, 0, 0.05, 0.2, 0.5), narrow: oneOf(w, 0, 0, 0, 3000),
		slow: oneOf(w, 0, 0.1, 0.4), storeFails: oneOf(w, 0, 0, 0.02, 0.1), pullerFails: oneOf(w, 0, 0.02, 0.1),
		interval: oneOf(w, time.Minute, 10*time.Minute), retain: oneOf(w, time.Minute, time.Hour),
		fileEntries: oneOf(w, 8, 30, 30), events: 30 + w.rng.IntN(40), pace: oneOf(w, 10*time.Second, time.Minute, 3*time.Minute),
		keeper: w.chance(0.5), moves: w.chance(0.2),
	}
	w.say("seed %d: %+v", w.seed, w.fate)
	w.makeTokens()
	w.addCarrier()
	for n := range w.fate.kiosks {
		w.addKiosk(key(byte(n + 1)))
	}
	if w.fate.keeper {
		w.keeper = "puller0"
	}
	for range w.fate.servers {
		w.addServer()
	}
	for range w.fate.pullers {
		w.addPuller()
	}
	for _, k := range w.kiosks {
		k.start()
	}
}

// live lets the events of the seed happen, one after the other.
func (w *world) live() {
	left := w.fate.events
	var next func()
	next = func() {
		if left--; left < 0 {
			return
		}
		w.after(w.upTo(2*w.fate.pace), next)
		w.happen()
	}
	w.after(0, next)
	for left >= 0 && w.failed == "" {
		w.pass(time.Minute)
	}
	if w.chance(0.3) {
		w.storm()
	}
}

// storm is a bad end: the log fails again and again, and no restart lets a hub forget what it believes.
func (w *world) storm() {
	w.say("a storm")
	w.fate.storeFails = 0.3
	for _, k := range w.kiosks {
		if k.up {
			k.pass(3, 10)
		}
	}
	w.pass(5 * time.Minute)
}

// A turn is something that may happen; weight says how often.
type turn struct {
	weight int
	do     func(w *world, k *kiosk)
}

// turns are what may happen, with a kiosk that is drawn each time. Those of the last group are rare.
var turns = []turn{
	{30, func(w *world, k *kiosk) { k.pass(1+w.rng.IntN(6), w.rng.IntN(300)) }},
	{3, func(w *world, k *kiosk) { k.pass(20+w.rng.IntN(30), 10) }},
	{2, func(w *world, k *kiosk) { k.keep(entry.Undo{Seq: k.journal.Head().Seq}, true) }},
	{4, func(w *world, k *kiosk) { k.powerCut() }},
	{6, func(w *world, k *kiosk) { k.outage() }},
	{5, func(w *world, k *kiosk) { k.prune() }},
	{2, func(w *world, k *kiosk) {
		k.ahead, k.trust = w.upTo(100*time.Hour)-50*time.Hour, entry.Trust(w.rng.IntN(3))
	}},

	{4, func(w *world, k *kiosk) { w.carrier.collect(k) }},
	{4, func(w *world, _ *kiosk) { w.carrier.bring() }},
	{1, func(w *world, _ *kiosk) { w.carrier.spoil() }},
	{1, func(w *world, k *kiosk) { w.carrier.forge(k) }},

	{5, func(w *world, _ *kiosk) { oneOf(w, w.servers...).crash(w.upTo(5 * time.Minute)) }},
	{2, func(w *world, _ *kiosk) { w.stall() }},
	{2, func(w *world, _ *kiosk) { w.moveKeeper() }},

	{1, func(w *world, _ *kiosk) { w.loseLog() }},
	{1, func(w *world, k *kiosk) { w.poisonOne(k) }},
	{1, func(w *world, k *kiosk) { w.revoke(k) }},
	{1, func(w *world, k *kiosk) { k.replace() }},
	{3, func(w *world, k *kiosk) { k.split() }},
}

// happen draws one turn.
func (w *world) happen() {
	all := 0
	for _, t := range turns {
		all += t.weight
	}
	n := w.rng.IntN(all)
	k := oneOf(w, w.kiosks...)
	for _, t := range turns {
		if n -= t.weight; n < 0 {
			if k.up {
				t.do(w, k)
			}
			return
		}
	}
}

// powerCut ends a kiosk, at times in the midst of an append: then nobody saw the light, and the entry may be there or not.
func (k *kiosk) powerCut() {
	if k.w.chance(0.5) {
		k.keep(entry.Passage{Lane: "in-doubt", Direction: entry.In, Verdict: entry.Admit}, false)
	}
	k.crash(k.w.upTo(5 * time.Minute))
	if k.w.chance(0.5) {
		k.save()
	}
}

// outage takes a kiosk's network away, or changes it.
func (k *kiosk) outage() {
	if k.net.up && k.w.chance(0.7) {
		k.rewire(false)
		k.w.after(k.w.upTo(time.Hour), func() { k.rewire(true) })
	} else {
		k.rewire(true)
	}
}

// replace puts an older copy of a card into the kiosk, or into another one beside it.
func (k *kiosk) replace() {
	switch {
	case k.saved == "" || k.w.chance(0.5):
	case k.w.chance(0.5):
		k.crash(k.w.upTo(time.Minute))
		k.setBack()
	case len(k.w.kiosks) < 5:
		k.clone()
	}
}

// split copies the card, and starts both at the same moment: each may agree with the hub before the other sends.
func (k *kiosk) split() {
	if len(k.w.kiosks) < 5 {
		k.crash(0)
		k.save()
		k.clone()
	}
}

// stall takes the log away from all hubs for a while: a cluster without a leader.
func (w *world) stall() {
	w.stalled = true
	w.say("the log stalls")
	w.after(w.upTo(10*time.Minute), func() { w.stalled = false })
}

// moveKeeper changes the hubs' configuration, for which they start anew.
func (w *world) moveKeeper() {
	if !w.fate.moves {
		return
	}
	w.keeper = oneOf(w, "", "puller0", fmt.Sprint("puller", len(w.pullers)-1))
	w.say("the keeper is %q", w.keeper)
	for _, s := range w.servers {
		s.crash(time.Second)
	}
}

// poisonOne lets all hubs refuse the kiosk's newest entry, as long as no log holds it.
func (w *world) poisonOne(k *kiosk) {
	head := k.journal.Head()
	if w.poison[k.id] == 0 && w.truth.epoch().chain(k.id).head.Seq < head.Seq {
		w.poison[k.id] = head.Seq
		w.say("%s: no hub will take entry %d", k.name, head.Seq)
	}
}

// revoke takes a device's right to send away, perhaps for good.
func (w *world) revoke(k *kiosk) {
	w.revoked[k.id] = true
	w.say("%s is revoked", k.name)
	if w.chance(0.7) {
		w.after(w.upTo(time.Hour), func() { w.revoked[k.id] = false })
	}
}

// heal ends all that goes wrong, and runs the world until nothing is left to do.
func (w *world) heal() {
	w.say("all is well from here on")
	w.calm, w.stalled, w.fate.narrow = true, false, 0
	for _, k := range w.kiosks {
		k.net.narrow = 0
		if k.up {
			k.rewire(true)
		}
		k.net.up = true
	}
	w.pass(2 * w.fate.interval) // for a contact of each uplink: it may not know yet what the hub has lost
	for end := w.now.Add(24 * time.Hour); w.failed == "" && !w.truth.rest(); {
		if w.now.After(end) {
			w.fail("no rest within a day: %s", w.truth.unrest())
		}
		w.pass(10 * time.Minute)
	}
}
