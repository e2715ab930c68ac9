package hub

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

func TestForkIsAnAlarmOnce(t *testing.T) {
	dir := t.TempDir()
	h := open(t, dir)
	var out bytes.Buffer
	h.opt.Log = slog.New(slog.NewTextHandler(&out, nil))
	a := seeded(1)
	ours, theirs := chain(t, entry.Head{}, 2, "ours"), chain(t, entry.Head{}, 2, "theirs")
	post(t, h, bytes.NewReader(batch(t, a, ours)))
	for range 3 {
		post(t, h, bytes.NewReader(batch(t, a, theirs)))
	}
	want := wire.Alarm{Device: id(a), Seq: 2, Ours: entry.HashOf(ours[1]).String(), Theirs: entry.HashOf(theirs[1]).String()}
	got := records(t, h)
	if len(got) != 2 || got[1].Alarm == nil || *got[1].Alarm != want || got[1].Raw != nil {
		t.Fatalf("log holds %+v, want a batch and the alarm %+v", got, want)
	}
	if !strings.Contains(out.String(), "level=ERROR") {
		t.Errorf("nothing logged at Error: %s", &out)
	}
	h.Close()
	h = open(t, dir)
	if post(t, h, bytes.NewReader(batch(t, a, theirs))); len(records(t, h)) != 2 {
		t.Error("the alarm was stored again after a restart")
	}
	// The chain goes on for the device whose entries the hub holds.
	more := chain(t, entry.Head{Seq: 2, Hash: entry.HashOf(ours[1])}, 1, "ours")
	if code, _, p := post(t, h, bytes.NewReader(batch(t, a, more))); code != 200 {
		t.Error(p)
	}
}

// A device that another one has replaced and that is still in use is told from a cloned card; both are alarms.
func TestReplaced(t *testing.T) {
	h := open(t, t.TempDir())
	a := seeded(1)
	replaced := ""
	h.opt.Replaced = func(device string) bool { return device == replaced }
	post(t, h, bytes.NewReader(batch(t, a, chain(t, entry.Head{}, 2, "ours"))))
	theirs := batch(t, a, chain(t, entry.Head{}, 2, "theirs"))
	for _, replaced = range []string{id(seeded(2)), id(a), id(a)} {
		if code, _, p := post(t, h, bytes.NewReader(theirs)); code != 409 || p.Type != wire.ProblemFork {
			t.Error(code, p)
		}
	}
	got := records(t, h)
	if len(got) != 3 || got[1].Alarm == nil || got[2].Alarm == nil {
		t.Fatalf("%+v", got)
	}
	if a, b := got[1].Alarm.Kind, got[2].Alarm.Kind; a != "" || b != wire.AlarmReplaced {
		t.Errorf("alarms of the kinds %q and %q", a, b)
	}
}
