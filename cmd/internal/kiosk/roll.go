package kiosk

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/scanner/credential/claim"
	"gatepost/storage/entry"
)

// inside is somebody whose entrance was seen. It lives in this process alone, and only where the policy asks for it.
type inside struct {
	guard.Inside
	keys []string
}

// maxRoll bounds the roll; who comes later is counted and has no name.
const maxRoll = 20_000

// enlist puts whoever comes in on the roll, and takes off who goes out.
func (k *Kiosk) enlist(p passage, now time.Time) {
	keys := p.claims.Keys()
	if !k.Policy.RollCall || len(keys) == 0 {
		return
	}
	k.mu.Lock()
	defer k.mu.Unlock()
	if p.direction == entry.Out {
		delete(k.roll, keys[0])
	} else if len(k.roll) < maxRoll {
		k.roll[keys[0]] = inside{guard.Inside{Who: p.claims.Person.Short(), Lane: p.lane, At: now}, keys}
	}
}

// Roll returns who is inside. The memory decides: it knows of the other gates, of undone passages and of other codes of the
// same person. Whom it counts and the roll does not name came in before the program started, or at another gate.
func (k *Kiosk) Roll() guard.Roll {
	now := k.when(k.Clock.Stamp())
	k.mu.Lock()
	all := make([]inside, 0, len(k.roll))
	for _, i := range k.roll {
		all = append(all, i)
	}
	k.mu.Unlock()
	r := guard.Roll{Inside: []guard.Inside{}}
	for _, i := range all {
		if past := k.Memory.Past(i.keys, now); !past.Last.IsZero() && past.LastDirection == entry.In {
			r.Inside = append(r.Inside, i.Inside)
		} else {
			k.mu.Lock()
			delete(k.roll, i.keys[0])
			k.mu.Unlock()
		}
	}
	slices.SortFunc(r.Inside, func(a, b guard.Inside) int {
		return cmp.Or(strings.Compare(claim.Fold(a.Who), claim.Fold(b.Who)), a.At.Compare(b.At))
	})
	count, stale := k.Memory.Inside(now)
	r.Unnamed = max(0, count+stale-len(r.Inside))
	return r
}
