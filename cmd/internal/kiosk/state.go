package kiosk

import (
	"maps"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
)

// recent is a verdict that was shown, with what is needed to undo it. The keys are known only while the program
// runs; they never leave it.
type recent struct {
	guard.Recent
	tag  []byte
	keys []string
}

// State implements guard.Gate.
func (k *Kiosk) State() guard.State {
	stats := k.Journal.Stats()
	stamp := k.Clock.Stamp()
	inside, stale := k.Memory.Inside(k.when(stamp))
	k.mu.Lock()
	defer k.mu.Unlock()
	s := guard.State{
		Venue: k.Venue, Device: k.Device, Zone: k.Zone.String(), Saved: stats.Saved, Unsent: stats.Unsent, Seq: k.Journal.Head().Seq,
		Inside: inside, Stale: stale, Online: k.uplink.Online, Uplink: k.uplink.Problem, Stick: k.stick, Clock: stamp.Trust.String(),
		Progress: guard.Progress(stats.Unsent, k.uplink.Left), Aside: k.uplink.Aside,
		Lock: k.Lock, System: k.System, Update: k.update,
		Recent: []guard.Recent{}, Shown: []guard.Shown{}, Peers: k.peerList(),
	}
	if !stats.Oldest.IsZero() {
		s.Oldest = &stats.Oldest
	}
	for _, l := range k.lanes {
		s.Lanes = append(s.Lanes, guard.Lane{
			Name: l.Name, Direction: l.Direction.String(), Source: l.Source, OK: l.ok, Text: l.text,
			Suggest: l.suggest(), Turns: k.nextTurn(l, stamp.Wall),
		})
		if shown := k.shown[l.Name]; shown != nil {
			s.Shown = append(s.Shown, *shown)
		}
	}
	if first := k.firstPending(); first != nil {
		s.Ask = &first.Question
	}
	s.Shift, s.RollCall, s.Checked = k.shift.shown(), k.Policy.RollCall, k.checked
	s.Slip = k.passSlip
	if time.Now().Before(k.unlocked) {
		settings := k.settings
		s.Settings = &settings
	}
	for _, r := range k.recent {
		if r.Seq > k.shift.seq || r.Seq == 0 && !r.At.Before(k.shift.since) {
			s.Recent = append(s.Recent, r.Recent)
		}
	}
	for _, part := range slices.Sorted(maps.Keys(k.faults)) {
		s.Faults = append(s.Faults, k.faults[part])
	}
	return s
}

// Changed implements guard.Gate.
func (k *Kiosk) Changed() <-chan struct{} {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.changed
}

// remember puts r at the head of the recent verdicts. The caller holds the lock.
func (k *Kiosk) remember(r recent) {
	k.recent = slices.Insert(k.recent, 0, r)
	k.shift.count(r.Recent, 1)
	if len(k.recent) > maxRecent {
		k.recent = k.recent[:maxRecent]
	}
}

// find returns the recent passage at seq. The caller holds the lock.
func (k *Kiosk) find(seq uint64) *recent {
	for i := range k.recent {
		if k.recent[i].Seq == seq && seq != 0 {
			return &k.recent[i]
		}
	}
	return nil
}
