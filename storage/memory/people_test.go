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

func TestPastKnowsTheLastPassage(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	m.Pass(card, m.Tag(card, noon), entry.In, noon)
	later := noon.Add(time.Minute)
	for i, keys := range [][]string{card, card[:1], card[1:]} {
		if p := m.Past(keys, later); !p.Last.Equal(noon) || p.LastDirection != entry.In {
			t.Errorf("keys %d: %+v", i, p)
		}
	}
	// In with a declaration, which knows the tail alone, out with the card.
	tail := []string{"tail:LÊ THỊ C|1980|0003"}
	m.Pass(tail, m.Tag(tail, noon), entry.In, noon)
	whole := append([]string{"id:3"}, tail...)
	if p := m.Past(whole, later); !p.Last.Equal(noon) {
		t.Errorf("by the other code: %+v", p)
	}
	count(t, m, later, 2, 0)
	m.Pass(whole, m.Tag(whole, later), entry.Out, later)
	count(t, m, later, 1, 0)
	if p := m.Past(tail, later); p.LastDirection != entry.Out {
		t.Errorf("by the first code: %+v", p)
	}
}

func TestInsideOverMidnightAndStale(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	evening, morning := noon.Add(10*time.Hour), noon.Add(18*time.Hour)
	m.Pass(card, m.Tag(card, noon), entry.In, noon)
	m.Pass(other, m.Tag(other, evening), entry.In, evening)
	count(t, m, evening, 2, 0)
	count(t, m, morning, 1, 1)
	m.Pass(other, m.Tag(other, morning), entry.Out, morning)
	count(t, m, morning, 0, 1)
	count(t, m, noon.Add(72*time.Hour), 0, 1)
	count(t, m, noon.Add(73*time.Hour), 0, 0)
	m.Pass(other, m.Tag(other, morning), entry.Out, morning.Add(time.Minute)) // out twice
	count(t, m, morning, 0, 1)
}

func TestUndo(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	tag := m.Tag(card, noon)
	m.Pass(card, tag, entry.In, noon)
	m.Undo(tag, noon)
	count(t, m, noon, 0, 0)
	if p := m.Past(card, noon); !p.Last.IsZero() {
		t.Errorf("an annulled passage is remembered: %+v", p)
	}
	m.Pass(card, tag, entry.In, noon)
	m.Pass(card, tag, entry.Out, noon.Add(time.Hour))
	m.Undo(tag, noon.Add(time.Hour))
	count(t, m, noon, 1, 0)
	if p := m.Past(card, noon); !p.Last.Equal(noon) || p.LastDirection != entry.In {
		t.Errorf("after an annulled exit: %+v", p)
	}
	m.Undo(m.Tag(other, noon), noon)
	m.Undo(nil, noon)
	count(t, m, noon, 1, 0)
}

func TestReplay(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	first, second := m.Tag(card, noon), m.Tag(other, noon)
	now := noon.Add(time.Hour)
	m = again(t, m, now)
	m.Replay(first, entry.In, noon.Add(-24*time.Hour)) // not of today
	count(t, m, now, 0, 0)
	m.Replay(first, entry.In, noon)
	m.Replay(second, entry.In, noon)
	m.Replay(second, entry.Out, noon.Add(time.Minute))
	m.Replay([]byte("short"), entry.In, noon)
	count(t, m, now, 1, 0)
	if p := m.Past(card, now); !p.Last.Equal(noon) || p.LastDirection != entry.In {
		t.Errorf("after a restart: %+v", p)
	}
	m.Pass(card, first, entry.In, now) // known again by the keys: still one person
	count(t, m, now, 1, 0)
	next := noon.Add(13 * time.Hour)
	m.Tag(card, next) // midnight
	m.Pass(card, m.Tag(card, next), entry.Out, next)
	count(t, m, next, 0, 0)
}

func TestPeopleAreBounded(t *testing.T) {
	m := open(t, t.TempDir(), noon)
	for i := range maxNames/2 + maxNames/10 {
		keys := []string{fmt.Sprint(i)}
		m.people.pass(keys, nil, m.today, entry.In, noon)
		if i%4 == 0 {
			m.people.pass(keys, nil, m.today, entry.Out, noon)
		}
	}
	if n := len(m.people.by); n > maxNames+1 {
		t.Errorf("%d names", n)
	}
	if in, _ := m.Inside(noon); in < maxNames/2*3/4 {
		t.Errorf("%d inside: those who are inside must go last", in)
	}
}
