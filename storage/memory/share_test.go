package memory

import (
	"testing"
	"time"
)

// take lets m take what another gate shares.
func take(t *testing.T, m, from *Memory, now time.Time) {
	t.Helper()
	s, err := from.Share(m.Have(now), now)
	if err != nil {
		t.Fatal(err)
	}
	if news, err := m.Take(s, now); !news || err != nil {
		t.Fatal(news, err)
	}
}

// An old day with more records than one share holds keeps nobody from today's.
func TestNewestIsSharedFirst(t *testing.T) {
	a, later := open(t, t.TempDir(), noon), noon.AddDate(0, 0, 1)
	declare(t, a, card, noon.Add(72*time.Hour), noon)
	old := a.days[0]
	old.records = maxShare + 1 // all but the first are damaged
	if err := old.log.Truncate(int64(old.records) * recordSize); err != nil {
		t.Fatal(err)
	}
	declare(t, a, other, noon.Add(72*time.Hour), later)
	b := open(t, t.TempDir(), later)
	take(t, b, a, later)
	if b.Past(other, later).Form != form || b.Past(card, later).Form != form {
		t.Error("the newest day did not come, or the old one's beginning did not")
	}
}

// Copied days that end together are destroyed one a tick, own ones at once; meanwhile nobody is remembered by them.
func TestCopiesEndOneByOne(t *testing.T) {
	b, end := open(t, t.TempDir(), noon), noon.Add(30*time.Hour)
	for range 3 {
		a := open(t, t.TempDir(), noon)
		declare(t, a, card, end, noon)
		take(t, b, a, noon)
	}
	declare(t, b, card, end, noon)
	if p := b.Past(card, end.Add(-time.Second)); p.Form != form || len(b.days) != 4 {
		t.Fatalf("%+v, %d days", p, len(b.days))
	}
	for left := 2; left >= 0; left-- {
		if p := b.Past(card, end); p.Form != "" || b.copies() != left || len(b.days) != left {
			t.Errorf("%+v, %d days, of which %d copied; want %d copied ones", p, len(b.days), b.copies(), left)
		}
	}
}
