package kiosk

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"strings"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/supervise"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
)

// A Port is where USB sticks are put in, one at a time. Its calls come in this order, again and again; Release comes
// only after an Insert without an error.
type Port interface {
	// Insert waits for a stick and mounts it at the folder that it returns.
	Insert(context.Context) (dir string, err error)
	// Release unmounts it, and returns when everything is on it. A stick that was pulled out is an error.
	Release() error
	// Removed waits until it is pulled out.
	Removed(context.Context)
}

// Sticks takes receipts from each stick that is put in and puts onto it what no receipt covers, until ctx ends. The
// guard's page shows how far that is, and that the stick may be pulled out. Without receiptKey receipts stay where they
// are.
func (k *Kiosk) Sticks(ctx context.Context, port Port, key ed25519.PrivateKey, receiptKey ed25519.PublicKey) {
	supervise.Run(ctx, k.Log, "usb", func(ctx context.Context) error {
		for ctx.Err() == nil {
			k.takeStick(ctx, port, key, receiptKey)
		}
		return nil
	}, func(err error) { k.stickFailed(ctx, err) })
}

// takeStick sees to one stick, from its insertion until it is pulled out.
func (k *Kiosk) takeStick(ctx context.Context, port Port, key ed25519.PrivateKey, receiptKey ed25519.PublicKey) {
	dir, err := port.Insert(ctx)
	if err == nil {
		k.setFault("usb", "")
		var total uint64
		total, err = k.exchangeStick(ctx, dir, key, receiptKey)
		if err = errors.Join(err, port.Release()); err == nil {
			k.Log.Info("entries are on the stick", "entries", total)
			k.setStick(fmt.Sprintf("USB: đã chép %[1]s, có thể rút ra · %[1]s entries copied, may be pulled out", guard.Grouped(total, ".")))
		}
	}
	if err != nil && ctx.Err() == nil {
		k.stickFailed(ctx, err)
	}
	port.Removed(ctx)
	k.setStick("")
}

// exchangeStick takes the receipt and the orders from the stick at dir and exports to it. What of them does not count does
// not keep entries from leaving.
func (k *Kiosk) exchangeStick(ctx context.Context, dir string, key ed25519.PrivateKey, receiptKey ed25519.PublicKey) (total uint64, err error) {
	var receipt error
	if receiptKey != nil {
		receipt = uplink.TakeReceipts(k.Journal, receiptKey, k.Device, dir)
	}
	err = uplink.Export(ctx, k.Journal, key, k.Aside, dir, func(done, all uint64) {
		total = all
		k.setStick(fmt.Sprintf("USB: %s / %s", guard.Grouped(done, "."), guard.Grouped(all, ".")))
	})
	return total, errors.Join(receipt, err, k.takeOrders(dir))
}

// stickFailed tells the guard, and the journal where it is more than a matter of another stick.
func (k *Kiosk) stickFailed(ctx context.Context, err error) {
	k.setStick("")
	text := "USB: " + strings.ReplaceAll(err.Error(), "\n", "; ")
	switch {
	case errors.Is(err, journal.ErrFork):
		text = "USB: thẻ nhớ bị sao chép? · was the card cloned? " + text
		k.keepFault(ctx, entry.Fault{Part: "usb", Text: text}) // a journal that fails tells of itself
	case errors.Is(err, uplink.ErrStickFull):
		text = "USB: đã đầy, hãy dùng USB khác · the stick is full, use another"
	}
	k.Log.Warn("stick failed", "error", err)
	k.setFault("usb", text)
}

// setStick shows how the stick stands; an empty text ends that.
func (k *Kiosk) setStick(text string) { k.change(func() { k.stick = text }) }
