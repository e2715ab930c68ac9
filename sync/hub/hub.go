// Package hub takes signed batches from devices, keeps them in a log that survives a power cut, and answers
// with signed receipts. The log is the truth; everything else at a hub can be rebuilt from it.
//
// A batch is stored whole, in its own bytes, and only when it goes on exactly where the hub's chain of its
// device ends; a device of which the hub holds nothing may begin in the middle, when it says that it means to. A receipt
// is signed only for what is on the disk. The hub holds no key that opens a sealed part.
//
// Batches that wait at the same moment are stored together. The log lies in the hub's own folder, or in a cluster that
// several hubs write to side by side: each batch is stored only behind the one that its hub took for the device's
// last, so that a hub which missed another's write finds out and reads again.
//
// It does not promise to notice that its folder was put back from an older copy, except that cursors
// beyond the log's end are known to be of another log.
package hub

import (
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// Options are what a hub is made of. Devices, ReceiptKey and Now are needed, and for Open Dir or Engine.
type Options struct {
	Dir        string                                    // the log's own folder
	Engine     string                                    // "nats://a:4222,nats://b:4222": the log is in that cluster; "": in Dir
	Devices    func(id string) (ed25519.PublicKey, bool) // who may send; called for every batch
	ReceiptKey ed25519.PrivateKey                        // signs receipts
	Now        func() time.Time                          // the time in receipts
	Kept       func() (place uint64, named bool)         // how far the consumer has come who is named the keeper; nil: nobody is
	Revoked    func(id string) bool                      // the authority has shut this device out; nil: none
	Orders     func(device string) string                // names the set of orders for a device, for its contact; nil: there are none
	Replaced   func(device string) bool                  // another device has taken this one's place; nil: unknown
	Pace       *Pace                                     // says when those come again who are sent away; nil: soon
	Log        *slog.Logger
}

// A Hub is safe for concurrent use.
type Hub struct {
	opt     Options
	store   Store
	epoch   string
	shared  bool           // other hubs write to the store as well
	slots   chan struct{}  // bounds the bodies that are held in memory at once
	line    atomic.Int64   // batches that wait for a slot
	stop    func()         // ends following
	follow  sync.WaitGroup // what follows other hubs
	release func()         // closes the store that Open opened

	mu    sync.Mutex               // guards what follows
	busy  map[string]chan struct{} // devices whose batch is being decided; closed when it is
	heads map[string]head
	kept  map[string]head // the last known head of a device that the keeper has
	last  uint64          // place of the log's newest message
	news  chan struct{}   // closed when last grows
}

// head is where the chain of one device ends, and the place of the message that ended it.
type head struct {
	entry.Head
	at    uint64 // 0: the hub holds nothing of the device
	doubt bool   // the chain may have gone on behind at: read the log before the next decision
}

// Open opens the log, or begins an empty one with an epoch of its own. A folder is locked until Close.
func Open(ctx context.Context, opt Options) (*Hub, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	e, err := openEngine(ctx, opt.Engine, opt.Dir, strings.ToLower(rand.Text()[:12]), opt.Log)
	if err != nil {
		return nil, fmt.Errorf("open hub: %w", err)
	}
	h, err := New(ctx, e, e.epoch, e.shared(), opt)
	if err != nil {
		e.close()
		return nil, err
	}
	h.release = e.close
	following, end := context.WithCancel(context.WithoutCancel(ctx))
	h.stop = end
	if h.shared {
		h.follow.Go(func() { h.followOthers(following, e) })
	}
	return h, nil
}

// New returns a hub over a store that its caller opens and closes, and whose log is named epoch; shared tells that
// others write to it, which its caller tells by Saw. Where a device's chain ends is read when the hub first needs it.
func New(ctx context.Context, s Store, epoch string, shared bool, opt Options) (*Hub, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	h := &Hub{
		opt: opt, store: s, epoch: epoch, shared: shared, slots: make(chan struct{}, maxSlots), busy: map[string]chan struct{}{},
		heads: map[string]head{}, kept: map[string]head{}, news: make(chan struct{}), stop: func() {}, release: func() {},
	}
	switch m, err := s.Last(ctx, anySubject); {
	case err == nil:
		h.last = m.Place
	case !errors.Is(err, ErrEmpty):
		return nil, fmt.Errorf("read the log's end: %w", err)
	}
	return h, nil
}

// Close ends the engine, or leaves the cluster. Requests that are still under way fail with a problem of the type "store".
func (h *Hub) Close() {
	h.stop()
	h.follow.Wait()
	h.release()
}

// followOthers notes what other hubs store, until ctx ends.
func (h *Hub) followOthers(ctx context.Context, e *engine) {
	for {
		last, _ := h.newest()
		err := e.follow(ctx, last, h.Saw)
		if ctx.Err() != nil {
			return
		}
		h.opt.Log.Warn("other hubs' batches are seen late", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(backTime):
		}
	}
}

// Saw notes a message of the log that may be another hub's.
func (h *Hub) Saw(subject string, seq uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if device, ok := deviceOf(subject); ok && h.heads[device].at < seq {
		h.heads[device] = head{at: seq, doubt: true}
	}
	h.stored(seq)
}

// readHead asks the log where the chain of device ends.
func (h *Hub) readHead(ctx context.Context, device string) (head, error) {
	m, err := h.store.Last(ctx, batchSubject+device)
	if errors.Is(err, ErrEmpty) {
		return head{}, nil
	}
	if err != nil {
		return head{}, fmt.Errorf("read the head of device %s: %w", device, err)
	}
	at, err := headIn(m)
	if err != nil {
		return head{}, fmt.Errorf("read the head of device %s: %w", device, err)
	}
	return at, nil
}

// headIn returns the head behind the batch in m.
func headIn(m Message) (head, error) {
	b, err := wire.Parse(m.Data)
	if err != nil {
		return head{}, fmt.Errorf("message %d: %w", m.Place, err)
	}
	return head{Head: b.After(), at: m.Place}, nil
}

// State tells where the hub stands with a device, with a fresh receipt when it holds anything, or, where a
// keeper is named, for what the keeper has. An error means that the log does not answer.
func (h *Hub) State(ctx context.Context, device string) (wire.State, error) {
	if h.shared { // another hub may have stored what the device asks about
		h.doubt(device)
	}
	at, err := h.head(ctx, device)
	if err != nil {
		return wire.State{}, err
	}
	return h.state(ctx, device, at), nil
}

// state makes the answer for a device whose chain ends at at.
func (h *Hub) state(ctx context.Context, device string, at head) wire.State {
	s := wire.State{Device: device, Seq: at.Seq}
	if at.Seq == 0 {
		return s
	}
	s.Hash = at.Hash.String()
	kept, err := h.keptHead(ctx, device, at)
	if err != nil { // the receipt comes with a later answer
		h.opt.Log.Warn("what the keeper has cannot be read", "device", device, "error", err)
	}
	if kept.Seq > 0 {
		r := entry.NewReceipt(h.opt.ReceiptKey, device, kept.Head, h.opt.Now())
		s.Receipt = &r
	}
	return s
}

// Epoch names this log. A cursor that carries another epoch is of a log that is gone.
func (h *Hub) Epoch() string { return h.epoch }

// Read returns up to max records that stand after the place after, in order, and the place of the newest
// record of the log. No records means that there are none yet.
func (h *Hub) Read(ctx context.Context, after uint64, max int) (records []wire.Record, last uint64, err error) {
	if last, err = h.end(ctx, after); err != nil {
		return nil, 0, err
	}
	for next := after + 1; next > after && next <= last && len(records) < max; {
		some, err := h.from(ctx, next, max-len(records))
		if err != nil {
			return nil, last, fmt.Errorf("read record %d: %w", next, err)
		}
		for _, m := range some {
			if m.Place > last { // stored since: the next question gets it
				return records, last, nil
			}
			r, err := record(m)
			if err != nil {
				return nil, last, err
			}
			records, next = append(records, r), m.Place+1
		}
	}
	return records, last, nil
}

// end returns the place of the log's newest record. Where other hubs write, and a reader comes from behind the newest one
// that this hub knows, it asks the log: the reader was at another hub before.
func (h *Hub) end(ctx context.Context, after uint64) (last uint64, err error) {
	if last, _ = h.newest(); !h.shared || after < last {
		return last, nil
	}
	switch m, err := h.store.Last(ctx, anySubject); {
	case err == nil:
		h.mu.Lock()
		defer h.mu.Unlock()
		h.stored(m.Place)
		return h.last, nil
	case !errors.Is(err, ErrEmpty):
		return last, fmt.Errorf("read the log's end: %w", err)
	}
	return last, nil
}

func record(m Message) (wire.Record, error) {
	r := wire.Record{Seq: m.Place, At: m.At}
	if strings.HasPrefix(m.Subject, releaseSubject) {
		err := readRelease(m.Data, &r)
		return r, err
	}
	if !strings.HasPrefix(m.Subject, alarmSubject) {
		r.Raw = m.Data
		return r, nil
	}
	r.Alarm = new(wire.Alarm)
	if err := json.Unmarshal(m.Data, r.Alarm); err != nil {
		return r, fmt.Errorf("read alarm %d: %w", m.Place, err)
	}
	return r, nil
}

// Wait returns when the log holds a record after the place after, or with ctx's error.
func (h *Hub) Wait(ctx context.Context, after uint64) error {
	for {
		last, news := h.newest()
		if last > after {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (h *Hub) newest() (last uint64, news <-chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.last, h.news
}

// stored notes that the log has grown to the place at. h.mu is held.
func (h *Hub) stored(at uint64) {
	if at > h.last {
		h.last = at
		close(h.news)
		h.news = make(chan struct{})
	}
}
