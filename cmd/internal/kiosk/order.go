package kiosk

import (
	"context"
	"errors"
	"strings"
	"time"

	"gatepost/cmd/internal/order"
	"gatepost/scanner/admission/roster"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
)

// maxBusy is how long an order waits for a moment at which nobody stands at the gate.
const maxBusy = 5 * time.Minute

// Trouble implements order.Gate.
func (k *Kiosk) Trouble(ctx context.Context, slot, text string, news bool) error {
	k.setFault("order "+slot, text)
	if !news {
		return nil
	}
	k.Log.Error("order", "text", text)
	return k.keepFault(ctx, entry.Fault{Part: "order", Text: text})
}

// Online implements order.Gate.
func (k *Kiosk) Online() bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.uplink.Online && k.uplink.Problem == ""
}

// SetRosters implements order.Gate. A roster that the policy names and nobody has sent is told as a fault: who is expected by it
// alone is not known, and whom it bars comes in.
func (k *Kiosk) SetRosters(rosters roster.Set) {
	k.rosters.Store(&rosters)
	var missing []string
	for _, name := range k.Policy.Rosters() {
		if _, ok := rosters[name]; !ok {
			missing = append(missing, name)
		}
	}
	text := ""
	if len(missing) > 0 {
		text = "rosters of the policy that are not here yet: " + strings.Join(missing, ", ")
	}
	k.setFault("roster", text)
}

// rostersOf returns which of the rosters that the policy names have a person.
func (k *Kiosk) rostersOf(keys []string) []string {
	rosters := k.rosters.Load()
	if rosters == nil {
		return nil
	}
	return rosters.Of(keys, k.Policy.Rosters()...)
}

// Idle implements order.Gate: no verdict stands, no question waits for its answers, and no stick is in.
func (k *Kiosk) Idle(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, maxBusy)
	defer cancel()
	for {
		k.mu.Lock()
		busy, changed := len(k.pending) > 0 || k.stick != "", k.changed
		for _, s := range k.shown {
			busy = busy || s.Verdict != entry.Failed // which stands until it is mended
		}
		k.mu.Unlock()
		if !busy {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// takeOrders takes the orders that the stick at dir has for this kiosk, and the bundle of an update. Orders for others, and
// those that came before, are nobody's fault.
func (k *Kiosk) takeOrders(dir string) error {
	if k.Order == nil {
		return nil
	}
	err := k.takeOrderFiles(dir)
	if k.Bundle != nil {
		err = errors.Join(err, k.Bundle(dir))
	}
	return err
}

func (k *Kiosk) takeOrderFiles(dir string) error {
	s, err := uplink.OpenStick(dir)
	if err != nil {
		return err
	}
	defer s.Close()
	all, err := s.Orders(k.Device)
	for _, raw := range all {
		if e := k.Order(raw); !errors.Is(e, order.ErrPassed) {
			err = errors.Join(err, e)
		}
	}
	return err
}
