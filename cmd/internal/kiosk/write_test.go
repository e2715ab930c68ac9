package kiosk

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

// Who has no code is asked as anybody, and recognised by their card later on.
func TestSomebodyWithNoCode(t *testing.T) {
	b := newBench(t)
	b.Policy.Families = append(b.Policy.Families, "paper")
	b.Policy.RollCall = true
	write := guard.Action{Write: &guard.Write{Lane: "gate-1", Name: "Nguyễn Văn A", Birth: "1990", Number: "012345678912", Slip: "k-7"}}
	if err := b.Do(t.Context(), write); err != nil {
		t.Fatal(err)
	}
	b.want("written down", &b.State().Recent[0], entry.Look, entry.ReasonNeedsAnswers)
	q := b.State().Ask
	if q == nil || q.Who != "A 90 …912" {
		t.Fatalf("asked: %+v", q)
	}
	long := guard.Answer{ID: q.ID, Answers: b.healthy(), By: strings.Repeat("x", 200)}
	if err := b.Do(t.Context(), guard.Action{Answer: &long}); err == nil {
		t.Error("an endless name answered")
	}
	if err := b.Do(t.Context(), guard.Action{Answer: &guard.Answer{ID: q.ID, Answers: b.healthy(), By: " Lê  Văn Con "}}); err != nil {
		t.Fatal(err)
	}
	b.want("answered", &b.State().Recent[0], entry.Admit, entry.ReasonAnswered)
	p := b.opened()
	if p.Family != "paper" || p.Slip != "K-7" || p.Declarer != "Lê Văn Con" || p.Verified {
		t.Errorf("sealed: %+v", struct{ entry.Personal }{p})
	}
	if r := b.Roll(); len(r.Inside) != 1 || r.Inside[0].Who != "A 90 …912" || r.Unnamed != 0 {
		t.Errorf("roll: %+v", r)
	}
	b.pass(20 * time.Second)
	b.want("their card, a moment later", b.show(cardA), entry.Look, entry.ReasonDuplicate)
	b.pass(10 * time.Minute)
	b.want("their card", b.show(cardA), entry.Admit, entry.ReasonRemembered)

	// Nobody in particular is let in, too, once they have answered; nothing of them can be remembered.
	for _, w := range []guard.Write{{Lane: "gate-1", Name: "Hòa"}, {Lane: "gate-1", Name: "Hòa"}} {
		if err := b.Do(t.Context(), guard.Action{Write: &w}); err != nil {
			t.Fatal(err)
		}
		if err := b.Do(t.Context(), guard.Action{Answer: &guard.Answer{ID: b.State().Ask.ID, Answers: b.healthy()}}); err != nil {
			t.Fatal(err)
		}
		b.want("a name alone", &b.State().Recent[0], entry.Admit, entry.ReasonAnswered)
	}
	for _, w := range []guard.Write{{Lane: "gate-1"}, {Lane: "gate-9", Name: "A"}, {Lane: "gate-1", Number: "12"}} {
		if err := b.Do(t.Context(), guard.Action{Write: &w}); err == nil {
			t.Errorf("%+v was taken", w)
		}
	}
}

// opened returns what the last entry keeps of a person.
func (b *bench) opened() (p entry.Personal) {
	b.t.Helper()
	for e, err := range b.Journal.Last(1) {
		if err != nil {
			b.t.Fatal(err)
		}
		body, err := entry.Decode[entry.Passage](e)
		if err != nil {
			b.t.Fatal(err)
		}
		if p, err = entry.Unseal(b.authority, body.Sealed); err != nil {
			b.t.Fatal(err)
		}
	}
	return p
}

// The roll tells of those who are inside now: who went out, or never came in, is not on it. After a restart it knows the
// number and no names.
func TestRoll(t *testing.T) {
	b := newBench(t)
	b.Policy = admission.Policy{Unprovable: "admit"}
	b.show(cardB)
	if r := b.Roll(); len(r.Inside) != 0 || r.Unnamed != 1 {
		t.Errorf("a policy without a roll: %+v", r)
	}
	b.Policy.RollCall = true
	b.show(cardA)
	seq := b.State().Recent[0].Seq
	if r := b.Roll(); len(r.Inside) != 1 || r.Inside[0].Who != "A 90 …912" || r.Inside[0].Lane != "gate-1" || r.Unnamed != 1 {
		t.Errorf("%+v", r)
	}
	b.lane.Direction = entry.Out
	b.show(cardB)
	if r := b.Roll(); len(r.Inside) != 1 || r.Unnamed != 0 {
		t.Errorf("one went out: %+v", r)
	}
	if err := b.Do(t.Context(), guard.Action{Undo: &guard.Undo{Seq: seq, Why: "left"}}); err != nil {
		t.Fatal(err)
	}
	if r := b.Roll(); len(r.Inside) != 0 || r.Unnamed != 0 || len(b.roll) != 0 {
		t.Errorf("the other never came in: %+v", r)
	}
	b.lane.Direction = entry.In
	b.pass(time.Hour)
	b.show(cardA)
	b.restart()
	if r := b.Roll(); len(r.Inside) != 0 || r.Unnamed != 1 {
		t.Errorf("after a restart: %+v", r)
	}
}

// The same way twice is recorded, or looked at, as the policy says; a duplicate stays one, and nobody is kept in.
func TestPassback(t *testing.T) {
	for policy, want := range map[admission.Passback]struct {
		v entry.Verdict
		r entry.Reason
	}{
		"":                     {entry.Admit, entry.ReasonPassback},
		admission.PassbackSoft: {entry.Admit, entry.ReasonPassback},
		admission.PassbackHard: {entry.Look, entry.ReasonPassback},
		admission.PassbackOff:  {entry.Admit, entry.ReasonIdentity},
	} {
		b := newBench(t)
		b.Policy = admission.Policy{Unprovable: "admit", Duplicate: time.Minute, Passback: policy}
		b.want("first", b.show(cardA), entry.Admit, entry.ReasonIdentity)
		b.pass(30 * time.Second)
		b.want("within the window", b.show(cardA), entry.Look, entry.ReasonDuplicate)
		b.pass(time.Hour)
		b.want(string(policy)+": in again", b.show(cardA), want.v, want.r)
		b.pass(17 * time.Hour)
		b.want("the next day", b.show(cardA), entry.Admit, entry.ReasonIdentity)
		b.lane.Direction = entry.Out
		b.want("out", b.show(cardA), entry.Admit, entry.ReasonLeaving)
		b.pass(time.Hour)
		if r := b.show(cardA); r == nil || r.Verdict != entry.Admit {
			t.Errorf("%s: kept in: %+v", policy, r)
		}
	}
}

// A self-test lights no lamp before its entry is kept, and a gate that cannot write lights none.
func TestSelfTest(t *testing.T) {
	b := newBench(t)
	tried := false
	b.Test = func(context.Context) []guard.Check {
		if b.Journal.Head().Seq == 0 {
			t.Error("green before the entry")
		}
		tried = true
		return []guard.Check{{OK: true}}
	}
	if err := b.Do(t.Context(), guard.Action{Test: &guard.Test{}}); err != nil || !tried {
		t.Fatal(tried, err)
	}
	if s := b.State(); len(s.Checked) != 5 || s.Checked[2].OK || !s.Checked[1].OK || s.Checked[3].OK {
		t.Errorf("%+v", s.Checked)
	} else if !strings.HasPrefix(s.Slip, "Gatepost self-test: FAIL 3/5\n") || !strings.Contains(s.Slip, b.Device) || !strings.Contains(s.Slip, "- hub not reached") {
		t.Errorf("the slip says %q", s.Slip)
	}
	b.File = filepath.Join(t.TempDir(), "settings.json")
	if err := b.Do(t.Context(), guard.Action{Test: &guard.Test{}}); err != nil || len(b.State().Checked) != 7 {
		t.Errorf("the card is not tried: %+v, %v", b.State().Checked, err)
	}
	if left, err := os.ReadDir(filepath.Dir(b.File)); err != nil || len(left) > 0 {
		t.Errorf("the test leaves %v, %v", left, err)
	}
	b.File = filepath.Join(t.TempDir(), "no", "folder")
	if err := b.Do(t.Context(), guard.Action{Test: &guard.Test{}}); err != nil || b.State().Checked[4].OK {
		t.Errorf("a card that cannot be written to: %+v, %v", b.State().Checked, err)
	}
	b.Journal.Close()
	tried = false
	if err := b.Do(t.Context(), guard.Action{Test: &guard.Test{}}); err == nil || tried {
		t.Errorf("a test without a journal: %v, %v", tried, err)
	}
}
