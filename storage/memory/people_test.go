package memory

import (
	"fmt"
	"testing"
	"time"

	"gatepost/storage/entry"
)

func count(t *testing.T, m *Memory, now time.Time, inside, stale int) {
	t.Helper()
	if in, old := m.Inside(now); in != inside || old != stale {
		t.Errorf("%s: %d inside and %d stale, want %d and %d", now.Format(time.DateTime), in, old, inside, stale)
	}
}

// pass lets a person pass at the gate "here", as its entry seq.
func pass(m *Memory, seq uint64, keys []string, d entry.Direction, at time.Time) {
	m.Pass(keys, Passage{"here", seq, m.Tag(keys, at), d, at})
}

func TestPastKnowsTheLastPassage(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	pass(m, 1, card, entry.In, noon)
	later := noon.Add(time.Minute)
	for i, keys := range [][]string{card, card[:1], card[1:]} {
		if p := m.Past(keys, later); !p.Last.Equal(noon) || p.LastDirection != entry.In {
			t.Errorf("keys %d: %+v", i, p)
		}
	}
	// In with a declaration, which knows the tail alone, out with the card.
	tail := []string{"tail:LÊ THỊ C|1980|0003"}
	pass(m, 2, tail, entry.In, noon)
	whole := append([]string{"id:3"}, tail...)
	if p := m.Past(whole, later); !p.Last.Equal(noon) {
		t.Errorf("by the other code: %+v", p)
	}
	count(t, m, later, 2, 0)
	pass(m, 3, whole, entry.Out, later)
	count(t, m, later, 1, 0)
	if p := m.Past(tail, later); p.LastDirection != entry.Out {
		t.Errorf("by the first code: %+v", p)
	}
}

func TestInsideOverMidnightAndStale(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	evening, morning := noon.Add(10*time.Hour), noon.Add(18*time.Hour)
	pass(m, 4, card, entry.In, noon)
	pass(m, 5, other, entry.In, evening)
	count(t, m, evening, 2, 0)
	count(t, m, morning, 1, 1)
	pass(m, 6, other, entry.Out, morning)
	count(t, m, morning, 0, 1)
	count(t, m, noon.Add(72*time.Hour), 0, 1)
	count(t, m, noon.Add(73*time.Hour), 0, 0)
	pass(m, 7, other, entry.Out, morning.Add(time.Minute)) // out twice
	count(t, m, morning, 0, 1)
}

func TestUndo(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	pass(m, 8, card, entry.In, noon)
	m.Undo("here", 8)
	count(t, m, noon, 0, 0)
	if p := m.Past(card, noon); !p.Last.IsZero() {
		t.Errorf("an annulled passage is remembered: %+v", p)
	}
	pass(m, 9, card, entry.In, noon)
	pass(m, 10, card, entry.Out, noon.Add(time.Hour))
	m.Undo("here", 10)
	count(t, m, noon, 1, 0)
	if p := m.Past(card, noon); !p.Last.Equal(noon) || p.LastDirection != entry.In {
		t.Errorf("after an annulled exit: %+v", p)
	}
	m.Undo("there", 9)
	m.Undo("here", 99)
	count(t, m, noon, 1, 0)
}

func TestReplay(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	first, second := m.Tag(card, noon), m.Tag(other, noon)
	now := noon.Add(time.Hour)
	m = again(t, m, now)
	m.Replay(Passage{"here", 1, first, entry.In, noon.Add(-24 * time.Hour)}) // not of today
	count(t, m, now, 0, 0)
	m.Replay(Passage{"here", 2, first, entry.In, noon})
	m.Replay(Passage{"here", 3, second, entry.In, noon})
	m.Replay(Passage{"here", 4, second, entry.Out, noon.Add(time.Minute)})
	m.Replay(Passage{"here", 5, []byte("short"), entry.In, noon})
	count(t, m, now, 1, 0)
	if p := m.Past(card, now); !p.Last.Equal(noon) || p.LastDirection != entry.In {
		t.Errorf("after a restart: %+v", p)
	}
	pass(m, 20, card, entry.In, now) // known again by the keys: still one person
	count(t, m, now, 1, 0)
	next := noon.Add(13 * time.Hour)
	m.Tag(card, next) // midnight
	pass(m, 21, card, entry.Out, next)
	count(t, m, next, 0, 0)
}

func TestPeopleAreBounded(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	for i := range maxNames/2 + maxNames/10 {
		keys := []string{fmt.Sprint(i)}
		n := m.people.names(keys, m.today)
		m.people.pass(n, visit{"here", 1, noon, entry.In, false})
		if i%4 == 0 {
			m.people.pass(n, visit{"here", 2, noon, entry.Out, false})
		}
	}
	if n := len(m.people.by) + len(m.people.tags) + len(m.people.old); n > maxNames+2 {
		t.Errorf("%d names", n)
	}
	if in, _ := m.Inside(noon); in < maxNames/2*3/4 {
		t.Errorf("%d inside: those who are inside must go last", in)
	}
}
