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

// A board is a machine whose clock can be set while the time goes on.
type board struct {
	wall   time.Time
	mono   time.Duration
	synced bool
}

func (b *board) pass(d time.Duration) { b.wall, b.mono = b.wall.Add(d), b.mono+d }

func (b *board) clock(seen time.Time) *Clock {
	return New(Options{
		Now: func() time.Time { return b.wall }, Elapsed: func() time.Duration { return b.mono },
		Synced: func() bool { return b.synced }, Seen: seen,
	})
}

var (
	never = time.Date(1970, 1, 1, 0, 1, 0, 0, time.UTC) // what a board without a battery wakes up with
	noon  = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
)

// A kiosk whose clock was never set dates its entries by the hub's time, and the anchor dates the earlier ones.
func TestHubDatesAKioskWithoutAClock(t *testing.T) {
	b := &board{wall: never, mono: 77 * time.Second}
	c := b.clock(noon.Add(-24 * time.Hour))
	b.pass(5 * time.Minute)
	first := c.Stamp()
	if first.Trust != entry.TrustNone || first.Mono != 5*time.Minute {
		t.Errorf("before: %+v", first)
	}
	if err := c.Tell(noon, 2*time.Second); err != nil {
		t.Fatal(err)
	}
	b.pass(time.Minute)
	later := c.Stamp()
	want := entry.Stamp{Wall: noon.Add(time.Minute + time.Second), Mono: 6 * time.Minute, Trust: entry.TrustNetwork}
	if later != want {
		t.Errorf("after: %+v, want %+v", later, want)
	}
	if c.Seen() != later.Wall {
		t.Errorf("seen %v", c.Seen())
	}
	anchor, ok := entry.AnchorOf(entry.Entry{Boot: 3, Stamp: later})
	if at, sure := anchor.Wall(entry.Entry{Boot: 3, Stamp: first}); !ok || !sure || !at.Equal(noon.Add(time.Second)) {
		t.Errorf("the first entry was made at %v, %v", at, sure)
	}
}

func TestWhichTimeWins(t *testing.T) {
	for what, c := range map[string]struct {
		system time.Duration // after the hub's time
		synced bool
		seen   time.Duration // the same
		want   time.Duration
		trust  entry.Trust
	}{
		"the system is synchronised and agrees":           {time.Minute, true, -time.Hour, time.Minute, entry.TrustClock},
		"the system is synchronised and far ahead":        {time.Hour, true, -time.Hour, 0, entry.TrustNetwork},
		"the system is synchronised and far behind":       {-time.Minute * 3, true, -time.Hour, 0, entry.TrustNetwork},
		"the system is synchronised, before what was":     {-time.Hour, true, -time.Minute, 0, entry.TrustNetwork},
		"the system is right, and nobody knows":           {0, false, -time.Hour, 0, entry.TrustNetwork},
		"the system is far ahead, and nobody says better": {time.Hour, false, -time.Hour, 0, entry.TrustNetwork},
	} {
		b := &board{wall: noon.Add(c.system), synced: c.synced}
		clock := b.clock(noon.Add(c.seen))
		if err := clock.Tell(noon, 0); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s := clock.Stamp(); !s.Wall.Equal(noon.Add(c.want)) || s.Trust != c.trust {
			t.Errorf("%s: %v, %v", what, s.Wall, s.Trust)
		}
	}
}

// Whoever sets the system's clock moves neither Mono nor a time that the hub told.
func TestStepOfTheSystemsClock(t *testing.T) {
	b := &board{wall: never}
	c := b.clock(noon.AddDate(-1, 0, 0))
	if err := c.Tell(noon, 0); err != nil {
		t.Fatal(err)
	}
	for i, step := range []time.Duration{0, 50 * 365 * 24 * time.Hour, -90 * 365 * 24 * time.Hour} {
		b.wall = b.wall.Add(step)
		b.pass(time.Second)
		passed := time.Duration(i+1) * time.Second
		if s := c.Stamp(); s.Mono != passed || !s.Wall.Equal(noon.Add(passed)) || s.Trust != entry.TrustNetwork {
			t.Errorf("after a step of %v: %+v", step, s)
		}
	}
	b.mono -= time.Minute // no clock does that
	if s := c.Stamp(); s.Mono != 3*time.Second {
		t.Errorf("mono went back to %v", s.Mono)
	}
}

func TestHubCorrectsItself(t *testing.T) {
	b := &board{wall: never}
	c := b.clock(noon.AddDate(-1, 0, 0))
	for _, s := range []struct {
		what     string
		at, trip time.Duration // the hub's time after noon
		taken    bool
		want     time.Duration
	}{
		{"first", 0, 4 * time.Second, true, 2 * time.Second},
		{"within the round trip", -time.Second, 4 * time.Second, true, 2 * time.Second},
		{"ahead", 10 * time.Second, 0, true, 10 * time.Second},
		{"a little behind", -time.Minute, 0, true, -time.Minute},
		{"far behind", -time.Hour, 0, false, -time.Minute},
		{"a round trip too long", time.Hour, maxTrip + 1, false, -time.Minute},
		{"a round trip of less than nothing", time.Hour, -1, false, -time.Minute},
	} {
		if err := c.Tell(noon.Add(s.at), s.trip); (err == nil) != s.taken {
			t.Errorf("%s: %v", s.what, err)
		}
		if got := c.Stamp(); !got.Wall.Equal(noon.Add(s.want)) {
			t.Errorf("%s: %v after noon, want %v", s.what, got.Wall.Sub(noon), s.want)
		}
	}
}

// A hub that has lost its own clock dates nothing: what was seen stays the bound.
func TestHubBehindWhatWasSeen(t *testing.T) {
	b := &board{wall: never}
	c := b.clock(noon)
	if err := c.Tell(noon.Add(-slack-time.Second), 0); err == nil {
		t.Error("an old time was taken")
	}
	if s := c.Stamp(); s.Trust != entry.TrustNone || c.Seen() != noon {
		t.Errorf("%+v, seen %v", s, c.Seen())
	}
}

func TestMonoGoesOn(t *testing.T) {
	c := New(Options{})
	a := c.Stamp()
	if b := c.Stamp(); a.Mono < 0 || b.Mono < a.Mono {
		t.Errorf("mono %v, then %v", a.Mono, b.Mono)
	}
}

// A clock with a battery dates entries until something better does, and never what lies before a time that was trusted.
func TestBatteryDatesAGateWithoutANetwork(t *testing.T) {
	for what, c := range map[string]struct {
		kept time.Time
		want entry.Trust
	}{
		"it went on":        {noon, entry.TrustClock},
		"it was set back":   {noon.AddDate(0, 0, -2), entry.TrustNone},
		"there is none":     {time.Time{}, entry.TrustNone},
		"it runs a year on": {noon.AddDate(1, 0, 0), entry.TrustClock},
	} {
		b := &board{wall: never, mono: time.Minute}
		clock := New(Options{
			Now: func() time.Time { return b.wall }, Elapsed: func() time.Duration { return b.mono },
			Synced: func() bool { return b.synced }, Seen: noon.Add(-time.Hour), Kept: c.kept,
		})
		b.pass(time.Minute)
		s := clock.Stamp()
		if s.Trust != c.want || c.want == entry.TrustClock && !s.Wall.Equal(c.kept.Add(time.Minute)) {
			t.Errorf("%s: %v, trust %v", what, s.Wall, s.Trust)
		}
		if at, ok := clock.Fresh(); ok {
			t.Errorf("%s: the battery's clock is set by its own time, %v", what, at)
		}
		if err := clock.Tell(noon.Add(2*time.Minute), 0); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		if s := clock.Stamp(); s.Trust != entry.TrustNetwork || !s.Wall.Equal(noon.Add(2*time.Minute)) {
			t.Errorf("%s: by the hub %v, trust %v", what, s.Wall, s.Trust)
		}
		if at, ok := clock.Fresh(); !ok || !at.Equal(noon.Add(2*time.Minute)) {
			t.Errorf("%s: fresh is %v, %v", what, at, ok)
		}
	}
}
