package kiosk

import (
	"maps"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
)

// Now is the time by which a day ends here: that of the clock, unless nobody trusts it.
func (k *Kiosk) Now() time.Time { return k.when(k.Clock.Stamp()) }

// SetPeer takes the news of another gate of the venue: when it was last seen, and why it is not now. That is no fault:
// nothing here waits for it.
func (k *Kiosk) SetPeer(name string, seen time.Time, problem string) {
	p := guard.Peer{Name: name, OK: problem == "", Text: problem}
	if !seen.IsZero() {
		p.Seen = &seen
	}
	k.mu.Lock()
	same := k.peers[name].OK == p.OK && k.peers[name].Text == p.Text
	k.peers[name] = p
	k.mu.Unlock()
	if !same {
		k.change(func() {})
	}
}

// peerList returns the peers by name. The caller holds mu.
func (k *Kiosk) peerList() (list []guard.Peer) {
	for _, name := range slices.Sorted(maps.Keys(k.peers)) {
		list = append(list, k.peers[name])
	}
	return list
}
