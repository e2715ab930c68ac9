package memory

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"gatepost/storage/entry"
)

// A gate is a memory with what its journal would hold, and how far it has read those of the others.
type gate struct {
	*Memory
	id   string
	log  []told
	read map[*gate]int
}

// told is one entry that other gates read: a passage, or an undo of one.
type told struct {
	Passage
	undoes uint64
}

// A venue is some gates, the same as one gate that sees everything at once, and the links between them.
type venue struct {
	t     *testing.T
	r     *rand.Rand
	now   time.Time
	one   *Memory
	gates []*gate
	down  map[[2]*gate]bool
	seq   uint64
}

func newVenue(t *testing.T, seed uint64, gates int) *venue {
	v := &venue{t: t, r: rand.New(rand.NewPCG(seed, 1)), now: noon.Add(-4 * time.Hour), down: map[[2]*gate]bool{}}
	v.one = open(t, t.TempDir(), v.now)
	for i := range gates {
		v.now = v.now.Add(time.Duration(v.r.IntN(90)) * time.Second) // they are switched on one after the other
		v.gates = append(v.gates, &gate{open(t, t.TempDir(), v.now), fmt.Sprint("gate-", i), nil, map[*gate]int{}})
	}
	return v
}

func keysOf(person int) []string {
	return []string{fmt.Sprint("id:", person), fmt.Sprint("tail:", person)}
}

// learn lets g ask from for some of what it lacks, or for all of it.
func (v *venue) learn(g, from *gate, all bool) {
	for more := true; more; more = more && all {
		s, err := from.Share(g.Have(v.now), v.now)
		if err != nil {
			v.t.Fatal(err)
		}
		if more, err = g.Take(s, v.now); err != nil {
			v.t.Fatal(err)
		}
		if v.r.IntN(4) == 0 { // an answer that comes twice
			if news, err := g.Take(s, v.now); err != nil || news {
				v.t.Fatalf("the same again is news (%v), %v", news, err)
			}
		}
	}
	n := len(from.log) - g.read[from]
	if !all && n > 0 {
		n = v.r.IntN(n + 1)
	}
	for _, e := range from.log[g.read[from]:][:n] {
		g.hear(e)
	}
	g.read[from] += n
	if back := min(n, 3); v.r.IntN(4) == 0 { // a page that broke off is read again from its beginning
		for _, e := range from.log[g.read[from]-back : g.read[from]] {
			g.hear(e)
		}
	}
}

func (g *gate) hear(e told) {
	if e.undoes > 0 {
		g.Undo(e.Gate, e.undoes)
		return
	}
	g.Replay(e.Passage)
}

// meet lets every gate learn all from every other.
func (v *venue) meet() {
	for range v.gates { // what the last one tells, the first has asked for already
		for _, a := range v.gates {
			for _, b := range v.gates {
				if a != b {
					v.learn(a, b, true)
				}
			}
		}
	}
}

// step lets one thing happen, at one of the gates and at the one that sees everything.
func (v *venue) step() {
	v.now = v.now.Add(time.Duration(1+v.r.IntN(5*60_000)) * time.Millisecond)
	g, keys := v.gates[v.r.IntN(len(v.gates))], keysOf(v.r.IntN(6))
	until := v.now.Add(time.Duration(1+v.r.IntN(48)) * time.Hour)
	switch v.r.IntN(10) {
	case 0:
		v.must(g.Declare(keys[:1], form, until, v.now))
		v.must(v.one.Declare(keys[:1], form, until, v.now))
	case 1:
		v.must(g.Forget(keys, v.now.Add(48*time.Hour), v.now))
		v.must(v.one.Forget(keys, v.now.Add(48*time.Hour), v.now))
	case 2:
		v.undo(g)
	case 3, 4, 5:
		v.pass(g, keys)
	case 6:
		i, j := v.r.IntN(len(v.gates)), v.r.IntN(len(v.gates))
		v.down[[2]*gate{v.gates[i], v.gates[j]}] = v.r.IntN(3) > 0 // a link may work one way alone
	default:
		if from := v.gates[v.r.IntN(len(v.gates))]; from != g && !v.down[[2]*gate{g, from}] {
			v.learn(g, from, v.r.IntN(2) == 0)
		}
	}
}

func (v *venue) must(err error) {
	v.t.Helper()
	if err != nil {
		v.t.Fatal(err)
	}
}

func (v *venue) pass(g *gate, keys []string) {
	v.seq++ // of any gate, for the one that sees everything
	p := Passage{g.id, v.seq, g.Tag(keys, v.now), entry.In, v.now}
	if v.r.IntN(2) == 0 {
		p.Direction = entry.Out
	}
	g.Pass(keys, p)
	g.log = append(g.log, told{p, 0})
	p.Gate, p.Tag = "all", v.one.Tag(keys, v.now)
	v.one.Pass(keys, p)
}

// undo takes back one of the gate's last passages.
func (v *venue) undo(g *gate) {
	back := 1 + v.r.IntN(2)
	if len(g.log) < back || g.log[len(g.log)-back].undoes > 0 || g.Date(g.log[len(g.log)-back].At) != g.Date(v.now) {
		return
	}
	seq := g.log[len(g.log)-back].Seq
	g.Undo(g.id, seq)
	g.log = append(g.log, told{Passage{Gate: g.id}, seq})
	v.one.Undo("all", seq)
}

// agree checks that every gate says of everybody what the one does that saw everything. Of passages before today it need
// not know; exact tells whether the gates knew each other's keys before anybody passed.
func (v *venue) agree(exact bool) {
	v.t.Helper()
	want, _ := v.one.Inside(v.now)
	for _, g := range v.gates {
		if in, _ := g.Inside(v.now); in < want || exact && in != want {
			v.t.Errorf("%s: %d inside, want %d", g.id, in, want)
		}
		for person := range 6 {
			got, want := g.Past(keysOf(person), v.now), v.one.Past(keysOf(person), v.now)
			if g.Date(want.Last) != g.Date(v.now) {
				got.Last, got.LastDirection, want.Last, want.LastDirection = time.Time{}, 0, time.Time{}, 0
			}
			if !got.Last.Equal(want.Last) || got.LastDirection != want.LastDirection || !got.Until.Equal(want.Until) || got.Form != want.Form || !got.Refused.Equal(want.Refused) {
				v.t.Errorf("%s of person %d: %+v, want %+v", g.id, person, got, want)
			}
		}
		if l := g.Losses(); len(l) > 0 {
			v.t.Errorf("%s: %q", g.id, l)
		}
	}
}

// restart closes a gate and opens it again: it reads its own journal, and those of the others from the beginning.
func (v *venue) restart(g *gate) {
	g.Memory = again(v.t, g.Memory, v.now)
	for _, e := range g.log {
		g.hear(e)
	}
	clear(g.read)
}

func TestGatesThatMeetAgree(t *testing.T) {
	for seed := range uint64(24) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			v := newVenue(t, seed, 2+int(seed%2))
			met := seed%3 > 0
			if met {
				v.meet()
			}
			for range 80 {
				v.step()
				if v.r.IntN(20) == 0 {
					v.restart(v.gates[v.r.IntN(len(v.gates))])
				}
				if v.now.Hour() >= 23 {
					break
				}
			}
			v.meet()
			v.agree(met)
		})
	}
}

// Over midnights, with links that fail: what was declared stands or not at every gate alike, and every gate knows today's
// passages of the others.
func TestGatesAgreeOverMidnight(t *testing.T) {
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			v := newVenue(t, seed, 3)
			for range 6 {
				for range 20 {
					v.step()
				}
				v.now = v.now.Add(time.Duration(v.r.IntN(10)) * time.Hour)
				v.meet()
				v.agree(false)
			}
		})
	}
}

// The whole venue writes tags under one key as soon as the gates have met, and the first of them need not change.
func TestVenueWritesOneTag(t *testing.T) {
	v := newVenue(t, 1, 3)
	first := v.gates[0].Tag(card, v.now)
	v.meet()
	for _, g := range v.gates {
		if tag := g.Tag(card, v.now); !slices.Equal(tag, first) {
			t.Errorf("%s writes %x, want %x", g.id, tag, first)
		}
		g.Memory = again(t, g.Memory, v.now)
		if tag := g.Tag(card, v.now); !slices.Equal(tag, first) {
			t.Errorf("%s writes %x after a restart, want %x", g.id, tag, first)
		}
	}
}

// Whose key file was lost gets the day's keys back from the others, and knows its own passages of today again.
func TestLostKeyComesBack(t *testing.T) {
	v := newVenue(t, 2, 2)
	v.meet()
	g := v.gates[0]
	v.pass(g, card)
	v.meet()
	tag := g.Tag(card, v.now)
	g.destroy(g.path("day", g.today.date, "key"))
	v.restart(g)
	if slices.Equal(g.Tag(card, v.now), tag) {
		t.Fatal("the key was not lost")
	}
	v.meet()
	if !slices.Equal(g.Tag(card, v.now), tag) || g.Past(card, v.now).Last.IsZero() {
		t.Error("the key did not come back")
	}
}

// Every gate destroys every key of a day when that ends, and those of declarations with the last of them.
func TestKeysOfOthersGo(t *testing.T) {
	v := newVenue(t, 3, 2)
	g := v.gates[1]
	declare(t, v.gates[0].Memory, card, v.now.Add(30*time.Hour), v.now)
	v.meet()
	day := g.today.date
	if got := len(files(t, g.Memory)); got != 3 {
		t.Fatalf("files %q", files(t, g.Memory))
	}
	v.now = v.now.AddDate(0, 0, 1)
	g.Tag(card, v.now)
	if got := files(t, g.Memory); slices.Contains(got, "day-"+day+".key") || len(got) != 3 {
		t.Errorf("files %q", got)
	}
	g = &gate{again(t, g.Memory, v.now), g.id, nil, map[*gate]int{}}
	if p := g.Past(card, v.now); p.Form != form {
		t.Errorf("what was declared at the other gate: %+v", p)
	}
	v.now = v.now.AddDate(0, 0, 1)
	if p := g.Past(card, v.now); p != (Past{}) || len(files(t, g.Memory)) != 1 {
		t.Errorf("%+v, files %q", p, files(t, g.Memory))
	}
}

// What a gate shares says of no key or day that the other one could not have, and nothing breaks on what does not fit.
func TestTakeRefuses(t *testing.T) {
	v := newVenue(t, 4, 2)
	a, b := v.gates[0], v.gates[1]
	declare(t, a.Memory, card, v.now.Add(time.Hour), v.now)
	good, err := a.Share(b.Have(v.now), v.now)
	if err != nil || len(good.Days) != 1 || len(good.Keys) != 1 {
		t.Fatalf("%+v, %v", good, err)
	}
	part := good.Days[0]
	for name, s := range map[string]Share{
		"a short key of the day": {Day: good.Day, Keys: [][]byte{good.Keys[0][1:]}},
		"a key of another day":   {Day: "2026-11-22", Keys: good.Keys},
		"a key of zeros":         {Day: good.Day, Keys: [][]byte{make([]byte, dayKeySize)}},
		"a time and zeros":       {Day: good.Day, Keys: [][]byte{append(slices.Clone(good.Keys[0][:8]), make([]byte, keySize)...)}},
		"records under zeros":    {Days: []Part{{part.Date, make([]byte, keySize), part.Until, 0, part.Records}}},
		"a short key":            {Days: []Part{{part.Date, part.Key[1:], part.Until, 0, part.Records}}},
		"half a record":          {Days: []Part{{part.Date, part.Key, part.Until, 0, part.Records[1:]}}},
		"a hole":                 {Days: []Part{{part.Date, part.Key, part.Until, 1, part.Records}}},
		"a place below all":      {Days: []Part{{part.Date, part.Key, part.Until, -1, part.Records}}},
		"a date that is none":    {Days: []Part{{"../../x", part.Key, part.Until, 0, part.Records}}},
		"an old day":             {Days: []Part{{"2026-11-01", part.Key, part.Until, 0, part.Records}}},
		"a day of next year":     {Days: []Part{{"2027-11-01", part.Key, part.Until, 0, part.Records}}},
		"what has ended":         {Days: []Part{{"2026-11-22", part.Key, v.now.UnixMilli(), 0, part.Records}}},
	} {
		if news, _ := b.Take(s, v.now); news || len(files(t, b.Memory)) != 1 {
			t.Errorf("%s was taken in: %q", name, files(t, b.Memory))
		}
	}
	noise := part
	noise.Records = slices.Concat(make([]byte, recordSize), part.Records)
	if news, err := b.Take(Share{Days: []Part{noise}}, v.now); !news || err != nil || b.Past(card, v.now).Form != form {
		t.Errorf("a damaged record takes the good one with it: %v, %v", news, err)
	}
	for range 2 * maxDayKeys {
		good.Keys[0][8]++
		b.Take(good, v.now)
	}
	if n := len(b.today.all); n != maxDayKeys {
		t.Errorf("%d keys of a day", n)
	}
	for range 20 { // a gate that invents days
		flood := Share{}
		for range 2 * maxParts {
			p := part
			p.Key = slices.Clone(part.Key)
			for i := range p.Key {
				p.Key[i] = byte(v.r.Uint32())
			}
			flood.Days = append(flood.Days, p)
		}
		_, err = b.Take(flood, v.now)
	}
	if n := b.copies(); n != maxCopies || err == nil {
		t.Errorf("%d copies, %v", n, err)
	}
	v.must(a.Close())
	if _, err := a.Share(b.Have(v.now), v.now); err == nil {
		t.Error("a closed memory shares")
	}
}

// Records of other gates make room for newer ones, never the other way round.
func TestCopiesAreBounded(t *testing.T) {
	v := newVenue(t, 5, 2)
	a, b := v.gates[0], v.gates[1]
	declare(t, b.Memory, other, v.now.Add(72*time.Hour), v.now)
	b.days[0].records = MaxRecords // as good as
	v.now = v.now.AddDate(0, 0, 1)
	declare(t, a.Memory, card, v.now.Add(72*time.Hour), v.now)
	v.learn(b, a, true)
	if b.Past(card, v.now).Form != form || b.Past(other, v.now).Form != "" {
		t.Error("an older day did not make room")
	}
	b.Losses()
	b.days[0].records = MaxRecords
	declare(t, a.Memory, other, v.now.Add(72*time.Hour), v.now)
	s, err := a.Share(Have{}, v.now)
	if err != nil {
		t.Fatal(err)
	}
	if news, _ := b.Take(s, v.now); news {
		t.Error("more than there is room for was taken in")
	}
}

// Of one gate the sequence counts, not its clock, whichever gate looks.
func TestClockOfOneGateStepsBack(t *testing.T) {
	v := newVenue(t, 6, 2)
	a, b := v.gates[0], v.gates[1]
	v.meet()
	for seq, p := range []Passage{
		{Direction: entry.In, At: v.now.Add(time.Hour)}, // by a clock that was ahead
		{Direction: entry.Out, At: v.now.Add(time.Minute)},
	} {
		p.Gate, p.Seq, p.Tag = a.id, uint64(seq+1), a.Tag(card, p.At)
		a.Pass(card, p)
		b.Replay(p)
	}
	for _, g := range v.gates {
		in, _ := g.Inside(v.now.Add(2 * time.Minute))
		if p := g.Past(card, v.now.Add(2*time.Minute)); p.LastDirection != entry.Out || in != 0 {
			t.Errorf("%s: %+v, %d inside", g.id, p, in)
		}
	}
}

// Clocks differ a little: around midnight the other gate's passage may be of the day before or after, and counts.
func TestMidnightBetweenGates(t *testing.T) {
	midnight := time.Date(2026, 11, 24, 0, 0, 0, 0, hanoi)
	v := newVenue(t, 7, 2)
	a, b := v.gates[0], v.gates[1]
	v.meet()
	before := Passage{"gate-0", 1, a.Tag(card, midnight.Add(-time.Second)), entry.In, midnight.Add(-time.Second)}
	after := Passage{"gate-0", 2, a.Tag(other, midnight), entry.In, midnight}
	b.Replay(after) // b's clock has not come to midnight
	v.now = midnight.Add(time.Second)
	b.Tag(card, v.now)
	b.Replay(before) // nor did this reach b before its midnight
	if in, _ := b.Inside(v.now); in != 2 {
		t.Errorf("%d inside, want 2", in)
	}
	v.learn(b, a, true)
	if p := b.Past(other, v.now); p.LastDirection != entry.In {
		t.Errorf("the passage of the new day: %+v", p)
	}
	b.Replay(Passage{"gate-0", 3, before.Tag, entry.Out, before.At}) // yesterday's tag is still known
	if in, _ := b.Inside(v.now); in != 1 {
		t.Errorf("%d inside, want 1", in)
	}
	b.Replay(Passage{"gate-0", 4, before.Tag, entry.In, midnight.AddDate(0, 0, -2)})
	if in, _ := b.Inside(v.now); in != 1 {
		t.Errorf("%d inside: an older day counts", in)
	}
}

// A refusal by a clock that is days ahead does not make what is declared later worthless; one of a few minutes does.
func TestRefusalFromTheFuture(t *testing.T) {
	for ahead, want := range map[time.Duration]string{72 * time.Hour: form, 10 * time.Minute: ""} {
		v := newVenue(t, 8, 2)
		a, b := v.gates[0], v.gates[1]
		v.must(a.Forget(card, v.now.Add(ahead+time.Hour), v.now.Add(ahead)))
		b.days = nil
		v.learn(b, &gate{Memory: a.Memory, id: a.id}, true)
		declare(t, b.Memory, card[:1], v.now.Add(time.Hour), v.now.Add(time.Minute))
		if p := b.Past(card, v.now.Add(2*time.Minute)); p.Form != want {
			t.Errorf("%v ahead: %+v, want %q", ahead, p, want)
		}
	}
}

// What a gate itself declared under a clock that was ahead is taken back, too, and an undone passage that is read again
// stays undone.
func TestTakenBackStays(t *testing.T) {
	v := newVenue(t, 9, 2)
	a, b := v.gates[0], v.gates[1]
	ahead := time.Date(2026, 11, 24, 0, 30, 0, 0, hanoi)
	declare(t, a.Memory, card, ahead.Add(5*time.Hour), ahead)
	v.now = ahead.Add(-time.Hour) // the evening before
	v.must(a.Forget(card, v.now.Add(time.Hour), v.now))
	v.learn(b, a, true)
	for _, g := range v.gates {
		if p := g.Past(card, v.now.Add(time.Minute)); p.Form != "" {
			t.Errorf("%s: %+v", g.id, p)
		}
	}
	p := Passage{a.id, 1, a.Tag(card, v.now), entry.In, v.now}
	b.Replay(p)
	b.Undo(a.id, 1)
	b.Replay(p)
	if in, _ := b.Inside(v.now); in != 0 {
		t.Errorf("%d inside", in)
	}
}
