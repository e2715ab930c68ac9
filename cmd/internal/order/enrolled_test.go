package order

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"gatepost/sync/wire"
)

// A later enrolment ends the order over the configuration and its trial, and no other order; the first enrolment and the
// same one end nothing. What was had stays had.
func TestLaterEnrolment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, g := t.TempDir(), &gate{online: true}
		k := open(t, dir)
		k.Start()
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse")))
		run(t, k, g)
		k.Reached()
		take(t, k, sign(t, wire.OrderConfig, 4, "schema = 1\nuplink.hub = \"https://other.example\"\n"))
		run(t, k, g)
		for _, c := range []struct {
			id    string
			stays bool
		}{{"", true}, {"first", true}, {"first", true}, {"second", false}} {
			if err := k.Enrolled(c.id); err != nil {
				t.Fatal(err)
			}
			k.Close()
			k = open(t, dir)
			if at := k.s.Slots["config"]; (at.Current == 4) != c.stays || (k.s.Trial != nil) != c.stays || at.Had != 4 {
				t.Errorf("%q: %+v, trial %+v", c.id, at, k.s.Trial)
			}
		}
		if l := k.Start(); l.Config != k.Base || l.Policy == nil {
			t.Errorf("%+v", l)
		}
		if err := k.Take(sign(t, wire.OrderConfig, 4, "schema = 1\n")); !errors.Is(err, ErrPassed) {
			t.Errorf("the same order again: %v", err)
		}
	})
}

// A line that is down when an order comes due is no gate without a hub: where that was reached before, it must be again.
func TestOrderWhileTheLineIsDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := open(t, t.TempDir()), &gate{}
		k.Start()
		k.Reached()
		take(t, k, sign(t, wire.OrderPolicy, 1, policy("refuse")))
		if l := run(t, k, g); l.Policy == nil || !k.s.Trial.Online {
			t.Fatalf("%+v, trial %+v", l.Policy, k.s.Trial)
		}
		if l := run(t, k, g); l.Policy != nil || !strings.Contains(k.s.Slots["policy"].Trouble, "is taken back: the hub is not reached") {
			t.Errorf("%+v", k.s)
		}
		k.Reached()
		if k.reached = k.reached.Add(-lately); k.met() {
			t.Error("a hub that nobody has reached for a day can be reached")
		}
	})
}
