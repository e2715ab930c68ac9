// Package update has a gate change its own system while it works: it fetches the bundle that an order names, writes it into the
// slot that does not run, and starts that once. A new system that is healthy stays; after any other the board starts the old
// one, which tells what became of it. Which of the two starts when, package slot decides.
//
// A bundle is believed by the SHA-256 in its order, which the issuer has signed.
package update

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"sync"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/order"
	"gatepost/device/slot"
)

const (
	steady   = 5 * time.Second // for which a new system must be healthy without a break
	lookAt   = time.Second     // and how often it is looked at
	minRetry = time.Minute     // after a bundle that could not be had
	maxRetry = 6 * time.Hour
)

// A Gate is what a new system is for.
type Gate interface {
	// Healthy returns what a gate that works lacks, "" when that is nothing.
	Healthy() string
	// Online reports whether the hub is reached, and agrees.
	Online() bool
	// Idle returns when nobody stands at the gate, or when that takes too long, or with ctx.
	Idle(ctx context.Context)
	// SetUpdate shows how far an update is; nil ends that.
	SetUpdate(*guard.Text)
	// Record keeps what befell an update in the journal, and shows it while it is a fault.
	Record(ctx context.Context, text string, fault bool)
}

// Options of an Updater. All are needed.
type Options struct {
	Dir       string // of bundles
	Machine   *slot.Machine
	Open      func(slot.Slot) (boot, root *os.File, err error) // the partitions of the slot that does not run
	Restart   func() error                                     // starts the board again
	Probation time.Duration                                    // in which a new system must become healthy
	Log       *slog.Logger
}

// An Updater serves one board through all the starts of the gate within a program.
type Updater struct {
	Options
	news chan struct{} // another order, or a bundle, has come

	mu     sync.Mutex // guards what follows, and Machine
	order  *order.Update
	client *http.Client
	told   bool // what became of the last trial
}

// New returns an updater.
func New(o Options) *Updater { return &Updater{Options: o, news: make(chan struct{}, 1)} }

// imageOf returns what an order says of the image.
func imageOf(o order.Update) slot.Image {
	return slot.Image{Version: uint64(o.Version), Reads: o.Reads, Writes: o.Writes, Sum: o.SHA256}
}

// Check says why this card does not take an update, before anything of it is fetched.
func (u *Updater) Check(o order.Update) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.Machine.Check(imageOf(o))
}

// SetOrder names the update that is wanted; nil is none.
func (u *Updater) SetOrder(o *order.Update) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.order = o
	u.wake()
}

// SetClient names what fetches bundles; without one only sticks bring them.
func (u *Updater) SetClient(c *http.Client) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.client = c
}

// wake lets Run look again.
func (u *Updater) wake() {
	select {
	case u.news <- struct{}{}:
	default:
	}
}

// waiting returns the update that is wanted and not here.
func (u *Updater) waiting() (o order.Update, ok bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.order == nil || u.Machine.Has(u.order.SHA256) || u.Machine.Check(imageOf(*u.order)) != nil {
		return o, false
	}
	return *u.order, true
}

// Run looks after the board while the gate works, until ctx ends. It returns an error only when the board should have started
// again and did not.
func (u *Updater) Run(ctx context.Context, gate Gate) error {
	if on, online := u.Machine.Trial(); on {
		return u.prove(ctx, gate, online)
	}
	if trouble := u.Machine.Trouble(); trouble != "" && !u.told {
		u.told = true
		gate.Record(ctx, "update: "+trouble, true)
	}
	retry, pause := time.NewTimer(0), minRetry
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-u.news:
			pause = minRetry
		case <-retry.C:
		}
		o, ok := u.waiting()
		if !ok {
			u.sweep(order.Update{}) // what runs now, or has failed, lies in its slot
			continue
		}
		err := u.take(ctx, gate, o)
		gate.SetUpdate(nil)
		if ctx.Err() != nil {
			return nil
		}
		u.Log.Error("update waits", "version", o.Version, "again in", pause, "error", err)
		gate.Record(ctx, fmt.Sprintf("update to version %d: %v", o.Version, err), true)
		retry.Reset(pause)
		pause = min(2*pause, maxRetry)
	}
}

// take brings an update into the other slot and starts it. It returns only with an error.
func (u *Updater) take(ctx context.Context, gate Gate, o order.Update) error {
	began := time.Now()
	show := func(n int64) { gate.SetUpdate(progress(o.Version, n, o.Size, time.Since(began))) }
	bundle, err := u.obtain(ctx, o, show)
	if err != nil {
		return err
	}
	defer bundle.Close()
	if err := u.install(ctx, gate, bundle, o); err != nil {
		return err
	}
	if gate.Idle(ctx); ctx.Err() != nil {
		return ctx.Err()
	}
	u.Log.Info("a new system is tried", "version", o.Version)
	u.mu.Lock()
	err = u.Machine.Try(imageOf(o), gate.Online())
	u.mu.Unlock()
	if err != nil {
		return fmt.Errorf("start it: %w", err)
	}
	<-ctx.Done() // the board is about to start again
	return ctx.Err()
}

// install writes the other slot.
func (u *Updater) install(ctx context.Context, gate Gate, bundle *os.File, o order.Update) (err error) {
	u.mu.Lock()
	to, err := u.Machine.Prepare(imageOf(o))
	u.mu.Unlock()
	if err != nil {
		return err
	}
	boot, root, err := u.Open(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, boot.Close(), root.Close()) }()
	u.Log.Info("update is written", "version", o.Version, "slot", to)
	gate.SetUpdate(&guard.Text{VI: fmt.Sprintf("Đang ghi bản %d", o.Version), EN: fmt.Sprintf("writing version %d", o.Version)})
	return install(ctx, bundle, boot, root, func(n int64) {
		gate.SetUpdate(&guard.Text{
			VI: fmt.Sprintf("Đang ghi bản %d: %d MB", o.Version, n>>20), EN: fmt.Sprintf("writing version %d: %d MB", o.Version, n>>20),
		})
	})
}

// progress says how much of a bundle has come, and how long the rest takes.
func progress(version int, n, size int64, took time.Duration) *guard.Text {
	percent := 100 * n / max(size, 1)
	t := &guard.Text{VI: fmt.Sprintf("Tải bản %d: %d %%", version, percent), EN: fmt.Sprintf("fetching version %d: %d percent", version, percent)}
	if n > 0 && took > time.Second {
		left := time.Duration(float64(took) * float64(size-n) / float64(n)).Round(time.Second)
		t.VI, t.EN = fmt.Sprintf("%s, còn %v", t.VI, left), fmt.Sprintf("%s, %v left", t.EN, left)
	}
	return t
}

// prove makes the system that is on trial the default when it is healthy, and starts the board again when it does not become so.
func (u *Updater) prove(ctx context.Context, gate Gate, online bool) error {
	u.mu.Lock()
	version := u.Machine.Version()
	u.mu.Unlock()
	gate.SetUpdate(&guard.Text{VI: fmt.Sprintf("Đang thử bản %d", version), EN: fmt.Sprintf("trying version %d", version)})
	defer gate.SetUpdate(nil)
	limit := time.NewTimer(u.Probation)
	defer limit.Stop()
	tick := time.NewTicker(lookAt)
	defer tick.Stop()
	since, lacks := time.Now(), ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-limit.C:
			u.Log.Error("the new system does not become healthy", "version", version, "lacks", lacks)
			return u.Restart()
		case <-tick.C:
		}
		if lacks = gate.Healthy(); lacks == "" && online && !gate.Online() {
			lacks = "the hub is not reached"
		}
		if lacks != "" {
			since = time.Now()
		}
		if time.Since(since) < steady {
			continue
		}
		u.mu.Lock()
		err := u.Machine.Healthy()
		u.mu.Unlock()
		if err != nil {
			lacks, since = err.Error(), time.Now()
			continue
		}
		gate.Record(ctx, fmt.Sprintf("update: version %d stands", version), false)
		gate.SetUpdate(nil)
		return u.Run(ctx, gate)
	}
}
