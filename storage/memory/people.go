package memory

import (
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
	key []byte
	by  map[id]*person
}

// An id names a person. Several may name the same one.
type id struct {
	tag bool // of today; else under the process's key
	sum [tagSize]byte
}

type person struct {
	name  id // the one of its ids by which it is counted
	visit    // the last passage
	prior visit
}

type visit struct {
	at        time.Time
	direction entry.Direction
	since     time.Time // inside since then; zero when not inside
}

func newPeople(key []byte) people { return people{key: key, by: map[id]*person{}} }

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

func (p *people) find(keys []string, today dayKey) *person { return p.any(p.ids(keys, today)) }

func (p *people) any(ids []id) *person {
	for _, i := range ids {
		if who, ok := p.by[i]; ok {
			return who
		}
	}
	return nil
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
	who := p.any(ids)
	if who == nil {
		p.makeRoom(at)
		who = &person{name: ids[0]}
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
