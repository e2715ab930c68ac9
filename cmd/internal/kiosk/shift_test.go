package kiosk

import (
	"crypto/ed25519"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

var issuerKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("i", 32)))

// badge signs one that counts for a day.
func badge(t *testing.T, change func(*wire.Badge)) string {
	t.Helper()
	b := wire.Badge{Number: "g-017", Role: wire.RoleGuard, Venue: "test", Issued: morning, Expires: morning.Add(24 * time.Hour)}
	if change != nil {
		change(&b)
	}
	text, err := wire.SignBadge(issuerKey, b)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func (b *bench) wear(text string) string {
	b.t.Helper()
	if rest := b.badges(b.t.Context(), b.lane, []string{text}); len(rest) > 0 {
		b.t.Error("a badge is taken for a person's code")
	}
	return b.State().Shown[0].Words.EN
}

func (b *bench) issuer() { b.Issuer = issuerKey.Public().(ed25519.PublicKey) }

// A hand-over keeps what passed in the shift and what is out of order, and a restart forgets neither.
func TestHandOver(t *testing.T) {
	b := newBench(t)
	b.issuer()
	told := 0
	b.Shifts = func() { told++ }
	b.wear(badge(t, nil))
	b.show(b.declare(b.healthy(), morning))
	seq := b.State().Recent[0].Seq
	b.show(cardB) // a look
	if err := b.Do(t.Context(), guard.Action{Undo: &guard.Undo{Seq: seq, Why: "wrong-way"}}); err != nil {
		t.Fatal(err)
	}
	b.setFault("part turnstile", "stuck")
	if got := b.wear(badge(t, nil)); !strings.Contains(got, "already") || told != 1 {
		t.Errorf("the same guard's badge: %q, told %d times", got, told)
	}
	b.restart()
	b.issuer()
	want := guard.Shift{Guard: "g-017", Looked: 1, Undone: 1}
	if got := *b.State().Shift; got.Guard != want.Guard || got.In != 0 || got.Looked != 1 || got.Undone != 1 {
		t.Errorf("after a restart: %+v", got)
	}
	b.setFault("part turnstile", "stuck")
	if got := b.wear(badge(t, func(b *wire.Badge) { b.Number = "g-018" })); got != "g-018's shift; the last: in 0, out 0" {
		t.Errorf("the next guard reads %q", got)
	}
	late := b.declare(b.healthy(), morning)
	b.pass(10 * time.Minute)
	b.show(late)
	seq = b.State().Recent[0].Seq
	b.wear(badge(t, func(b *wire.Badge) { b.Number = "g-017" }))
	if err := b.Do(t.Context(), guard.Action{Undo: &guard.Undo{Seq: seq, Why: "turnstile"}}); err != nil { // it turned out after the hand-over
		t.Fatal(err)
	}
	if s := b.State().Shift; s.In != 0 || s.Undone != 1 {
		t.Errorf("undone of the shift before: %+v", s)
	}
	b.wear(badge(t, func(b *wire.Badge) { b.Number = "g-018" }))
	if s := b.State(); len(s.Recent) != 0 || s.Shift.Guard != "g-018" || s.Shift.Looked != 0 {
		t.Errorf("the new shift: %+v, %d recent", s.Shift, len(s.Recent))
	}
	var kept entry.Shift
	for e, err := range b.Journal.Last(1) {
		if err == nil {
			kept, err = entry.Decode[entry.Shift](e)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if kept.Guard != "g-018" || kept.Before != "g-017" || kept.Looked != 0 || kept.Undone != 1 || len(kept.Defects) == 0 || kept.Defects[0] != "part turnstile" {
		t.Errorf("kept: %+v", kept)
	}
}

func TestBadgesThatDoNotCount(t *testing.T) {
	b := newBench(t)
	if got := b.wear(badge(t, nil)); got != "this badge does not count here" {
		t.Errorf("a gate without an issuer: %q", got)
	}
	b.issuer()
	for want, text := range map[string]string{
		"this badge does not count here": badge(t, nil)[:60],
		"this badge is another venue's":  badge(t, func(b *wire.Badge) { b.Venue = "elsewhere" }),
		"this badge has expired":         badge(t, func(b *wire.Badge) { b.Issued, b.Expires = morning.AddDate(-1, 0, 0), morning.Add(-time.Second) }),
	} {
		if got := b.wear(text); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if s := b.State(); s.Shift.Guard != "" || s.Settings != nil || b.Journal.Head().Seq != 0 {
		t.Errorf("they did something: %+v", s.Shift)
	}
}

// Settings are a supervisor's, for a while, and outlive a restart.
func TestSettings(t *testing.T) {
	b := newBench(t)
	b.issuer()
	b.File = filepath.Join(b.dir, "settings.json")
	quiet := guard.Action{Set: &guard.Settings{Schedule: true}}
	if err := b.Do(t.Context(), quiet); err == nil {
		t.Error("anybody changes the settings")
	}
	b.wear(badge(t, func(b *wire.Badge) { b.Role = wire.RoleSupervisor }))
	if s := b.State(); s.Settings == nil || !s.Settings.Names || s.Shift.Guard != "" {
		t.Fatalf("settings %+v, shift of %q", s.Settings, s.Shift.Guard)
	}
	if err := b.Do(t.Context(), quiet); err != nil {
		t.Fatal(err)
	}
	var heard guard.Shown
	b.Signal = func(s guard.Shown) { heard = s }
	b.show(cardA)
	if heard.Who != "" || !heard.Silent {
		t.Errorf("shown and heard: %+v", heard)
	}
	b.unlocked = time.Now()
	if err := b.Do(t.Context(), quiet); err == nil || b.State().Settings != nil {
		t.Error("the settings stay open")
	}
	if err := b.readSettings(); err != nil || b.settings != *quiet.Set {
		t.Errorf("read again: %+v, %v", b.settings, err)
	}
}
