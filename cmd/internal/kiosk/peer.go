package kiosk

import (
	"context"
	"maps"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
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
	if p.OK {
		k.setFault("peer "+name, "")
	}
}

// PeerAlarm records what must not stay between two gates: that the other one's card was cloned or rolled back.
func (k *Kiosk) PeerAlarm(ctx context.Context, name, text string) {
	text = name + ": " + text
	k.Log.Error("peer alarm", "text", text)
	k.setFault("peer "+name, text)
	k.keepFault(ctx, entry.Fault{Part: "peer", Text: text})
}

// peerList returns the peers by name. The caller holds mu.
func (k *Kiosk) peerList() (list []guard.Peer) {
	for _, name := range slices.Sorted(maps.Keys(k.peers)) {
		list = append(list, k.peers[name])
	}
	return list
}
