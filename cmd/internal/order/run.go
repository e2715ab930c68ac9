package order

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"gatepost/scanner/admission/roster"
	"gatepost/sync/wire"
)

const (
	lookAgain = 30 * time.Second // at an order that waits for its time
	lately    = 24 * time.Hour   // for which a hub that was reached counts as one that can be
)

// A Gate is the kiosk that runs with the orders.
type Gate interface {
	// Trouble shows what befell an order, and keeps it in the journal when it is news.
	Trouble(ctx context.Context, slot, text string, news bool) error
	// Idle returns when nobody stands at the gate, or when that takes too long, or with ctx.
	Idle(ctx context.Context)
	// Online reports whether the hub is reached, and agrees.
	Online() bool
	// SetRosters is told the rosters whenever they change, while the gate goes on.
	SetRosters(roster.Set)
}

// Start returns what the gate must run with now. It counts the start of an order that is on trial, and goes back from
// one that cannot be used.
func (k *Keeper) Start() Layer {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Trial != nil {
		k.must(k.s.start())
	}
	for {
		l, slot, gone, err := k.layer()
		if err == nil {
			k.sweep()
			k.update(l)
			return l
		}
		k.Log.Error("order cannot be used", "slot", slot, "error", err)
		k.must(k.s.lose(slot, err.Error(), gone))
	}
}

// layer puts all current orders over the base. An error names the slot that is to blame, and whether its bytes are gone.
func (k *Keeper) layer() (l Layer, name string, gone bool, err error) {
	l = k.bare()
	for _, name := range k.s.names() {
		serial := k.s.Slots[name].Current
		if serial == 0 {
			continue
		}
		raw, err := k.folder.read(fileName(name, serial))
		if err != nil {
			return l, name, true, err
		}
		o, err := wire.ParseOrder(raw)
		if err == nil {
			err = o.Verify(k.Issuer)
		}
		if err == nil && (o.Slot() != name || o.Serial != serial) {
			err = fmt.Errorf("the file holds %v", o)
		}
		if err != nil {
			return l, name, true, err
		}
		if err := l.add(o, k.Publisher); err != nil {
			return l, name, false, err
		}
	}
	if len(l.ca) == 0 {
		return l, "", false, nil
	}
	if old, err := k.folder.read(caFile); err != nil || !bytes.Equal(old, l.ca) {
		if err := k.folder.write(caFile, l.ca); err != nil {
			return l, wire.OrderConfig, false, err
		}
	}
	l.Config.Uplink.CA = k.folder.path(caFile) // l's own by now
	return l, "", false, nil
}

// Run looks after the orders while the gate runs with what Start returned, until ctx ends: then it returns nil. It returns
// ErrChanged when the gate must begin anew. now is a time that has surely come: orders are held against it.
func (k *Keeper) Run(ctx context.Context, gate Gate, now func() time.Time) error {
	probation := time.NewTimer(k.Probation)
	defer probation.Stop()
	look := time.NewTicker(lookAgain)
	defer look.Stop()
	k.alone()
	for {
		if gate.Online() {
			k.Reached() // again, where it could not be written
		}
		k.tell(ctx, gate)
		name, kept := k.due(now())
		if kept {
			k.hand(gate)
		}
		if name != "" {
			if gate.Idle(ctx); ctx.Err() != nil {
				return nil
			}
			if k.begin(name, gate.Online() || k.met()) {
				return ErrChanged
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-k.news:
		case <-look.C:
		case <-probation.C:
			if k.giveUp(fmt.Sprintf("the hub is not reached within %v", k.Probation)) {
				gate.Idle(ctx)
				return ErrChanged
			}
		}
	}
}

// Reached says that the hub is reached, and agrees: an order that the gate has started with has proved itself.
func (k *Keeper) Reached() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.reached = time.Now()
	if k.s.Trial != nil && k.s.Trial.Starts > 0 {
		k.pass()
	}
}

// met reports whether the hub was reached of late: a line that is down for a night is no gate without a hub.
func (k *Keeper) met() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return !k.reached.IsZero() && time.Since(k.reached) < lately
}

// Enrolled says by which enrolment this unit is a gate, "" for none. A later one ends the order over the configuration: who
// shows new codes wants their hub.
func (k *Keeper) Enrolled(id string) error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Enrolment == id {
		return nil
	}
	return k.commit(k.s.enrolled(id))
}

// Failed says that the gate has ended with an error. It reports whether an order is to blame, and was taken back.
func (k *Keeper) Failed(err error) bool {
	return k.giveUp("the gate ends with it: " + err.Error())
}

// alone passes an order that the gate has started with where there was no hub before.
func (k *Keeper) alone() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Trial != nil && k.s.Trial.Starts > 0 && !k.s.Trial.Online {
		k.pass()
	}
}

// pass ends the trial well. Where that cannot be written, it goes on. k.mu is held.
func (k *Keeper) pass() {
	slot := k.s.Trial.Slot
	if err := k.commit(k.s.pass()); err != nil {
		k.Log.Warn("an order stays on trial", "slot", slot, "error", err)
		return
	}
	k.Log.Info("order stands", "slot", slot, "serial", k.s.Slots[slot].Current)
	k.wake()
}

// giveUp goes back from the order that is on trial, if one is.
func (k *Keeper) giveUp(why string) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Trial == nil {
		return false
	}
	k.Log.Error("order is taken back", "slot", k.s.Trial.Slot, "reason", why)
	k.must(k.s.back(why))
	return true
}

// due returns the slot of an order that the gate must begin anew with, "" when there is none. What is over is refused, and
// what no gate begins anew for stands at once: kept tells of that.
func (k *Keeper) due(now time.Time) (next string, kept bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Trial != nil {
		return "", false
	}
	for _, name := range k.s.names() {
		serial := k.s.Slots[name].Next
		if serial == 0 {
			continue
		}
		raw, err := k.folder.read(fileName(name, serial))
		var o wire.Order
		if err == nil {
			o, err = wire.ParseOrder(raw)
		}
		switch {
		case err != nil:
			k.must(k.s.refuse(name, serial, err.Error()))
			k.wake()
		case o.Over(now):
			k.must(k.s.refuse(name, serial, "it was to be taken until "+o.Until.Format(time.RFC3339)))
			k.wake()
		case o.Begun(now) && !changesGate(o.Kind):
			if err := k.commit(k.s.begin(name, false).pass()); err != nil {
				k.Log.Error("order waits", "slot", name, "error", err)
				continue
			}
			k.Log.Info("order stands", "slot", name, "serial", serial)
			kept = true
		case o.Begun(now):
			return name, kept
		}
	}
	return "", kept
}

// hand gives the rosters of now to the gate, and the update to whoever takes it. One that cannot be read any more is left out; Start tells of it.
func (k *Keeper) hand(gate Gate) {
	k.mu.Lock()
	l, _, _, err := k.layer()
	k.mu.Unlock()
	if err != nil {
		k.Log.Error("rosters stay as they are", "error", err)
		return
	}
	gate.SetRosters(l.Rosters)
	k.update(l)
}

// update names the update that stands.
func (k *Keeper) update(l Layer) {
	if k.Updates != nil {
		k.Updates.SetOrder(l.Update)
	}
}

// changesGate reports whether a gate must begin anew with an order of that kind: a roster is handed to it, and an update is the card's.
func changesGate(kind string) bool { return kind != wire.OrderRoster && kind != wire.OrderUpdate }

// begin puts the next order of a slot on trial. False: that is not on the disk, so nothing has changed.
func (k *Keeper) begin(name string, online bool) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.s.Slots[name].Next == 0 {
		return false
	}
	if err := k.commit(k.s.begin(name, online)); err != nil {
		k.Log.Error("order waits", "slot", name, "error", err)
		return false
	}
	k.Log.Info("the gate begins anew with an order", "slot", name, "serial", k.s.Slots[name].Current)
	return true
}

// tell hands every trouble to the gate, and remembers what it has recorded. A kill in between records it twice.
func (k *Keeper) tell(ctx context.Context, gate Gate) {
	k.mu.Lock()
	s := k.s
	k.mu.Unlock()
	for _, name := range s.names() {
		at := s.Slots[name]
		if err := gate.Trouble(ctx, name, at.Trouble, at.Trouble != "" && !at.Told); err != nil || at.Trouble == "" || at.Told {
			continue // one that is not recorded is told again
		}
		k.mu.Lock()
		if k.s.Slots[name].Trouble == at.Trouble {
			k.must(k.s.told(name))
		}
		k.mu.Unlock()
	}
}
