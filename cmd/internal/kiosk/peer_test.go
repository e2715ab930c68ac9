package kiosk

import (
	"testing"
	"time"

	"gatepost/scanner/credential"
	"gatepost/storage/entry"
	"gatepost/storage/memory"
)

// Who passed at another gate is "already in" here at once, and is ignored only where they stood.
func TestAlreadyInAtAnotherGate(t *testing.T) {
	b := newBench(t)
	code := b.declare(b.healthy(), morning)
	keys := credential.Parse(code, b.Trust).Keys()
	now := b.clock()
	b.Memory.Replay(memory.Passage{Gate: "another", Seq: 7, Tag: b.Memory.Tag(keys, now), Direction: entry.In, At: now})
	b.pass(time.Second)
	b.want("at another gate a second ago", b.show(code), entry.Look, entry.ReasonDuplicate)
	if s := b.State(); s.Inside != 1 {
		t.Errorf("%d inside", s.Inside)
	}
}

// A peer that is away is a word on the page and no fault; the page is told of changes alone.
func TestPeersOnThePage(t *testing.T) {
	b := newBench(t)
	first := b.Changed()
	b.SetPeer("gate-2", time.Time{}, "not asked yet")
	<-first
	b.SetPeer("gate-2", morning, "")
	second := b.Changed()
	b.SetPeer("gate-2", morning.Add(time.Minute), "")
	select {
	case <-second:
		t.Error("the page is told that nothing changed")
	default:
	}
	b.SetPeer("gate-2", morning.Add(time.Minute), "refused")
	<-second
	s := b.State()
	if len(s.Faults) > 0 || len(s.Peers) != 1 || s.Peers[0].OK || !s.Peers[0].Seen.Equal(morning.Add(time.Minute)) || s.Peers[0].Text != "refused" {
		t.Errorf("%+v, faults %q", s.Peers, s.Faults)
	}
}
