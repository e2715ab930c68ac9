package sim

import (
	"fmt"
	"slices"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
)

// rest reports whether nothing is left to do.
func (t *truth) rest() bool { return t.unrest() == "" }

// unrest says what is still to come, or "".
func (t *truth) unrest() string {
	for _, s := range t.w.servers {
		if !s.up {
			return fmt.Sprintf("server %d is down", s.n)
		}
	}
	for _, k := range t.w.kiosks {
		if !k.up || k.stepping || !k.begun {
			return k.name + " is not up"
		}
		if k.uplink.Well() && k.journal.Receipted() == k.journal.Head().Seq || t.stuck(k) {
			continue
		}
		return fmt.Sprintf("%s: receipts end at %d of %d", k.name, k.journal.Receipted(), k.journal.Head().Seq)
	}
	for _, p := range t.w.pullers {
		for _, h := range t.order {
			if c := t.epoch().chain(h.id); c.head.Seq > 0 && (p.table[h.id] == nil || p.table[h.id].hash[c.head.Seq] != c.head.Hash) {
				return p.name + " has not pulled all"
			}
		}
	}
	return ""
}

// stuck reports whether a kiosk has a reason not to send: it is revoked, or it has raised an alarm that only a person ends.
func (t *truth) stuck(k *kiosk) bool {
	h := t.history(k.id)
	return t.w.revoked[k.id] || h.turned && (h.told || k.uplink.Well()) || t.behind(k)
}

// behind reports whether the log, which was lost before, ends among the entries that the kiosk has deleted, and the kiosk
// says so.
func (t *truth) behind(k *kiosk) bool {
	c := t.epoch().chains[k.id]
	return len(t.epochs) > 1 && c != nil && c.head.Seq+1 < k.journal.First() && !k.uplink.Well() && len(k.alarms) > 0
}

// settle gives the verdict over a world at rest.
func (t *truth) settle() {
	for _, h := range t.order {
		if t.w.failed != "" {
			return
		}
		if h.turned {
			t.settleFork(h)
		} else {
			t.settleDevice(h)
		}
	}
}

// settleDevice looks for every entry that was acknowledged.
func (t *truth) settleDevice(h *history) {
	k := t.owner(h)
	aside, err := uplink.SetAside(k.asideFile())
	t.w.must(err)
	for _, seq := range aside {
		if seq != t.w.poison[k.id] {
			t.w.fail("%s has set entry %d aside, which no hub refuses", k.name, seq)
		}
	}
	for seq := uint64(1); seq <= k.journal.Head().Seq; seq++ {
		for _, r := range h.made[seq] {
			if why := t.missing(k, entry.Head{Seq: seq, Hash: r.hash}, aside); why != "" && r.acknowledged {
				t.lost++
				t.w.fail("entry %d of %s is lost: %s", seq, k.name, why)
			}
		}
	}
}

func (t *truth) owner(h *history) *kiosk {
	i := slices.IndexFunc(t.w.kiosks, func(k *kiosk) bool { return k.id == h.id })
	return t.w.kiosks[i]
}

// missing says why an entry is neither with every puller nor accounted for, or "".
func (t *truth) missing(k *kiosk, at entry.Head, aside []uint64) string {
	here := journal.ErrPruned
	if at.Seq >= k.journal.First() {
		_, here = k.journal.Hash(at.Seq)
	}
	if slices.Contains(aside, at.Seq) && here != nil {
		return "it was set aside and deleted"
	}
	for _, p := range t.w.pullers {
		rs := p.table[k.id]
		covered := func(g entry.Gap) bool { return g.First <= at.Seq && at.Seq <= g.Last }
		switch {
		case rs != nil && rs.hash[at.Seq] == at.Hash && !slices.ContainsFunc(rs.gaps, covered):
		case rs != nil && rs.hash[at.Seq] == at.Hash && slices.Contains(aside, at.Seq):
		case here == nil && (t.w.revoked[k.id] || t.behind(k)):
		case here != nil && t.forgotten(k, at) && (p.name != t.w.keeper || t.w.fate.moves):
		default:
			return p.name + " does not have it"
		}
	}
	return ""
}

// forgotten reports whether a log held the entry and was lost.
func (t *truth) forgotten(k *kiosk, at entry.Head) bool {
	return slices.ContainsFunc(t.epochs[:len(t.epochs)-1], func(e *epoch) bool {
		return e.chains[k.id] != nil && e.chains[k.id].hash[at.Seq] == at.Hash
	})
}

// settleFork looks for the alarm where a kiosk's chain and the log's part.
func (t *truth) settleFork(h *history) {
	c := t.epoch().chain(h.id)
	for _, k := range t.w.kiosks {
		if k.id != h.id || h.told || t.w.revoked[h.id] { // no hub speaks to one that is revoked
			continue
		}
		at := c.head.Seq
		if ours, err := k.journal.Hash(at); at > k.journal.Head().Seq || err == nil && at > 0 && ours != c.head.Hash {
			t.w.fail("%s and the log hold other entries %d of %s, and nobody was told", k.name, at, short(h.id))
		}
	}
}
