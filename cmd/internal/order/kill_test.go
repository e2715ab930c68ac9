package order

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"gatepost/sync/wire"
)

// killed is what a kill at a step looks like.
type killed struct{ step string }

// A life is a kiosk between a hub that has three orders and a killer. Of the orders, config 1 keeps the hub out of reach.
type life struct {
	t     *testing.T
	opt   Options
	raws  [][]byte
	steps []string
	kill  int // at which step; 0: never

	policy uint64 // the highest that stood
}

// live goes on until every order has had its end. A kill ends it in the middle.
func (l *life) live() (k *Keeper, alive bool) {
	k, err := Open(l.opt)
	if err != nil {
		l.t.Fatal(err)
	}
	defer func() {
		if p := recover(); p != nil {
			if _, ok := p.(killed); !ok {
				panic(p)
			}
			alive = false
		}
		k.Close()
	}()
	k.folder.step = func(what string) error {
		if l.steps = append(l.steps, what); len(l.steps) > 500 {
			l.t.Fatalf("no end: %+v", k.s)
		}
		if len(l.steps) == l.kill {
			panic(killed{what})
		}
		return nil
	}
	for layer := k.Start(); ; layer = k.Start() {
		l.check(k, layer)
		if at := k.s.Trial; at != nil {
			if at.Slot == wire.OrderConfig {
				k.giveUp("the hub is not reached")
				continue
			}
			k.Reached()
			l.policy = max(l.policy, k.s.Slots["policy"].Current)
		}
		for _, raw := range l.raws {
			if err := k.Take(raw); err != nil && !errors.Is(err, ErrPassed) {
				l.t.Fatal(err)
			}
		}
		name, _ := k.due(morning)
		if name == "" {
			return k, true
		}
		k.begin(name, true)
	}
}

// whole lives until nothing kills any more.
func (l *life) whole() *Keeper {
	for {
		if k, alive := l.live(); alive {
			return k
		}
	}
}

// check holds what is true at every start: the gate runs with what the state says, nothing that stood is lost, and what
// keeps the hub out of reach runs on trial alone.
func (l *life) check(k *Keeper, layer Layer) {
	l.t.Helper()
	at := k.s.Slots["policy"]
	want := map[uint64]string{0: "", 1: "refuse", 2: "look"}[at.Current]
	if got := layer.Policy; got == nil && want != "" || got != nil && string(got.Unprovable) != want {
		l.t.Errorf("runs with %+v, and the state says %d", got, at.Current)
	}
	if at.Current < l.policy {
		l.t.Errorf("policy %d stood, and the gate starts with %d", l.policy, at.Current)
	}
	if wrong := layer.Config.Uplink.Hub != "https://hub.example"; wrong && (k.s.Trial == nil || k.s.Trial.Slot != wire.OrderConfig || k.s.Trial.Starts > maxStarts) {
		l.t.Errorf("the wrong hub stands: %+v", k.s)
	}
}

// Whatever step a kill comes at, everything ends as without it: the good orders stand, the bad one is taken back.
func TestKilledAtEveryStep(t *testing.T) {
	all := [][]byte{
		sign(t, wire.OrderPolicy, 1, policy("refuse")),
		sign(t, wire.OrderConfig, 1, "schema = 1\nuplink.hub = \"https://wrong.example\"\n"),
		sign(t, wire.OrderPolicy, 2, policy("look")),
	}
	opt := options(t, t.TempDir())
	calm := &life{t: t, opt: opt, raws: all[:2]}
	calm.live()
	calm.raws = all
	calm.live()
	if len(calm.steps) < 30 {
		t.Fatalf("only %d steps: %q", len(calm.steps), calm.steps)
	}
	for kill := 1; kill <= len(calm.steps); kill++ {
		opt.Dir = t.TempDir()
		l := &life{t: t, opt: opt, raws: all[:2], kill: kill}
		l.whole()
		l.raws = all
		k := l.whole()
		policy, config := k.s.Slots["policy"], k.s.Slots["config"]
		if policy.Current != 2 || policy.Had != 2 || config.Current != 0 || config.Had != 1 || k.s.Trial != nil || !strings.Contains(config.Trouble, "taken back") {
			t.Errorf("killed at step %d, %s: %+v", kill, l.steps[kill-1], k.s)
		}
		names, err := os.ReadDir(opt.Dir)
		if err != nil {
			t.Fatal(err)
		}
		if i := slices.IndexFunc(names, func(d os.DirEntry) bool { return d.Name() == fileName("config", 1) }); i >= 0 {
			t.Errorf("killed at step %d: the bad order's file stays", kill)
		}
	}
	t.Logf("killed at each of %d steps", len(calm.steps))
}
