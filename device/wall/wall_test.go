package wall

import (
	"testing"
	"time"

	"gatepost/storage/entry"
)

func TestTrust(t *testing.T) {
	start := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	now, synced := start, false
	c := New(Options{Now: func() time.Time { return now }, Synced: func() bool { return synced }, Seen: start.Add(-time.Hour)})
	steps := []struct {
		what   string
		at     time.Time
		synced bool
		want   entry.Trust
	}{
		{"not before the last entry, no more is known", start, false, entry.TrustSeen},
		{"synchronised", start.Add(time.Second), true, entry.TrustClock},
		{"corrected a little", start.Add(-time.Minute), true, entry.TrustClock},
		{"set back a year", start.AddDate(-1, 0, 0), true, entry.TrustNone},
		{"set right again", start.Add(time.Minute), true, entry.TrustClock},
	}
	for _, s := range steps {
		now, synced = s.at, s.synced
		if got := c.Stamp(); got.Trust != s.want || !got.Wall.Equal(s.at) {
			t.Errorf("%s: trust %v at %v, want %v at %v", s.what, got.Trust, got.Wall, s.want, s.at)
		}
	}
}

func TestMonoGoesOn(t *testing.T) {
	c := New(Options{})
	a := c.Stamp()
	if b := c.Stamp(); a.Mono < 0 || b.Mono < a.Mono {
		t.Errorf("mono %v, then %v", a.Mono, b.Mono)
	}
}
