package memory

import (
	"maps"
	"time"

	"gatepost/storage/entry"
)

const (
	staleAfter  = 16 * time.Hour
	forgetAfter = 72 * time.Hour
	maxNames    = 400_000 // a person has two or more
)

// People is who passed, in memory alone: known by HMACs under a key that dies with the process, so that
// nobody leaves at midnight, and after a restart by today's tags.
type people struct {
	key     []byte
	by      map[id]*person
	refused map[id]time.Time // when what somebody had declared was forgotten
}

// An id names a person. Several may name the same one.
type id struct {
	tag bool // of today; else under the process's key
	sum [tagSize]byte
}

type person struct {
	name  id // the one of its ids by which it is counted
	own   id // the one that no namesake shares; zero when none is known
	visit    // the last passage
	prior visit
}

type visit struct {
	at        time.Time
	direction entry.Direction
	since     time.Time // inside since then; zero when not inside
}

func newPeople(key []byte) people {
	return people{key: key, by: map[id]*person{}, refused: map[id]time.Time{}}
}

// ids returns the names of a person, those of the process first.
func (p *people) ids(keys []string, today dayKey) (ids []id) {
	for _, k := range keys {
		ids = append(ids, id{false, mac(p.key, "gatepost/inside/1", k)})
	}
	for _, k := range keys {
		ids = append(ids, id{true, today.tag(k)})
	}
	return ids
}

// own returns the id that no namesake shares: of several keys the first. A single key may be all that a
// declaration says of its person, and is not enough to tell two people apart.
func own(keys []string, ids []id) (o id) {
	if len(keys) > 1 {
		o = ids[0]
	}
	return o
}

func (p *people) find(keys []string, today dayKey) *person {
	ids := p.ids(keys, today)
	return p.any(ids, own(keys, ids))
}

// any returns who bears one of the ids and is no namesake: somebody else whose own id differs.
func (p *people) any(ids []id, own id) *person {
	for _, i := range ids {
		if who, ok := p.by[i]; ok && (who.own == own || who.own == id{} || own == id{}) {
			return who
		}
	}
	return nil
}

// refuse notes that what the person declared before now does not stand.
func (p *people) refuse(keys []string, now time.Time) {
	if len(p.refused) > maxNames {
		clear(p.refused) // more than a venue sees in a week; what was forgotten on the disk stays forgotten
	}
	for _, i := range p.ids(keys, dayKey{})[:len(keys)] {
		p.refused[i] = now
	}
}

// refusal returns when refuse was last called for one of the keys.
func (p *people) refusal(keys []string) (at time.Time) {
	for _, i := range p.ids(keys, dayKey{})[:len(keys)] {
		if t := p.refused[i]; t.After(at) {
			at = t
		}
	}
	return at
}

// pass notes a passage. Without keys the tag alone tells who it is.
func (p *people) pass(keys []string, tag []byte, today dayKey, d entry.Direction, at time.Time) {
	ids := p.ids(keys, today)
	if len(tag) == tagSize {
		ids = append(ids, id{true, [tagSize]byte(tag)})
	}
	if len(ids) == 0 {
		return
	}
	who := p.any(ids, own(keys, ids))
	if who == nil {
		p.makeRoom(at)
		who = &person{name: ids[0]}
	}
	if o := own(keys, ids); o != (id{}) {
		who.own = o
	}
	for _, i := range ids {
		if p.by[i] == nil {
			p.by[i] = who
		}
	}
	who.prior = who.visit
	who.visit = visit{at: at, direction: d}
	if d == entry.In {
		who.since = at
	}
}

// undo takes back the last passage of tag; once, because no more is known.
func (p *people) undo(tag []byte) {
	if len(tag) != tagSize {
		return
	}
	if who := p.by[id{true, [tagSize]byte(tag)}]; who != nil {
		who.visit, who.prior = who.prior, visit{}
	}
}

func (p *people) inside(now time.Time) (inside, stale int) {
	for i, who := range p.by {
		if i != who.name || who.since.IsZero() {
			continue
		}
		switch age := now.Sub(who.since); {
		case age <= staleAfter:
			inside++
		case age <= forgetAfter:
			stale++
		}
	}
	return inside, stale
}

// turnDay drops yesterday's tags, by which nobody will be named again, and those who are long gone.
func (p *people) turnDay(now time.Time) {
	for i, who := range p.by {
		if i.tag && i != who.name || now.Sub(who.at) > forgetAfter {
			delete(p.by, i)
		}
	}
	maps.DeleteFunc(p.refused, func(_ id, at time.Time) bool { return now.Sub(at) > MaxAge })
}

// makeRoom keeps the number of names bounded: those who went out go first, then those who never left.
func (p *people) makeRoom(now time.Time) {
	if len(p.by) < maxNames {
		return
	}
	for _, gone := range []func(*person) bool{
		func(w *person) bool { return w.since.IsZero() },
		func(w *person) bool { return now.Sub(w.since) > staleAfter },
		func(*person) bool { return true },
	} {
		for i, who := range p.by {
			if len(p.by) < maxNames*9/10 {
				return
			}
			if gone(who) {
				delete(p.by, i)
			}
		}
	}
}
