package kiosk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/entry"
)

// patience is how long a question waits for its answers before the person counts as gone.
const patience = 2 * time.Minute

// pending is a person whose answers are missing.
type pending struct {
	guard.Question
	claims    credential.Claims
	form      form.Form
	direction entry.Direction
	asked     time.Time
}

func newPending(p passage, now time.Time) *pending {
	q := guard.Question{ID: rand.Text(), Lane: p.lane, Who: p.claims.Person.Short(), Title: guard.Text(p.Ask.Title)}
	for _, item := range p.Ask.Questions {
		i := guard.Item{ID: item.ID, Text: guard.Text(item.Text), Type: string(item.Type)}
		for _, c := range item.Choices {
			i.Choices = append(i.Choices, guard.Choice{ID: c.ID, Text: guard.Text(c.Text)})
		}
		q.Items = append(q.Items, i)
	}
	return &pending{q, p.claims, *p.Ask, p.direction, now}
}

// Do implements guard.Gate.
func (k *Kiosk) Do(ctx context.Context, a guard.Action) error {
	k.turn.Lock()
	defer k.turn.Unlock()
	switch {
	case a == (guard.Action{Answer: a.Answer}) && a.Answer != nil:
		return k.answer(ctx, *a.Answer)
	case a == (guard.Action{Turn: a.Turn}) && a.Turn != nil:
		return k.turnLane(*a.Turn)
	case a == (guard.Action{Undo: a.Undo}) && a.Undo != nil:
		return k.undo(ctx, *a.Undo)
	case a == (guard.Action{Leave: a.Leave}) && a.Leave != nil:
		return k.leave(*a.Leave)
	case a == (guard.Action{Dismiss: a.Dismiss}) && a.Dismiss != nil:
		return k.dismiss(*a.Dismiss)
	case a == (guard.Action{Write: a.Write}) && a.Write != nil:
		return k.write(ctx, *a.Write)
	case a == (guard.Action{Set: a.Set}) && a.Set != nil:
		return k.set(*a.Set)
	case a == (guard.Action{Test: a.Test}) && a.Test != nil:
		return k.test(ctx)
	}
	return errors.New("an action is exactly one of answer, turn, undo, leave, dismiss, write, set, test")
}

var errGone = errors.New("câu hỏi này không còn chờ · this question no longer waits")

// answer judges the answers that the guard put in for a person and lets that passage go its way. While it cannot
// be kept, the question stands.
func (k *Kiosk) answer(ctx context.Context, a guard.Answer) error {
	waiting := k.waiting(a.ID)
	if waiting == nil {
		return errGone
	}
	by, err := writtenName(a.By)
	if err != nil {
		return err
	}
	stamp := k.Clock.Stamp()
	d := admission.Answer(waiting.claims, waiting.form, a.Answers, k.Policy, k.moment(stamp, waiting.direction))
	if d.Reason == entry.ReasonAnswers {
		return fmt.Errorf("câu trả lời chưa đủ · the answers are not complete: %s", d.Question)
	}
	answers := map[string]any{}
	for _, q := range waiting.form.Questions {
		answers[q.ID], _ = q.Normal(a.Answers[q.ID]) // judged above, so it fits
	}
	if err := k.pass(ctx, passage{d, waiting.Lane, waiting.direction, waiting.claims, answers, by}, stamp); err != nil {
		return fmt.Errorf("chưa lưu được, hãy thử lại · not saved, try again: %w", err)
	}
	k.change(func() { delete(k.pending, waiting.Lane) })
	return nil
}

func (k *Kiosk) leave(l guard.Leave) error {
	waiting := k.waiting(l.ID)
	if waiting == nil {
		return errGone
	}
	k.change(func() { delete(k.pending, waiting.Lane) })
	return nil
}

// dismiss takes a verdict off its lane's screen, unless that says that the gate is broken. The caller holds turn.
func (k *Kiosk) dismiss(d guard.Dismiss) error {
	k.change(func() {
		if s := k.shown[d.Lane]; s != nil && s.Verdict != entry.Failed {
			delete(k.shown, d.Lane)
		}
	})
	k.light()
	return nil
}

// waiting returns the question with that id.
func (k *Kiosk) waiting(id string) *pending {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, p := range k.pending {
		if p.ID == id {
			return p
		}
	}
	return nil
}

// firstPending returns the question that has waited longest. The caller holds mu.
func (k *Kiosk) firstPending() (first *pending) {
	for _, p := range k.pending {
		if first == nil || p.asked.Before(first.asked) {
			first = p
		}
	}
	return first
}

// ask puts the questions that p asks, one person a lane, and drops those that p has settled. The guard may be
// typing: the same person seen again does not begin anew. The caller holds mu.
func (k *Kiosk) ask(p passage) {
	if old := k.pending[p.lane]; p.Ask != nil && old != nil && samePerson(old.claims, p.claims) && old.form.Ref() == p.Ask.Ref() {
		return
	}
	if p.Verdict != entry.Failed {
		maps.DeleteFunc(k.pending, func(_ string, w *pending) bool { return samePerson(w.claims, p.claims) })
	}
	if p.Ask != nil {
		k.pending[p.lane] = newPending(p, time.Now())
	}
}

// forgetPending drops the questions that nobody answered.
func (k *Kiosk) forgetPending() {
	k.mu.Lock()
	first := k.firstPending()
	k.mu.Unlock()
	if first != nil && time.Since(first.asked) > patience {
		k.change(func() { delete(k.pending, first.Lane) })
	}
}

// undo annuls a recent passage by a new entry: nothing in the journal is ever changed.
func (k *Kiosk) undo(ctx context.Context, u guard.Undo) error {
	if u.Why != "" && !slices.Contains(entry.UndoReasons(), u.Why) {
		return fmt.Errorf("lý do %q không có · no such reason: %q", u.Why, u.Why)
	}
	k.mu.Lock()
	r := k.find(u.Seq)
	ok := r != nil && !r.Undone && r.Verdict == entry.Admit
	k.mu.Unlock()
	if !ok {
		return fmt.Errorf("mục %d không huỷ được · entry %d cannot be undone", u.Seq, u.Seq)
	}
	if _, err := k.keep(ctx, entry.Undo{Seq: u.Seq, Why: u.Why}); err != nil {
		return err
	}
	k.takeBack(u.Seq)
	return nil
}

// takeBack strikes the passage at seq out of the recent verdicts and out of the memory. Answers that were put in at the
// gate are forgotten with it; a signed declaration stands.
func (k *Kiosk) takeBack(seq uint64) {
	var undone recent
	k.change(func() {
		r := k.find(seq)
		if r == nil || r.Undone {
			return
		}
		r.Undone = true
		if k.shift.counts.Undone++; r.Seq > k.shift.seq { // else it counts in the shift before, which is kept already
			k.shift.count(r.Recent, -1)
		}
		undone = *r
	})
	k.Memory.Undo(k.Device, seq)
	if undone.Reason == entry.ReasonAnswered {
		if err := k.forget(undone.keys, k.when(k.Clock.Stamp())); err != nil {
			k.Log.Warn("answers of an undone passage are still remembered", "error", err)
		}
	}
}
