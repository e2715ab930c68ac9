// Package hub takes signed batches from devices, keeps them in a log that survives a power cut, and answers
// with signed receipts. The log is the truth; everything else at a hub can be rebuilt from it.
//
// A batch is stored whole, in its own bytes, and only when it goes on exactly where the hub's chain of its
// device ends; a device of which the hub holds nothing may begin anywhere. A receipt is signed only for
// what is on the disk. The hub holds no key that opens a sealed part.
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
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/nats-io/nats.go/jetstream"
)

// Options are what a hub is made of. All but Log are needed.
type Options struct {
	Dir        string                                    // the log's own folder
	Devices    func(id string) (ed25519.PublicKey, bool) // who may send; called for every batch
	ReceiptKey ed25519.PrivateKey                        // signs receipts
	Now        func() time.Time                          // the time in receipts
	Log        *slog.Logger
}

// A Hub is safe for concurrent use.
type Hub struct {
	opt    Options
	engine *engine
	writer chan struct{} // holds one token; who has it may store. Waiting senders are served in order
	slots  chan struct{} // bounds the bodies that are held in memory at once

	mu     sync.Mutex // guards what follows
	heads  map[string]head
	alarms map[string]int // stored alarms of a device
	last   uint64         // place of the log's newest message
	news   chan struct{}  // closed when last grows
}

// head is where the chain of one device ends, and the place of the message that ended it.
type head struct {
	entry.Head
	at    uint64 // 0: the hub holds nothing of the device
	doubt bool   // a store's outcome is unknown: read the log before the next decision
}

// Open opens the log below opt.Dir, or begins an empty one with an epoch of its own, and reads where each
// device's chain ends. The folder is locked until Close.
func Open(ctx context.Context, opt Options) (*Hub, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	e, err := openEngine(ctx, opt.Dir, strings.ToLower(rand.Text()[:12]), opt.Log)
	if err != nil {
		return nil, fmt.Errorf("open hub: %w", err)
	}
	h := &Hub{
		opt: opt, engine: e, writer: make(chan struct{}, 1), slots: make(chan struct{}, maxSlots),
		heads: map[string]head{}, alarms: map[string]int{}, news: make(chan struct{}),
	}
	if err := h.rebuild(ctx); err != nil {
		e.close()
		return nil, fmt.Errorf("read the log's heads: %w", err)
	}
	return h, nil
}

// Close ends the engine. Requests that are still under way fail with a problem of the type "store".
func (h *Hub) Close() { h.engine.close() }

// rebuild reads the last batch of every device, and all alarms.
func (h *Hub) rebuild(ctx context.Context) error {
	last, subjects, err := h.engine.state(ctx, batchSubject+"*")
	if err != nil {
		return err
	}
	h.last = last
	for _, s := range subjects {
		device := strings.TrimPrefix(s, batchSubject)
		if h.heads[device], err = h.readHead(ctx, device); err != nil {
			return err
		}
	}
	for seq := uint64(1); ; seq++ {
		m, err := h.engine.at(ctx, seq, alarmSubject+"*")
		if errors.Is(err, errEmpty) {
			return nil
		}
		if err != nil {
			return err
		}
		h.alarms[strings.TrimPrefix(m.Subject, alarmSubject)]++
		seq = m.Sequence
	}
}

// readHead asks the log where the chain of device ends.
func (h *Hub) readHead(ctx context.Context, device string) (head, error) {
	m, err := h.engine.last(ctx, batchSubject+device)
	if errors.Is(err, errEmpty) {
		return head{}, nil
	}
	if err != nil {
		return head{}, fmt.Errorf("read the head of device %s: %w", device, err)
	}
	b, err := wire.Parse(m.Data)
	if err != nil {
		return head{}, fmt.Errorf("read the head of device %s: message %d: %w", device, m.Sequence, err)
	}
	return head{Head: b.After(), at: m.Sequence}, nil
}

// State tells where the hub stands with a device, with a fresh receipt when it holds anything. An error
// means that the log does not answer.
func (h *Hub) State(ctx context.Context, device string) (wire.State, error) {
	at, err := h.head(ctx, device)
	if err != nil {
		return wire.State{}, err
	}
	return h.state(device, at.Head), nil
}

func (h *Hub) state(device string, at entry.Head) wire.State {
	s := wire.State{Device: device, Seq: at.Seq}
	if at.Seq > 0 {
		r := entry.NewReceipt(h.opt.ReceiptKey, device, at, h.opt.Now())
		s.Hash, s.Receipt = at.Hash.String(), &r
	}
	return s
}

// Epoch names this log. A cursor that carries another epoch is of a log that is gone.
func (h *Hub) Epoch() string { return h.engine.epoch }

// Read returns up to max records that stand after the place after, in order, and the place of the newest
// record of the log. No records means that there are none yet.
func (h *Hub) Read(ctx context.Context, after uint64, max int) (records []wire.Record, last uint64, err error) {
	last, _ = h.newest()
	for seq := after + 1; seq > after && seq <= last && len(records) < max; seq++ {
		m, err := h.engine.at(ctx, seq, "*.*")
		if err != nil {
			return nil, last, fmt.Errorf("read record %d: %w", seq, err)
		}
		r, err := record(m)
		if err != nil {
			return nil, last, err
		}
		records = append(records, r)
	}
	return records, last, nil
}

func record(m *jetstream.RawStreamMsg) (wire.Record, error) {
	r := wire.Record{Seq: m.Sequence, At: m.Time}
	if !strings.HasPrefix(m.Subject, alarmSubject) {
		r.Raw = m.Data
		return r, nil
	}
	r.Alarm = new(wire.Alarm)
	if err := json.Unmarshal(m.Data, r.Alarm); err != nil {
		return r, fmt.Errorf("read alarm %d: %w", m.Sequence, err)
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
