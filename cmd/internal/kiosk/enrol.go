package kiosk

import (
	"fmt"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
)

// sayHold is how long the screen says what came of a part of an enrolment.
const sayHold = 4 * time.Second

// parts hands the parts of an enrolment among texts on, shows what came of them at the lane, and returns the others. They
// are no passage, and nothing of them is kept here.
func (k *Kiosk) parts(l *lane, texts []string) (rest []string) {
	if k.Enrol == nil {
		return texts
	}
	for _, t := range texts {
		if said, ok := k.Enrol(t); ok {
			k.say(l, said)
		} else {
			rest = append(rest, t)
		}
	}
	return rest
}

// join puts the codes of a card in several together, and shows which are still missing. What is no such code is returned as it is.
func (k *Kiosk) join(l *lane, texts []string) (rest []string) {
	for _, t := range texts {
		whole, have, of, part := l.chunks.Add(t, time.Now())
		switch {
		case !part:
			rest = append(rest, t)
		case whole != "":
			rest = append(rest, whole)
		case !k.judged(l): // a phone that shows its codes in turns begins anew beneath the verdict
			k.say(l, guard.Said{Face: guard.Ask, Words: guard.Text{
				VI: fmt.Sprintf("Đã đọc %d/%d mã: đưa mã tiếp theo", have, of), EN: fmt.Sprintf("%d of %d codes: show the next one", have, of),
			}})
		}
	}
	return rest
}

// judged reports whether a verdict stands at a lane.
func (k *Kiosk) judged(l *lane) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	s := k.shown[l.Name]
	return s != nil && s.Reason != ""
}

// say shows something on a lane's screen that is no verdict, unless that says that the gate is broken.
func (k *Kiosk) say(l *lane, said guard.Said) {
	k.turn.Lock()
	defer k.turn.Unlock()
	s := &guard.Shown{Lane: l.Name, Face: said.Face, Verdict: entry.Look, Words: said.Words}
	k.change(func() {
		if old := k.shown[l.Name]; old == nil || old.Verdict != entry.Failed {
			k.shown[l.Name] = s
		}
	})
	time.AfterFunc(sayHold, func() { k.clear(s) })
	k.light()
}
