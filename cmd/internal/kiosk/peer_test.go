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

// A peer whose log does not hold is a fault in the journal and on the page, until its log holds again.
func TestPeerAlarm(t *testing.T) {
	b := newBench(t)
	b.PeerAlarm(t.Context(), "gate-2", "its log does not hold")
	s := b.State()
	raws, err := b.Journal.Range(s.Seq-1, 1, entry.MaxSize)
	if err != nil || len(raws) != 1 || len(s.Faults) != 1 {
		t.Fatalf("faults %q, %v", s.Faults, err)
	}
	e, err := entry.Parse(raws[0])
	if err != nil {
		t.Fatal(err)
	}
	if f, err := entry.Decode[entry.Fault](e); err != nil || f.Part != "peer" || f.Text != "gate-2: its log does not hold" {
		t.Errorf("%+v, %v", f, err)
	}
	b.SetPeer("gate-2", morning, "")
	if s := b.State(); len(s.Faults) > 0 {
		t.Errorf("faults %q", s.Faults)
	}
}
