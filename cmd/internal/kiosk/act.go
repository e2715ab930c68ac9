package kiosk

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
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
	switch {
	case a.Answer != nil:
		return k.answer(ctx, *a.Answer)
	case a.Turn != nil:
		return k.turn(*a.Turn)
	case a.Undo != nil:
		return k.undo(ctx, *a.Undo)
	case a.Leave != nil:
		_, err := k.takePending(a.Leave.ID)
		return err
	}
	return errors.New("an action needs one of answer, turn, undo, leave")
}

// answer judges the answers that the guard put in for a person and lets that passage go its way.
func (k *Kiosk) answer(ctx context.Context, a guard.Answer) error {
	k.mu.Lock()
	waiting := k.pending
	k.mu.Unlock()
	if waiting == nil || waiting.ID != a.ID {
		return errGone
	}
	stamp := k.Clock.Stamp()
	d := admission.Answer(waiting.claims, waiting.form, a.Answers, k.Policy, k.moment(stamp, waiting.direction))
	if d.Reason == entry.ReasonAnswers {
		return fmt.Errorf("câu trả lời chưa đủ · the answers are not complete: %s", d.Question)
	}
	p, err := k.takePending(a.ID)
	if err != nil {
		return err
	}
	k.pass(ctx, passage{d, p.Lane, p.direction, p.claims, a.Answers}, stamp)
	return nil
}

var errGone = errors.New("câu hỏi này không còn chờ · this question no longer waits")

// takePending takes the waiting question, so that it is answered once.
func (k *Kiosk) takePending(id string) (p *pending, err error) {
	err = errGone
	k.change(func() {
		if k.pending != nil && k.pending.ID == id {
			p, k.pending, err = k.pending, nil, nil
		}
	})
	return p, err
}

// forgetPending drops a question that nobody answered.
func (k *Kiosk) forgetPending() {
	k.mu.Lock()
	old := k.pending != nil && time.Since(k.pending.asked) > patience
	k.mu.Unlock()
	if old {
		k.change(func() { k.pending = nil })
	}
}

func (k *Kiosk) turn(t guard.Turn) error {
	d, err := entry.ParseDirection(t.Direction)
	if err != nil {
		return err
	}
	for _, l := range k.lanes {
		if l.Name == t.Lane {
			k.change(func() { l.Direction = d })
			return nil
		}
	}
	return fmt.Errorf("no lane %q", t.Lane)
}

// undo annuls a recent passage by a new entry: nothing in the journal is ever changed.
func (k *Kiosk) undo(ctx context.Context, u guard.Undo) error {
	r, ok := k.undoable(u.Seq)
	if !ok {
		return fmt.Errorf("mục %d không huỷ được · entry %d cannot be undone", u.Seq, u.Seq)
	}
	if _, err := k.keep(ctx, entry.Undo{Seq: u.Seq}); err != nil {
		return err
	}
	k.markUndone(u.Seq)
	if r.tag != nil {
		k.Memory.Undo(r.tag, k.Clock.Stamp().Wall)
	}
	return nil
}

// markUndone strikes the passage out of the recent verdicts.
func (k *Kiosk) markUndone(seq uint64) {
	k.change(func() {
		if r := k.find(seq); r != nil {
			r.Undone = true
		}
	})
}
