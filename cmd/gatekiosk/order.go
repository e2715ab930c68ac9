package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/order"
	"gatepost/device/wall"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
)

// serveOrders runs the gate until ctx ends, anew whenever its orders change. A gate that does not run with an order that
// is on trial runs without it.
func serveOrders(ctx context.Context, c *config.Kiosk, e *origin, log *slog.Logger) error {
	orders, err := openOrders(c, e.root, log)
	if err != nil {
		return err
	}
	if orders == nil {
		return serveGate(ctx, order.Layer{Config: c}, nil, e, log)
	}
	defer orders.Close()
	if e.store != nil {
		if err := orders.Enrolled(e.store.ID()); err != nil {
			return err
		}
	}
	for {
		err := serveGate(ctx, orders.Start(), orders, e, log)
		switch changed := errors.Is(err, order.ErrChanged); {
		case changed && ctx.Err() != nil:
			return nil
		case changed:
			log.Info("the gate begins anew")
		case err == nil || ctx.Err() != nil || !orders.Failed(err):
			return err
		}
	}
}

// openOrders returns what keeps the orders, nil where no issuer is configured.
func openOrders(c *config.Kiosk, root *rootRights, log *slog.Logger) (*order.Keeper, error) {
	if c.Keys.Issuer == "" {
		return nil, nil
	}
	issuer, err := keyfile.Public(c.Keys.Issuer)
	if err != nil {
		return nil, fmt.Errorf("orders' issuer: %w", err)
	}
	var publisher ed25519.PublicKey
	if c.Forms.Publisher != "" {
		if publisher, err = keyfile.Public(c.Forms.Publisher); err != nil {
			return nil, fmt.Errorf("forms' publisher: %w", err)
		}
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	key, err := deviceKey(c.Keys.Device)
	if err != nil {
		return nil, err
	}
	if err := root.openUpdates(c, log); err != nil {
		return nil, err
	}
	return order.Open(order.Options{
		Updates: root.updater(), Dir: filepath.Join(c.Data, "orders"), Device: entry.DeviceID(key.Public().(ed25519.PublicKey)),
		Issuer: issuer, Publisher: publisher, Base: c, Probation: c.Trial, Log: log,
	})
}

// overlay puts what orders say over what the configuration's files say.
func overlay(o *kiosk.Options, l order.Layer, orders *order.Keeper) {
	if l.Policy != nil {
		o.Policy = *l.Policy
	}
	if l.Trust != nil {
		o.Trust.Declarers = l.Trust.Declarers
		if !l.Trust.Made.IsZero() { // a whole bundle
			o.Trust = *l.Trust
		}
	}
	for ref, f := range l.Forms {
		o.Forms[ref] = f
	}
	if orders != nil {
		o.Order = orders.Take
	}
}

// runOrders looks after the orders while the gate runs.
func runOrders(ctx context.Context, orders *order.Keeper, k *kiosk.Kiosk, clock *wall.Clock) error {
	if orders == nil {
		return nil
	}
	return orders.Run(ctx, k, func() time.Time {
		clock.Stamp()       // takes the time now, if it is trusted,
		return clock.Seen() // and else there is none later than this
	})
}

// reached tells the kiosk how the uplink stands, and the orders when the hub is reached.
func reached(k *kiosk.Kiosk, orders *order.Keeper) func(uplink.State) {
	return func(s uplink.State) {
		k.SetUplink(s)
		if orders != nil && s.Online && s.Problem == "" {
			orders.Reached()
		}
	}
}
