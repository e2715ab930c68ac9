package uplink

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"gatepost/sync/wire"
)

// Orders is what keeps a kiosk's orders. An Uplink calls it from Run.
type Orders interface {
	// Had returns the highest serial that was had of each slot, whether it was taken or refused.
	Had() map[string]uint64
	// Take takes an order in its own bytes. An error that is a wire.ErrOrder refuses it; after any other it may come again.
	Take(raw []byte) error
}

// down is what the uplink knows of the orders that wait at the hub.
type down struct {
	set     string            // as the last contact named it, "" = there are none
	done    string            // of which nothing more is to be had
	refused map[string]uint64 // serials of this set that count as had, by slot

	at, heard time.Time // the hub's clock, and when that was, by ours
}

// tell takes the set that a contact named.
func (d *down) tell(set string) {
	if set != d.set {
		d.set, d.refused = set, map[string]uint64{}
	}
}

// fetchOrders takes what the hub has for this device, one order after the other, and stops where entries wait. A failure
// leaves the rest to the round behind the next contact.
func (u *Uplink) fetchOrders(ctx context.Context) {
	if u.Orders == nil || u.down.set == u.down.done || u.down.set == "" || u.down.heard.IsZero() {
		return
	}
	for range 2 * wire.MaxSlots { // a hub that has no end gets one
		if u.j.Head().Seq > u.cursor {
			return
		}
		raw, err := u.askOrder(ctx)
		if raw == nil && err == nil {
			break
		}
		if err == nil {
			err = u.takeOrder(raw)
		}
		if err != nil {
			if ctx.Err() == nil {
				u.Log.Warn("orders are not fetched", "error", err)
			}
			u.down.heard = time.Time{}
			return
		}
	}
	u.down.done = u.down.set
}

// askOrder returns the next order's bytes, nil when there is no more.
func (u *Uplink) askOrder(ctx context.Context) ([]byte, error) {
	had := u.Orders.Had()
	for slot, serial := range u.down.refused {
		had[slot] = max(had[slot], serial)
	}
	q := url.Values{}
	for slot, serial := range had {
		q.Add("have", fmt.Sprintf("%s:%d", slot, serial))
	}
	proof := wire.NewProof(u.Key, u.down.at.Add(u.Now().Sub(u.down.heard)))
	return u.do(ctx, http.MethodGet, wire.PathDevice+u.device+wire.OrdersOf+"?"+q.Encode(), nil, proof, wire.MaxOrder)
}

// takeOrder hands an order on. One that is refused counts as had while the set stays the same, so that it does not stand
// before the others.
func (u *Uplink) takeOrder(raw []byte) error {
	o, err := wire.ParseOrder(raw)
	if err != nil {
		return err
	}
	switch err := u.Orders.Take(raw); {
	case errors.Is(err, wire.ErrOrder):
		u.Log.Warn("order refused", "order", o, "error", err)
		u.down.refused[o.Slot()] = max(u.down.refused[o.Slot()], o.Serial)
		return nil
	case err != nil:
		return fmt.Errorf("take order %v: %w", o, err)
	}
	u.Log.Info("order taken", "order", o)
	return nil
}
