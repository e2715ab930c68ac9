package sim

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gatepost/storage/entry"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// truth is what has happened, as the world has seen it with its own eyes. Each of its methods is told of one step, and
// fails the world when the step breaks a promise.
type truth struct {
	w       *world
	devices map[string]*history
	order   []*history
	epochs  []*epoch // the last one is the log's

	lost, doubled int
}

// A history is everything that a device ever wrote.
type history struct {
	id     string
	made   map[uint64][]record        // by sequence; several where the device has forked
	signed map[uint64]map[string]bool // hashes for which a hub has signed
	forked bool                       // there are two entries with one sequence
	turned bool                       // a card was set back or cloned
	told   bool                       // an alarm said so
}

type record struct {
	hash         entry.Hash
	acknowledged bool
}

// An epoch is what one log holds.
type epoch struct {
	name   string
	chains map[string]*chain
}

type chain struct {
	head entry.Head
	hash map[uint64]entry.Hash
	gaps []entry.Gap
	ends []end
}

// An end is where a batch ended.
type end struct {
	place uint64
	entry.Head
}

func newTruth(w *world) *truth {
	t := &truth{w: w, devices: map[string]*history{}}
	t.lostLog()
	return t
}

func (t *truth) lostLog() {
	t.epochs = append(t.epochs, &epoch{name: fmt.Sprint("epoch", len(t.epochs)), chains: map[string]*chain{}})
}

func (t *truth) epoch() *epoch { return t.epochs[len(t.epochs)-1] }

func (t *truth) history(id string) *history {
	h := t.devices[id]
	if h == nil {
		h = &history{id: id, made: map[uint64][]record{}, signed: map[uint64]map[string]bool{}}
		t.devices[id] = h
		t.order = append(t.order, h)
	}
	return h
}

func (e *epoch) chain(device string) *chain {
	c := e.chains[device]
	if c == nil {
		c = &chain{hash: map[uint64]entry.Hash{}}
		e.chains[device] = c
	}
	return c
}

// made: a kiosk's journal has an entry.
func (t *truth) made(k *kiosk, at entry.Head, acknowledged bool) {
	h := t.history(k.id)
	list := h.made[at.Seq]
	for i := range list {
		if list[i].hash == at.Hash {
			list[i].acknowledged = list[i].acknowledged || acknowledged
			return
		}
	}
	h.made[at.Seq] = append(list, record{at.Hash, acknowledged})
	if len(list) > 0 {
		h.forked = true
		if !h.turned {
			t.w.fail("%s wrote a second entry %d", k.name, at.Seq)
		}
	}
}

func (h *history) wrote(at entry.Head) bool {
	return slices.ContainsFunc(h.made[at.Seq], func(r record) bool { return r.hash == at.Hash })
}

// setBack: another copy of a card is in use.
func (t *truth) setBack(k *kiosk) { t.history(k.id).turned = true }

// alarm: somebody was told that a device has forked.
func (t *truth) alarm(id string) {
	h := t.history(id)
	if !h.turned {
		t.w.fail("false alarm: device %s was neither cloned nor set back", short(id))
	}
	h.told = true
}

// stored: the log has a message.
func (t *truth) stored(m hub.Message) {
	t.w.saw(m)
	id, isBatch := strings.CutPrefix(m.Subject, "log.")
	if !isBatch {
		t.w.say("log: %d is an alarm", m.Place)
		t.alarm(strings.TrimPrefix(m.Subject, "alarm."))
		return
	}
	b, err := wire.Parse(m.Data)
	t.w.must(err)
	c := t.epoch().chain(id)
	t.w.say("log: %d has %d to %d of %s", m.Place, b.Before().Seq+1, b.After().Seq, short(id))
	if c.head.Seq == 0 {
		c.head = b.Before()
	}
	for _, raw := range b.Entries {
		next, err := c.head.Follow(raw)
		if err != nil {
			h, _ := entry.HeadOf(raw)
			t.broken(c.head, h, "the log has entry %d of %s behind %d: %v", h.Seq, short(id), c.head.Seq, err)
			return
		}
		if g, ok := gapIn(raw); ok {
			c.gaps = append(c.gaps, g)
		} else if !t.history(id).wrote(next) {
			t.w.fail("the log has an entry %d of %s that nobody wrote", next.Seq, short(id))
		}
		c.head, c.hash[next.Seq] = next, next.Hash
	}
	c.ends = append(c.ends, end{m.Place, c.head})
}

func gapIn(raw []byte) (entry.Gap, bool) {
	e, err := entry.Parse(raw)
	if err != nil {
		return entry.Gap{}, false
	}
	g, err := entry.Decode[entry.Gap](e)
	return g, err == nil
}

// broken counts a chain that does not go on as it should.
func (t *truth) broken(before, got entry.Head, format string, a ...any) {
	if got.Seq <= before.Seq {
		t.doubled++
	} else {
		t.lost++
	}
	t.w.fail(format, a...)
}

// answered: a hub has said something about a device, to whom ever.
func (t *truth) answered(s *server, r *http.Request, sent []byte, status int, body []byte) {
	if r.URL.Path != wire.PathBatches && !strings.HasPrefix(r.URL.Path, wire.PathDevice) {
		return
	}
	var p wire.Problem
	var state wire.State
	if status != http.StatusOK {
		t.w.must(json.Unmarshal(body, &p))
		if p.State == nil {
			return
		}
		state = *p.State
	} else {
		t.w.must(json.Unmarshal(body, &state))
	}
	if status == http.StatusOK && r.Method == http.MethodPost {
		t.took(s, sent)
	}
	if state.Seq > 0 && t.epoch().chain(state.Device).hash[state.Seq].String() != state.Hash {
		t.w.fail("server %d says that it holds entry %d of %s, and the log does not", s.n, state.Seq, short(state.Device))
	}
	if state.Receipt != nil {
		t.receipt(s, *state.Receipt)
	}
}

// took: a hub has said that it holds a batch.
func (t *truth) took(s *server, raw []byte) {
	b, err := wire.Parse(raw)
	t.w.must(err)
	for _, raw := range b.Entries {
		if h, err := entry.HeadOf(raw); err != nil || t.epoch().chain(b.Device).hash[h.Seq] != h.Hash {
			t.w.fail("server %d has taken entry %d of %s, and the log does not hold it", s.n, h.Seq, short(b.Device))
			return
		}
	}
}

// receipt: a hub has signed.
func (t *truth) receipt(s *server, r entry.Receipt) {
	at, err := r.Head()
	t.w.must(err)
	if t.epoch().chain(r.Device).hash[r.Seq] != at.Hash {
		t.w.fail("server %d has signed for entry %d of %s, and the log does not hold it", s.n, r.Seq, short(r.Device))
	}
	for _, p := range t.w.pullers {
		if p.name == s.keeper && (p.table[r.Device] == nil || p.table[r.Device].hash[r.Seq] != at.Hash) {
			t.w.fail("server %d has signed for entry %d of %s, and the keeper does not have it", s.n, r.Seq, short(r.Device))
		}
	}
	h := t.history(r.Device)
	if h.signed[r.Seq] == nil {
		h.signed[r.Seq] = map[string]bool{}
	}
	h.signed[r.Seq][r.Hash] = true
}

// heard: a kiosk has got a whole answer. It says what its journal may take for receipted from now on.
func (t *truth) heard(k *kiosk, r *http.Request, status int, body []byte) {
	var s wire.State
	if status != http.StatusOK || json.Unmarshal(body, &s) != nil || s.Device != k.id {
		return
	}
	first := k.journal.First()
	if r.Method == http.MethodGet && s.Seq < k.proved && (s.Seq == 0 || s.Seq+1 >= first) {
		ours, err := k.journal.Hash(s.Seq)
		if s.Seq == 0 || err == nil && ours.String() == s.Hash {
			k.proved = max(s.Seq, first-1)
		}
	}
	if s.Receipt != nil {
		k.proved = max(k.proved, s.Receipt.Seq)
	}
}

// stepped: an uplink has made a step.
func (t *truth) stepped(k *kiosk) {
	if got := k.journal.Receipted(); got > k.proved {
		t.w.fail("%s takes %d for receipted, and the hub's last word covers %d", k.name, got, k.proved)
	}
}

// tookReceipt: a kiosk has looked for a receipt on a stick.
func (t *truth) tookReceipt(k *kiosk) {
	r, ok := k.journal.Receipt()
	if ok && !t.history(k.id).signed[r.Seq][r.Hash] {
		t.w.fail("%s has taken a receipt for entry %d that no hub has signed", k.name, r.Seq)
	}
	k.proved = max(k.proved, k.journal.Receipted())
}

// pruned: a kiosk has deleted the entries from before on.
func (t *truth) pruned(k *kiosk, before uint64) {
	if first := k.journal.First(); first > before && first-1 > k.proved {
		t.w.fail("%s has deleted entry %d, and its receipts end at %d", k.name, first-1, k.proved)
	}
}

// poisoned reports whether a hub that cannot read one of a device's entries refuses b.
func (t *truth) poisoned(b wire.Batch) bool {
	for _, raw := range b.Entries {
		h, err := entry.HeadOf(raw)
		if _, gap := gapIn(raw); err == nil && !gap && h.Seq == t.w.poison[b.Device] {
			return true
		}
	}
	return false
}

// pulled: a puller has an entry in its table.
func (t *truth) pulled(p *puller, l pull.Line, at entry.Head) {
	rs := p.table[l.Device]
	if rs == nil {
		rs = &rows{hash: map[uint64]entry.Hash{}}
		p.table[l.Device] = rs
	}
	h := t.history(l.Device)
	if g, ok := gapIn(l.Entry); ok {
		rs.gaps = append(rs.gaps, g)
	} else if !h.wrote(at) {
		t.w.fail("%s got an entry %d of %s that nobody wrote", p.name, at.Seq, short(l.Device))
	}
	if old, ok := rs.hash[at.Seq]; ok && old != at.Hash && !h.forked {
		t.w.fail("%s has two entries %d of %s", p.name, at.Seq, short(l.Device))
	}
	rs.hash[at.Seq] = at.Hash
}
