package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	orderSuffix = ".order"
	maxOrders   = 1000 // files in the folder
)

// orders are what the hub has for kiosks: the files of its orders folder, which are read again when it changes.
type orders struct {
	dir    string
	issuer ed25519.PublicKey // who signs them; nil: every kiosk checks, and the hub does not
	area   func(device string) string
	now    func() time.Time
	log    *slog.Logger

	mu    sync.Mutex // guards what follows
	stamp string     // of the folder when it was last read
	all   []heldOrder
}

// heldOrder is an order and its own bytes.
type heldOrder struct {
	wire.Order
	raw []byte
}

// openOrders reads the folder for the first time. The caller sets area.
func openOrders(c *config, issuer ed25519.PublicKey, log *slog.Logger) (*orders, error) {
	o := &orders{dir: filepath.Join(c.Data, "orders"), issuer: issuer, now: time.Now, log: log}
	if err := o.read(); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	return o, nil
}

// follow reads the folder whenever it changes, until ctx ends.
func (o *orders) follow(ctx context.Context) {
	tick := time.NewTicker(lookAgain)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := o.read(); err != nil {
			o.log.Warn("orders folder cannot be read", "error", err)
		}
	}
}

// read reads the folder if it has changed since the last time. A bad file is left out, and the others count.
func (o *orders) read() error {
	names, stamp, err := o.look()
	if err != nil || stamp == o.stamp {
		return err
	}
	var all []heldOrder
	serials := map[string]entry.Hash{}
	for _, name := range names {
		held, err := readOrder(filepath.Join(o.dir, name))
		if err == nil && o.issuer != nil {
			err = held.Verify(o.issuer)
		}
		if err == nil {
			if other, taken := serials[held.String()]; taken && other != held.Hash() {
				err = fmt.Errorf("another file is %v, too: a change needs a higher serial", held)
			}
		}
		if err != nil {
			o.log.Error("order left out", "file", name, "error", err)
			continue
		}
		serials[held.String()] = held.Hash()
		all = append(all, held)
	}
	slices.SortFunc(all, func(a, b heldOrder) int { // the newest of a slot first
		return cmp.Or(strings.Compare(a.Slot(), b.Slot()), cmp.Compare(b.Serial, a.Serial))
	})
	o.mu.Lock()
	o.all, o.stamp = all, stamp
	o.mu.Unlock()
	o.log.Info("orders read", "orders", len(all))
	return nil
}

// look returns the names of the folder's orders, and a text that changes whenever one of them does.
func (o *orders) look() (names []string, stamp string, err error) {
	files, err := os.ReadDir(o.dir)
	if err != nil {
		return nil, "", err
	}
	var all strings.Builder
	for _, f := range files {
		info, err := f.Info()
		if err != nil || !strings.HasSuffix(f.Name(), orderSuffix) {
			continue
		}
		if names = append(names, f.Name()); len(names) > maxOrders {
			return nil, "", fmt.Errorf("more than %d orders", maxOrders)
		}
		fmt.Fprintln(&all, f.Name(), info.Size(), info.ModTime().UnixNano())
	}
	return names, "read\n" + all.String(), nil
}

func readOrder(path string) (heldOrder, error) {
	info, err := os.Stat(path)
	if err != nil {
		return heldOrder{}, err
	}
	if info.Size() > wire.MaxOrder {
		return heldOrder{}, fmt.Errorf("%d bytes exceed %d", info.Size(), wire.MaxOrder)
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		return heldOrder{}, err
	}
	order, err := wire.ParseOrder(raw)
	return heldOrder{order, raw}, err
}

// meant returns, of each slot, the newest order that is meant for device now, by slot.
func (o *orders) meant(device string) (list []heldOrder) {
	area, now := o.area(device), o.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, h := range o.all {
		if n := len(list); n > 0 && list[n-1].Slot() == h.Slot() {
			continue
		}
		if h.Begun(now) && !h.Over(now) && h.Meant(device, area) {
			list = append(list, h)
		}
	}
	return list
}

// Digest names the set of orders that are meant for device now, "" when there are none.
func (o *orders) Digest(device string) string {
	list := o.meant(device)
	if len(list) == 0 {
		return ""
	}
	sum := sha256.New()
	for _, h := range list {
		hash := h.Hash()
		sum.Write(hash[:])
	}
	return hex.EncodeToString(sum.Sum(nil)[:8])
}

// next returns the first order that is meant for device and newer than what it has had, by slot.
func (o *orders) next(device string, had map[string]uint64) (raw []byte, ok bool) {
	for _, h := range o.meant(device) {
		if h.Serial > had[h.Slot()] {
			return h.raw, true
		}
	}
	return nil, false
}
