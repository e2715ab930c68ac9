package kiosk

import (
	"context"
	"errors"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// A Key is a button at the gate.
type Key string

const (
	KeySeen Key = "key"  // the guard has seen the verdict
	KeyUndo Key = "undo" // the last passage does not count
	KeyTurn Key = "turn" // every lane goes the other way
)

// undoable is how long a passage can be undone by a button, which tells nobody what it undoes.
const undoable = 30 * time.Second

// Press does what a button is for.
func (k *Kiosk) Press(ctx context.Context, key Key) error {
	switch key {
	case KeyUndo:
		return k.undoLast(ctx)
	case KeyTurn, KeySeen:
		var failed []error
		for _, l := range k.State().Lanes {
			a := guard.Action{Dismiss: &guard.Dismiss{Lane: l.Name}}
			if key == KeyTurn {
				a = guard.Action{Turn: &guard.Turn{Lane: l.Name, Direction: other(l.Direction)}}
			}
			failed = append(failed, k.Do(ctx, a))
		}
		return errors.Join(failed...)
	}
	return errors.New("no such button")
}

func other(direction string) string {
	if direction == entry.In.String() {
		return entry.Out.String()
	}
	return entry.In.String()
}

func (k *Kiosk) undoLast(ctx context.Context) error {
	now := k.Clock.Stamp().Wall
	for _, r := range k.State().Recent {
		if r.Verdict != entry.Admit {
			continue
		}
		if r.Undone || now.Sub(r.At).Abs() > undoable {
			break
		}
		return k.Do(ctx, guard.Action{Undo: &guard.Undo{Seq: r.Seq}})
	}
	return errors.New("không có lượt nào để huỷ · there is no passage to undo")
}

// Part tells the guard how a part beside the camera is, a turnstile or a buzzer, and keeps an entry when that turns; nil:
// it works.
func (k *Kiosk) Part(ctx context.Context, part string, err error) {
	text := ""
	if err != nil {
		text = part + ": " + err.Error()
	}
	if !k.setFault("part "+part, text) {
		return
	}
	if err != nil {
		k.Log.Error("a part of the gate fails", "part", part, "error", err)
	}
	k.keepFault(ctx, entry.Fault{Part: part, Text: text, Clear: err == nil})
}
