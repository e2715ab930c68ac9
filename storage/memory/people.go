package memory

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"gatepost/storage/entry"
)

const (
	staleAfter  = 16 * time.Hour
	forgetAfter = 72 * time.Hour
	maxNames    = 400_000 // a person has four or more
	maxVisits   = 4       // that are kept of one person and gate, so that some may be taken back
)

// A Passage is a journal's entry that somebody passed, at this gate or at another one of the venue.
type Passage struct {
	Gate      string // id of the device whose entry it is
	Seq       uint64 // of the entry
	Tag       []byte // of the person
	Direction entry.Direction
	At        time.Time
}

// People is who passed, in memory alone: known by HMACs under a key that dies with the process, so that
// nobody leaves at midnight, and, for what other gates and the journal tell, by tags.
type people struct {
	key       []byte
	by        map[sum]*person // under the process's key
	tags, old map[sum]*person // of today; and of yesterday, of which another gate may still tell
	all       map[*person]struct{}
}

type person struct {
	own    sum     // the one that no namesake shares; zero when none is known
	visits []visit // by gate and sequence, the newest maxVisits of each gate
	same   *person // who this one turned out to be; nil: itself
}

// A visit is a passage of a person.
type visit struct {
	gate      string
	seq       uint64
	at        time.Time
	direction entry.Direction
	undone    bool
}

func newPeople(key []byte) people {
	return people{key: key, by: map[sum]*person{}, tags: map[sum]*person{}, old: map[sum]*person{}, all: map[*person]struct{}{}}
}

// add takes v in, in its place among those of its gate. Twice the same is once.
func (p *person) add(v visit) {
	i, found := slices.BinarySearchFunc(p.visits, v, func(a, b visit) int {
		return cmp.Or(cmp.Compare(a.gate, b.gate), cmp.Compare(a.seq, b.seq))
	})
	if found {
		p.visits[i].undone = p.visits[i].undone || v.undone
		return
	}
	p.visits = slices.Insert(p.visits, i, v)
	of := func(w visit) bool { return w.gate == v.gate }
	first := slices.IndexFunc(p.visits, of)
	if n := first + maxVisits; n < len(p.visits) && of(p.visits[n]) {
		p.visits = slices.Delete(p.visits, first, first+1)
	}
}

// last returns the last passage that counts. Of one gate that is the one with the highest sequence, whatever its clock
// said; between gates there are only clocks.
func (p *person) last() (last visit) {
	for i, v := range p.visits {
		if v.undone || slices.ContainsFunc(p.visits[i+1:], func(w visit) bool { return w.gate == v.gate && !w.undone }) {
			continue
		}
		if v.at.After(last.at) {
			last = v
		}
	}
	return last
}

// since is when the person came in, zero when they are not inside.
func (p *person) since() (t time.Time) {
	if v := p.last(); v.direction == entry.In {
		t = v.at
	}
	return t
}

// names are the sums by which a person may be known.
type names struct {
	process []sum // a key of the person each
	tags    []sum // a key of the person and a key of the day each
	first   int   // how many of tags are of the person's first key; they come first
}

func (p *people) names(keys []string, today dayKeys) (n names) {
	for _, k := range keys {
		n.process = append(n.process, mac(p.key, "gatepost/inside/1", k))
	}
	for i, k := range keys {
		n.tags = append(n.tags, today.tags(k)...)
		if i == 0 {
			n.first = len(n.tags)
		}
	}
	return n
}

// own returns the sum that no namesake shares: of several keys the first. A single key may be all that a
// declaration says of its person, and is not enough to tell two people apart.
func (n names) own() (o sum) {
	if len(n.process) > 1 {
		o = n.process[0]
	}
	return o
}

// tagged returns who bears the tag, nil for nobody.
func (p *people) tagged(tag sum) *person {
	if who := p.tags[tag]; who != nil {
		return who.real()
	}
	return p.old[tag].real()
}

func (p *person) real() *person {
	for p != nil && p.same != nil {
		p = p.same
	}
	return p
}

// find returns who bears one of the names and is no namesake: somebody else whose own sum differs. More than the first
// are those whom a tag of the strongest key names: gates that did not know each other's key tell of one person as of two.
func (p *people) find(n names) (found []*person) {
	own := n.own()
	fits := func(who *person) bool {
		return who != nil && (who.own == own || who.own == sum{} || own == sum{}) && !slices.Contains(found, who)
	}
	for _, s := range n.process {
		if who := p.by[s].real(); fits(who) {
			found = append(found, who)
			break
		}
	}
	for i, t := range n.tags {
		if who := p.tagged(t); (i < n.first || len(found) == 0) && fits(who) {
			found = append(found, who)
		}
	}
	return found
}

// past returns the last passage of whoever bears one of the names.
func (p *people) past(n names) (last visit) {
	var one person
	for _, who := range p.find(n) {
		for _, v := range who.visits {
			one.add(v)
		}
	}
	return one.last()
}

// pass notes a passage of whoever bears one of the names.
func (p *people) pass(n names, v visit) {
	found := p.find(n)
	if len(found) == 0 {
		p.makeRoom(v.at)
		found = []*person{{}}
		p.all[found[0]] = struct{}{}
	}
	who := found[0]
	for _, other := range found[1:] {
		p.join(who, other)
	}
	if o := n.own(); o != (sum{}) {
		who.own = o
	}
	for _, s := range n.process {
		if p.by[s] == nil {
			p.by[s] = who
		}
	}
	for _, t := range n.tags {
		if p.tagged(t) == nil {
			p.tags[t] = who
		}
	}
	who.add(v)
}

// join makes one person of two.
func (p *people) join(who, other *person) {
	for _, v := range other.visits {
		who.add(v)
	}
	if who.own == (sum{}) {
		who.own = other.own
	}
	other.same, other.visits = who, nil
	delete(p.all, other)
}

// undo takes back a passage of a gate. It looks through everybody, for that is seldom.
func (p *people) undo(gate string, seq uint64) {
	for who := range p.all {
		for i, v := range who.visits {
			if v.gate == gate && v.seq == seq {
				who.visits[i].undone = true
			}
		}
	}
}

func (p *people) inside(now time.Time) (inside, stale int) {
	for who := range p.all {
		since := who.since()
		if since.IsZero() {
			continue
		}
		switch age := now.Sub(since); {
		case age <= staleAfter:
			inside++
		case age <= forgetAfter:
			stale++
		}
	}
	return inside, stale
}

// turnDay drops the tags of the day before yesterday, by which nobody will be named again, and those who are long gone.
func (p *people) turnDay(now time.Time) {
	p.old, p.tags = p.tags, map[sum]*person{}
	maps.DeleteFunc(p.all, func(who *person, _ struct{}) bool {
		return !slices.ContainsFunc(who.visits, func(v visit) bool { return now.Sub(v.at) <= forgetAfter })
	})
	p.sweep()
}

// makeRoom keeps the number of names bounded: those who went out go first, then those who never left.
func (p *people) makeRoom(now time.Time) {
	if len(p.by)+len(p.tags)+len(p.old) < maxNames {
		return
	}
	room := len(p.all) * 9 / 10
	for _, gone := range []func(*person) bool{
		func(w *person) bool { return w.since().IsZero() },
		func(w *person) bool { return now.Sub(w.since()) > staleAfter },
		func(*person) bool { return true },
	} {
		for who := range p.all {
			if len(p.all) > room && gone(who) {
				delete(p.all, who)
			}
		}
	}
	p.sweep()
}

// sweep drops the names of those who are gone.
func (p *people) sweep() {
	for _, m := range []map[sum]*person{p.by, p.tags, p.old} {
		maps.DeleteFunc(m, func(_ sum, who *person) bool { _, here := p.all[who.real()]; return !here })
	}
}
