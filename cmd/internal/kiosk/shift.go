package kiosk

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// open is how long a supervisor's badge opens the settings for.
const open = 5 * time.Minute

// shift is what has passed since a guard took the gate over. It belongs to the kiosk's lock.
type shift struct {
	guard  string
	since  time.Time
	seq    uint64 // of the entry that began it
	counts entry.Shift
}

// count adds n of a verdict.
func (s *shift) count(r guard.Recent, n int) {
	c := &s.counts
	switch {
	case r.Verdict == entry.Admit && r.Direction == entry.In.String():
		c.In += uint64(n)
	case r.Verdict == entry.Admit:
		c.Out += uint64(n)
	case r.Verdict == entry.Refuse:
		c.Refused += uint64(n)
	case r.Verdict == entry.Look, r.Verdict == entry.Unreadable:
		c.Looked += uint64(n)
	}
}

func (s *shift) shown() *guard.Shift {
	c := s.counts
	return &guard.Shift{Guard: s.guard, Since: s.since, In: c.In, Out: c.Out, Refused: c.Refused, Looked: c.Looked, Undone: c.Undone}
}

// badges takes the badges out of what a lane sees, does what they are for, and returns the rest.
func (k *Kiosk) badges(ctx context.Context, l *lane, texts []string) (rest []string) {
	for _, text := range texts {
		b, ok, err := wire.ParseBadge(k.Issuer, text)
		if !ok {
			rest = append(rest, text)
			continue
		}
		k.say(l, k.wear(ctx, b, err))
	}
	return rest
}

// wear does what a badge is for and says what came of it.
func (k *Kiosk) wear(ctx context.Context, b wire.Badge, err error) guard.Said {
	stamp := k.Clock.Stamp()
	switch {
	case err != nil:
		return guard.Said{Face: guard.Stop, Words: guard.Text{VI: "Thẻ này không dùng được ở đây", EN: "this badge does not count here"}}
	case b.Venue != "" && b.Venue != k.Venue:
		return guard.Said{Face: guard.Stop, Words: guard.Text{VI: "Thẻ của nơi khác", EN: "this badge is another venue's"}}
	case stamp.Trust >= entry.TrustClock && stamp.Wall.After(b.Expires):
		return guard.Said{Face: guard.Stop, Words: guard.Text{VI: "Thẻ đã hết hạn", EN: "this badge has expired"}}
	case b.Role == wire.RoleSupervisor:
		k.change(func() { k.unlocked = time.Now().Add(open) })
		return guard.Said{Face: guard.Ready, Words: guard.Text{VI: "Cài đặt mở trong 5 phút", EN: "settings are open for 5 minutes"}}
	}
	return k.handOver(ctx, b.Number, stamp)
}

// handOver begins the shift of another guard, once that is kept.
func (k *Kiosk) handOver(ctx context.Context, number string, stamp entry.Stamp) guard.Said {
	k.turn.Lock()
	defer k.turn.Unlock()
	k.mu.Lock()
	body := k.shift.counts
	body.Guard, body.Before, body.Defects = number, k.shift.guard, k.defects()
	k.mu.Unlock()
	if body.Guard == body.Before {
		return guard.Said{Face: guard.Ready, Words: guard.Text{VI: "Ca này đang là của " + number, EN: "this shift is " + number + "'s already"}}
	}
	seq, err := k.keep(ctx, body)
	if err != nil {
		return guard.Said{Face: guard.Broken, Words: guard.Text{VI: "Chưa giao được ca", EN: "the shift is not handed over: the journal cannot be written"}}
	}
	k.change(func() { k.shift = shift{guard: number, since: stamp.Wall, seq: seq} })
	if k.Shifts != nil {
		k.Shifts()
	}
	k.Log.Info("shift", "guard", number, "before", body.Before)
	return guard.Said{Face: guard.Ready, Words: guard.Text{
		VI: fmt.Sprintf("Ca mới: %s. Ca trước: vào %d, ra %d", number, body.In, body.Out),
		EN: fmt.Sprintf("%s's shift; the last: in %d, out %d", number, body.In, body.Out),
	}}
}

// maxDefects bounds what an entry says of a gate that is handed over.
const maxDefects = 16

// defects returns the parts that are out of order. The caller holds the lock.
func (k *Kiosk) defects() []string {
	all := slices.Sorted(maps.Keys(k.faults))
	for _, l := range k.lanes {
		if !l.ok {
			all = append(all, "lane "+l.Name)
		}
	}
	return all[:min(len(all), maxDefects)]
}

// readSettings reads what a supervisor changed. Damaged settings are the defaults: they are not worth a gate.
func (k *Kiosk) readSettings() error {
	k.settings = guard.Settings{Names: true, Sounds: true, Schedule: true}
	if k.File == "" {
		return nil
	}
	text, err := os.ReadFile(k.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	s := k.settings
	if err := json.Unmarshal(text, &s); err != nil {
		k.Log.Warn("the supervisor's settings are damaged and left out", "error", err)
		return nil
	}
	k.settings = s
	return nil
}

// set changes the settings while a supervisor's badge has opened them.
func (k *Kiosk) set(s guard.Settings) error {
	k.mu.Lock()
	locked := !time.Now().Before(k.unlocked)
	k.mu.Unlock()
	if locked {
		return errors.New("cần thẻ của người phụ trách · show a supervisor's badge first")
	}
	if k.File != "" {
		text, err := json.Marshal(s)
		if err == nil {
			err = durable.Write(k.File, text, 0o600)
		}
		if err != nil {
			return fmt.Errorf("không lưu được · not saved: %w", err)
		}
	}
	k.Log.Info("settings", "names", s.Names, "sounds", s.Sounds, "schedule", s.Schedule)
	k.change(func() { k.settings = s })
	return nil
}

// lockSettings takes the settings off the pages when their time is over.
func (k *Kiosk) lockSettings() {
	k.mu.Lock()
	over := !k.unlocked.IsZero() && !time.Now().Before(k.unlocked)
	k.mu.Unlock()
	if over {
		k.change(func() { k.unlocked = time.Time{} })
	}
}
