package kiosk

import (
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/sync/uplink"
)

// The page tells how long sending will take, and how many entries the hub refused.
func TestStateTellsOfTheUplink(t *testing.T) {
	b := newBench(t)
	for range 3 {
		b.show("a text that is no code")
		b.pass(time.Minute)
	}
	b.SetUplink(uplink.State{Online: true, Left: 4 * time.Second, Aside: 2})
	s := b.State()
	if want := guard.Progress(s.Unsent, 4*time.Second); want == nil || s.Progress == nil || *s.Progress != *want || s.Aside != 2 {
		t.Errorf("%+v and %d set aside, want %+v and 2", s.Progress, s.Aside, want)
	}
}
