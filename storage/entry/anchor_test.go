package entry_test

import (
	"testing"
	"time"

	"gatepost/storage/entry"
)

func TestAnchor(t *testing.T) {
	noon := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	stamp := func(boot uint32, wall time.Time, mono time.Duration, trust entry.Trust) entry.Entry {
		return entry.Entry{Boot: boot, Stamp: entry.Stamp{Wall: wall, Mono: mono, Trust: trust}}
	}
	told, ok := entry.AnchorOf(stamp(3, noon, 5*time.Minute, entry.TrustNetwork))
	if !ok {
		t.Fatal("a trusted time is no anchor")
	}
	if _, ok := entry.AnchorOf(stamp(3, noon, time.Minute, entry.TrustSeen)); ok {
		t.Error("a time that is not trusted is an anchor")
	}
	lost := time.UnixMilli(0).UTC()
	for _, c := range []struct {
		name   string
		anchor entry.Anchor
		e      entry.Entry
		wall   time.Time
		sure   bool
	}{
		{"before the clock was set", told, stamp(3, lost, time.Minute, entry.TrustNone), noon.Add(-4 * time.Minute), true},
		{"after it was lost again", told, stamp(3, lost, time.Hour, entry.TrustSeen), noon.Add(55 * time.Minute), true},
		{"trusted itself", told, stamp(3, noon.Add(time.Second), time.Minute, entry.TrustClock), noon.Add(time.Second), true},
		{"another boot", told, stamp(4, lost, time.Minute, entry.TrustNone), lost, false},
		{"no anchor", entry.Anchor{}, stamp(0, lost, time.Minute, entry.TrustNone), lost, false},
	} {
		if wall, sure := c.anchor.Wall(c.e); !wall.Equal(c.wall) || sure != c.sure {
			t.Errorf("%s: %v, %v", c.name, wall, sure)
		}
	}
}
