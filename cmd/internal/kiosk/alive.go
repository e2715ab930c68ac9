package kiosk

import (
	"context"
	"fmt"
	"os"
	"time"

	"gatepost/storage/durable"
)

// A Dog is a watchdog: the board is reset unless Feed is called often enough.
type Dog interface {
	Feed() error
}

// Guarded feeds the dog every so often until ctx ends, but not while a part of the gate hangs: when it shows no sign of life
// for longer than patience. A part that failed has shown one, for gone is a state, and no reset mends it. Which part hung,
// the boot entry after the reset says.
func (k *Kiosk) Guarded(ctx context.Context, dog Dog, every, patience time.Duration) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	told := ""
	for {
		hung := k.hung(time.Now(), patience)
		if hung != told {
			k.tellHung(hung)
			told = hung
		}
		if hung == "" {
			if err := dog.Feed(); err != nil {
				k.Log.Error("the watchdog takes no food", "error", err)
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// tellHung leaves a note for the next boot, or takes it away when the part has woken up.
func (k *Kiosk) tellHung(part string) {
	if part == "" {
		k.Log.Warn("what hung works again")
		os.Remove(k.Note) // else the next boot tells of what was no reset
		return
	}
	k.Log.Error("a part of the gate hangs, the watchdog is not fed", "part", part)
	if err := durable.Write(k.Note, []byte(part), 0o600); err != nil {
		k.Log.Error("no note for the next boot", "error", err)
	}
}

// before returns what the last run's note says, and "" where there is none.
func (k *Kiosk) before() string {
	note, err := os.ReadFile(k.Note)
	if err != nil || k.Note == "" {
		return ""
	}
	return fmt.Sprintf("hung: %.100q", note)
}

// hung returns the part that has shown no sign of life for longer than patience, the cause before what it stops; "" when all live.
func (k *Kiosk) hung(now time.Time, patience time.Duration) string {
	k.mu.Lock()
	defer k.mu.Unlock()
	still := func(since time.Time) bool { return !since.IsZero() && now.Sub(since) > patience }
	if still(k.writing) {
		return "journal"
	}
	for _, l := range k.lanes {
		if still(l.sign()) {
			return "lane " + l.Name
		}
	}
	if still(k.decided) {
		return "decision loop"
	}
	return ""
}

// sign returns the lane's last sign of life; zero for one that waits and may wait for ever, as a reader does. The caller
// holds the kiosk's lock.
func (l *lane) sign() time.Time {
	if !l.began.IsZero() {
		return l.began
	}
	if cam, ok := l.source.(camera); ok {
		if beat := cam.Beat(); beat.After(l.opened) {
			return beat
		}
		return l.opened
	}
	return time.Time{}
}
