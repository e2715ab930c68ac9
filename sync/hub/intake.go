package hub

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	maxTries  = 3   // of one batch, when another writer was quicker or an outcome is unknown
	maxAlarms = 100 // stored for one device; more of them say nothing new and are logged only
)

// Put takes a batch in its own bytes. It returns the hub's state once every entry of the batch is durable
// here, now or from an earlier time. Every error is a wire.Problem, and nothing was stored then, except
// that after a ProblemStore nobody knows: the sender sends again.
func (h *Hub) Put(ctx context.Context, raw []byte) (wire.State, error) { return h.put(ctx, raw, false) }

// Begin is Put for a sender who knows that the hub holds nothing of the device, and that the entries before the batch are
// not to be had any more. A sender who does not know might leave out what a lost log held.
func (h *Hub) Begin(ctx context.Context, raw []byte) (wire.State, error) {
	return h.put(ctx, raw, true)
}

func (h *Hub) put(ctx context.Context, raw []byte, begins bool) (wire.State, error) {
	b, err := h.check(raw)
	if err != nil {
		return wire.State{}, err
	}
	release, err := h.hold(ctx, b.Device)
	if err != nil {
		return wire.State{}, busyHub()
	}
	defer release()
	for range maxTries {
		at, where, err := h.decide(ctx, b, begins)
		if err != nil {
			return wire.State{}, h.notStored(b.Device, err)
		}
		switch where {
		case isStored:
			return h.state(ctx, b.Device, at), nil
		case elsewhere:
			return wire.State{}, h.refuse(ctx, b.Device, at, wire.ProblemStep, "batch does not go on from the hub's head")
		case isFork:
			h.raise(ctx, b, at.Head)
			return wire.State{}, h.refuse(ctx, b.Device, at, wire.ProblemFork, "same sequence, another hash")
		}
		seq, err := h.store.Append(ctx, batchSubject+b.Device, raw, at.at)
		if err == nil {
			return h.keep(ctx, b, at, seq), nil
		}
		h.doubt(b.Device)
		if ctx.Err() != nil {
			return wire.State{}, busyHub()
		}
		h.opt.Log.Warn("a store's outcome is unknown, reading the log", "device", b.Device, "error", err)
	}
	return wire.State{}, h.notStored(b.Device, errors.New("tried several times"))
}

// hold keeps other batches of device waiting until release is called. An error is ctx's.
func (h *Hub) hold(ctx context.Context, device string) (release func(), err error) {
	for {
		h.mu.Lock()
		other := h.busy[device]
		if other == nil {
			done := make(chan struct{})
			h.busy[device] = done
			h.mu.Unlock()
			return func() { h.free(device, done) }, nil
		}
		h.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (h *Hub) free(device string, done chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.busy, device)
	close(done)
}

// decide tells where b stands. Where other hubs write, nothing is refused by a head that is only remembered.
func (h *Hub) decide(ctx context.Context, b wire.Batch, begins bool) (head, where, error) {
	at, err := h.head(ctx, b.Device)
	if err == nil && h.shared && place(at.Head, b, begins) != goesOn {
		h.doubt(b.Device)
		at, err = h.head(ctx, b.Device)
	}
	if err != nil {
		return at, 0, err
	}
	return at, place(at.Head, b, begins), nil
}

// check tells whether raw is a batch of a device that may send.
func (h *Hub) check(raw []byte) (wire.Batch, error) {
	b, err := wire.Parse(raw)
	if err != nil {
		return b, problem(wire.ProblemBatch, http.StatusBadRequest, "not a batch", err.Error())
	}
	pub, err := h.Known(b.Device)
	if err != nil {
		return b, err
	}
	if err := b.Verify(pub); err != nil {
		return b, problem(wire.ProblemSignature, http.StatusForbidden, "wrong signature", "")
	}
	return b, nil
}

// where a batch stands, seen from the head that the hub holds.
type where int

const (
	goesOn    where = iota // right behind the head, or it begins the chain
	isStored               // it ends at the head
	elsewhere              // it overlaps the head, lies before it, or leaves a gap
	isFork                 // it has another entry where the hub has one
)

func place(at entry.Head, b wire.Batch, begins bool) where {
	if _, err := at.Follow(b.Entries[0]); at.Seq == 0 && begins || err == nil {
		return goesOn
	}
	if b.After() == at {
		return isStored
	}
	if hash, ok := hashAt(b, at.Seq); ok && hash != at.Hash {
		return isFork
	}
	return elsewhere
}

// hashAt returns the hash that b has at seq, if seq lies between its two heads, both included, and in no gap.
func hashAt(b wire.Batch, seq uint64) (h entry.Hash, ok bool) {
	if seq == b.Before().Seq {
		return b.Before().Hash, true
	}
	for _, raw := range b.Entries {
		if at, err := entry.HeadOf(raw); err == nil && at.Seq == seq {
			return at.Hash, true
		}
	}
	return h, false
}

// head returns where the chain of device ends, from the log at first and when there is a doubt.
func (h *Hub) head(ctx context.Context, device string) (head, error) {
	h.mu.Lock()
	known, read := h.heads[device]
	h.mu.Unlock()
	if read && !known.doubt {
		return known, nil
	}
	at, err := h.readHead(ctx, device)
	if err != nil {
		return head{}, err
	}
	if at.at < known.at {
		return head{}, fmt.Errorf("log answers with message %d of device %s, and %d is there", at.at, device, known.at)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.note(device, at)
	return at, nil
}

// note keeps a head that was read or stored, unless the chain is known to go on behind it. h.mu is held.
func (h *Hub) note(device string, at head) {
	if at.at >= h.heads[device].at {
		h.heads[device] = at
	}
	h.stored(at.at)
}

func (h *Hub) doubt(device string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	at := h.heads[device]
	at.doubt = true
	h.heads[device] = at
}

// keep notes a batch that has become durable behind before, at the place seq.
func (h *Hub) keep(ctx context.Context, b wire.Batch, before head, seq uint64) wire.State {
	at := head{Head: b.After(), at: seq}
	h.mu.Lock()
	h.note(b.Device, at)
	h.mu.Unlock()
	if before.at == 0 {
		h.opt.Log.Info("a device's chain begins here", "device", b.Device, "after", b.Before().Seq)
	}
	h.tellGaps(b)
	return h.state(ctx, b.Device, at)
}

// tellGaps logs what a device says that it has lost.
func (h *Hub) tellGaps(b wire.Batch) {
	for _, raw := range b.Entries {
		e, err := entry.Parse(raw)
		if err != nil {
			return
		}
		if g, err := entry.Decode[entry.Gap](e); err == nil {
			h.opt.Log.Error("a device has lost entries", "device", b.Device, "from", g.First, "to", g.Last, "why", g.Why)
		}
	}
}

// raise stores an alarm, once, so that it outlives the hub and reaches every page. The caller holds the device.
func (h *Hub) raise(ctx context.Context, b wire.Batch, at entry.Head) {
	theirs, _ := hashAt(b, at.Seq)
	a := wire.Alarm{Device: b.Device, Seq: at.Seq, Ours: at.Hash.String(), Theirs: theirs.String()}
	if h.opt.Replaced != nil && h.opt.Replaced(b.Device) {
		a.Kind = wire.AlarmReplaced
	}
	log := h.opt.Log.With("device", a.Device, "seq", a.Seq, "ours", a.Ours, "theirs", a.Theirs, "kind", a.Kind)
	log.Error("same sequence, another hash: a card was cloned or rolled back, or its device was replaced and is still in use")
	if err := h.storeAlarm(ctx, a); err != nil {
		log.Error("alarm not stored", "error", err)
	}
}

func (h *Hub) storeAlarm(ctx context.Context, a wire.Alarm) error {
	data, err := json.Marshal(a)
	if err != nil {
		return err
	}
	subject := alarmSubject + a.Device
	var prev uint64
	switch m, err := h.store.Last(ctx, subject); {
	case err == nil && bytes.Equal(m.Data, data):
		return nil // said already; the device is only trying again
	case err == nil:
		prev = m.Place
	case !errors.Is(err, ErrEmpty):
		return err
	}
	if enough, err := h.holds(ctx, subject, maxAlarms); err != nil || enough {
		return err
	}
	seq, err := h.store.Append(ctx, subject, data, prev)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stored(seq)
	return nil
}

// holds tells whether the store has n messages of a subject.
func (h *Hub) holds(ctx context.Context, subject string, n int) (bool, error) {
	for place := uint64(1); n > 0; n-- {
		m, err := h.store.First(ctx, place, subject)
		if errors.Is(err, ErrEmpty) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		place = m.Place + 1
	}
	return true, nil
}

// refuse tells the sender where the hub stands.
func (h *Hub) refuse(ctx context.Context, device string, at head, kind, title string) wire.Problem {
	p := problem(kind, http.StatusConflict, title, "")
	s := h.state(ctx, device, at)
	p.State = &s
	return p
}

func busyHub() wire.Problem {
	return problem(wire.ProblemStore, http.StatusServiceUnavailable, "not stored", "the hub is busy")
}

func (h *Hub) notStored(device string, err error) wire.Problem {
	h.opt.Log.Error("batch not stored", "device", device, "error", err)
	return problem(wire.ProblemStore, http.StatusServiceUnavailable, "not stored", "the log does not answer; send again later")
}

func problem(kind string, status int, title, detail string) wire.Problem {
	return wire.Problem{Type: kind, Title: title, Status: status, Detail: detail}
}
