package kiosk

import (
	"fmt"
	"math/bits"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/admission"
	"gatepost/storage/entry"
)

// A Schedule is when a lane turns, every day.
type Schedule []Turn

// A Turn gives a lane a direction at a time of the day.
type Turn struct {
	Hour, Minute int
	Direction    entry.Direction
}

// ParseTurn reads "16:30 out".
func ParseTurn(text string) (t Turn, err error) {
	var direction string
	n, err := fmt.Sscanf(text, "%d:%d %s", &t.Hour, &t.Minute, &direction)
	if err == nil {
		t.Direction, err = entry.ParseDirection(direction)
	}
	if err != nil || n != 3 || t.String() != text || t.Hour > 23 || t.Minute > 59 {
		return Turn{}, fmt.Errorf("%q is no turn such as \"16:30 out\"", text)
	}
	return t, nil
}

func (t Turn) String() string { return fmt.Sprintf("%02d:%02d %s", t.Hour, t.Minute, t.Direction) }

// on returns when t is on the day that lies so many days after now's.
func (t Turn) on(now time.Time, days int) time.Time {
	return time.Date(now.Year(), now.Month(), now.Day()+days, t.Hour, t.Minute, 0, 0, now.Location())
}

// last returns the latest turn at or before now, and its direction; zero for an empty schedule.
func (s Schedule) last(now time.Time) (at time.Time, d entry.Direction) {
	for _, t := range s {
		for days := -1; days <= 0; days++ {
			if on := t.on(now, days); !on.After(now) && on.After(at) {
				at, d = on, t.Direction
			}
		}
	}
	return at, d
}

// next returns the turn that follows now; ok is false for an empty schedule.
func (s Schedule) next(now time.Time) (next Turn, ok bool) {
	var at time.Time
	for _, t := range s {
		for days := 0; days <= 1; days++ {
			if on := t.on(now, days); on.After(now) && (!ok || on.Before(at)) {
				next, at, ok = t, on, true
			}
		}
	}
	return next, ok
}

// turnByClock gives a lane the direction of its schedule when its time has come. What the guard turns stands until the next
// time; a clock that cannot be trusted turns nothing.
func (k *Kiosk) turnByClock(l *lane) {
	s := k.Clock.Stamp()
	if s.Trust < entry.TrustClock {
		return
	}
	at, d := l.Schedule.last(s.Wall.In(k.Zone))
	k.mu.Lock()
	due := k.settings.Schedule && at.After(l.turned)
	k.mu.Unlock()
	if due {
		k.Log.Info("lane turned by its schedule", "lane", l.Name, "direction", d)
		k.change(func() { l.Direction, l.turned, l.wrong = d, at, 0 })
	}
}

// nextTurn says when the lane turns next, or "". The caller holds the lock.
func (k *Kiosk) nextTurn(l *lane, now time.Time) string {
	next, ok := l.Schedule.next(now.In(k.Zone))
	if !ok || !k.settings.Schedule {
		return ""
	}
	return next.String()
}

func (k *Kiosk) turnLane(t guard.Turn) error {
	d, err := entry.ParseDirection(t.Direction)
	if err != nil {
		return err
	}
	l, err := k.laneNamed(t.Lane)
	if err != nil {
		return err
	}
	k.change(func() { l.Direction, l.wrong = d, 0 })
	return nil
}

// Directions returns the direction of each lane as it is now.
func (k *Kiosk) Directions() map[string]entry.Direction {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := map[string]entry.Direction{}
	for _, l := range k.lanes {
		all[l.Name] = l.Direction
	}
	return all
}

// suspicious is how many of a lane's last eight people must seem to go the other way for the guard to be asked.
const suspicious = 6

// judgeWay notes whether whoever stands at the lane seems to go the other way: out, though nobody saw them come in, or in,
// though they are. A code that is only held up longer tells nothing.
func (k *Kiosk) judgeWay(l *lane, past admission.Past, p passage, m admission.Moment) {
	if p.claims.Reason != "" || p.Reason == entry.ReasonDuplicate {
		return
	}
	m.Direction = entry.In
	inside := admission.Again(past, m)
	wrong := inside == (p.direction == entry.In)
	k.mu.Lock()
	defer k.mu.Unlock()
	if l.wrong <<= 1; wrong {
		l.wrong |= 1
	}
}

// suggest returns the direction that the lane should perhaps have, or "". The caller holds the lock.
func (l *lane) suggest() string {
	if bits.OnesCount8(l.wrong) < suspicious {
		return ""
	}
	return other(l.Direction.String())
}
