package kiosk

import (
	"context"
	"errors"
	"time"

	"gatepost/cmd/internal/order"
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

// takeOrders takes the orders that the stick at dir has for this kiosk. Those for others, and those that came before, are
// nobody's fault.
func (k *Kiosk) takeOrders(dir string) error {
	if k.Order == nil {
		return nil
	}
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
