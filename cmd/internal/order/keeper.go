// Package order keeps the orders that the authority sends to a kiosk, and decides which of them the gate runs with.
//
// An order that was taken is durable before anything follows from it. The gate begins anew with one order at a time, and
// that one is on trial: where the hub could be reached before, it must be reached again within the probation, or the
// kiosk goes back to what worked and never tries that serial again. What was refused or taken back is told until it is
// recorded.
//
// It does not promise that an order is wise, only that it is the issuer's, that its kind can be read, and that it leaves a
// way back.
package order

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/form"
	"gatepost/sync/wire"
)

const (
	stateFile   = "state.json"
	caFile      = "hub-ca.pem"
	orderSuffix = ".order"
	schema      = 1
)

var (
	// ErrChanged means that the gate must begin anew with what Start returns.
	ErrChanged = errors.New("orders have changed")
	// ErrPassed means that an order is not for this device, or not newer than what came before. It is a wire.ErrOrder.
	ErrPassed = fmt.Errorf("%w: passed over", wire.ErrOrder)
)

// Options of a Keeper. All are needed but Publisher, without which no form is taken.
type Options struct {
	Dir       string
	Device    string            // its id
	Issuer    ed25519.PublicKey // who signs orders
	Publisher ed25519.PublicKey // who signs forms
	Base      *config.Kiosk     // what stands without any order
	Probation time.Duration
	Updates   Updates // nil: an order with an update is only kept
	Log       *slog.Logger
}

// Updates takes the orders that change the card's system.
type Updates interface {
	Check(Update) error // says why such an order is not taken
	SetOrder(*Update)   // the one that stands, nil: none does
}

// A Keeper serves one kiosk, through all its starts within a program. It is safe for concurrent use.
type Keeper struct {
	Options
	folder *folder
	news   chan struct{} // something has come or passed

	mu      sync.Mutex // guards what follows
	s       state
	reached time.Time // when the hub last was
}

// Open reads what is kept in the folder. What is damaged there is left out and told; only a folder that cannot be used at
// all, or that another program uses, is an error.
func Open(o Options) (*Keeper, error) {
	f, err := openFolder(o.Dir)
	if err != nil {
		return nil, fmt.Errorf("open orders: %w", err)
	}
	k := &Keeper{Options: o, folder: f, news: make(chan struct{}, 1), s: state{Schema: schema}}
	raw, err := f.read(stateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return k, nil
	}
	if err == nil {
		err = json.Unmarshal(raw, &k.s)
	}
	if err == nil && (k.s.Schema != schema || k.s.Trial != nil && k.s.Slots[k.s.Trial.Slot].Current == 0) {
		err = fmt.Errorf("schema %d, or a trial of nothing", k.s.Schema)
	}
	if err != nil {
		o.Log.Error("orders' state is damaged, it is made anew from what is kept", "error", err)
		k.s = k.rebuild()
	}
	return k, nil
}

// Close lets go of the folder.
func (k *Keeper) Close() error { return k.folder.close() }

// rebuild makes a state of the orders whose files are there: the newest of each slot counts.
func (k *Keeper) rebuild() state {
	s := state{Schema: schema}
	names, _ := k.folder.orders() // none is what is left then
	for _, name := range names {
		raw, err := k.folder.read(name)
		if err != nil {
			continue
		}
		o, err := wire.ParseOrder(raw)
		if err != nil || o.Verify(k.Issuer) != nil || fileName(o.Slot(), o.Serial) != name || o.Serial < s.Slots[o.Slot()].Had {
			continue
		}
		s = s.with(o.Slot(), func(at *slot) {
			*at = slot{Had: o.Serial, Current: o.Serial, Previous: at.Current, Trouble: "the orders' state was damaged and is made anew"}
		})
	}
	return s
}

// fileName is where an order is kept.
func fileName(slot string, serial uint64) string {
	return fmt.Sprintf("%s.%d%s", strings.ReplaceAll(slot, "/", "-"), serial, orderSuffix)
}

// commit makes a state durable and true, in this order. k.mu is held.
func (k *Keeper) commit(s state) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err == nil {
		err = k.folder.write(stateFile, append(raw, '\n'))
	}
	if err != nil {
		return err
	}
	k.s = s
	return nil
}

// must is commit where the gate must go on all the same: then the state holds until the program ends. k.mu is held.
func (k *Keeper) must(s state) {
	if err := k.commit(s); err != nil {
		k.Log.Error("orders' state is not on the disk", "error", err)
		k.s = s
	}
}

// sweep removes the files that nothing needs. k.mu is held.
func (k *Keeper) sweep() {
	names, err := k.folder.orders()
	needed := map[string]bool{}
	for name, at := range k.s.Slots {
		for _, serial := range []uint64{at.Next, at.Current, at.Previous} {
			needed[fileName(name, serial)] = true
		}
	}
	for _, name := range names {
		if !needed[name] {
			err = errors.Join(err, k.folder.remove(name))
		}
	}
	if err != nil {
		k.Log.Warn("old orders stay", "error", err)
	}
}

// Had implements uplink.Orders.
func (k *Keeper) Had() map[string]uint64 {
	k.mu.Lock()
	defer k.mu.Unlock()
	had := map[string]uint64{}
	for name, at := range k.s.Slots {
		had[name] = at.Had
	}
	return had
}

// Take takes an order in its own bytes; when it returns, it is on the disk. Every refusal is a wire.ErrOrder, and one that
// the issuer himself has earned is remembered. Any other error means that it may come again.
func (k *Keeper) Take(raw []byte) error {
	o, err := wire.ParseOrder(raw)
	if err != nil {
		return err
	}
	if err := o.Verify(k.Issuer); err != nil {
		return err
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	at, known := k.s.Slots[o.Slot()]
	switch {
	case !o.Aimed(k.Device):
		return fmt.Errorf("%w: %v is not for this device", ErrPassed, o)
	case o.Serial <= at.Had:
		return fmt.Errorf("%w: %v, and %d was had", ErrPassed, o, at.Had)
	case !known && len(k.s.Slots) >= wire.MaxSlots:
		return fmt.Errorf("%w: %v, and %d slots are full", wire.ErrOrder, o, wire.MaxSlots)
	}
	defer k.wake()
	trial := k.bare()
	err = trial.add(o, k.Publisher)
	if err == nil && trial.Update != nil && k.Updates != nil {
		err = k.Updates.Check(*trial.Update)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %v: %w", wire.ErrOrder, o, err), k.commit(k.s.refuse(o.Slot(), o.Serial, err.Error())))
	}
	if err := k.folder.write(fileName(o.Slot(), o.Serial), raw); err != nil {
		return err
	}
	return k.commit(k.s.take(o.Slot(), o.Serial))
}

// bare is a layer without any order.
func (k *Keeper) bare() Layer { return Layer{Config: k.Base, Forms: form.Set{}, Rosters: roster.Set{}} }

// wake lets Run look again.
func (k *Keeper) wake() {
	select {
	case k.news <- struct{}{}:
	default:
	}
}
