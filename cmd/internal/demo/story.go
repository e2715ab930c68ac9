package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"sync"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	hold     = 700 * time.Millisecond // how long a person holds up a code
	seen     = 20 * time.Second       // a verdict must come within this, on a busy machine too
	broken   = 4 * time.Second        // the same, once the viewer has broken something
	breather = 2 * time.Second        // between two people once the story is told

	laneIn, laneOut = "gate-1", "gate-2"
	laneSelf        = "you" // where the viewer's own declaration is held up
)

// tell plays the story: people comes to an end with until, the rest with ctx. built brings the hub. A step that
// goes wrong is told and counted, and the story goes on; an error means that it cannot.
func (d *demo) tell(ctx, until context.Context, built <-chan error) error {
	d.people(until)
	if err := d.waitBuilt(ctx, until, built); err != nil {
		return err
	}
	if err := d.hub.Start(); err != nil {
		return err
	}
	for _, step := range []struct {
		what string
		ctx  context.Context
		run  func(context.Context) error
	}{{"the hub", ctx, d.hubAppears}, {"killing the kiosk", until, d.killed}, {"curl", ctx, d.curl}} {
		if step.ctx.Err() != nil {
			continue
		}
		if err := step.run(step.ctx); err != nil && step.ctx.Err() == nil {
			d.miss("%s: %v", step.what, err)
		}
	}
	if until.Err() == nil {
		d.say("now people come and go until %s; the page has buttons to break things", d.end())
	}
	d.crowd(until)
	return nil
}

func (d *demo) end() string {
	if d.For > 0 {
		return d.For.String() + " are over"
	}
	return "Ctrl-C"
}

// people is what happens while the hub is not even compiled.
func (d *demo) people(ctx context.Context) {
	now := time.Now()
	coughing := healthy(d.form)
	coughing["signs"] = true
	declared := func(p person, answers map[string]any, at time.Time) string {
		text, err := d.declare(p, answers, at)
		if err != nil {
			d.miss("a declaration cannot be issued: %v", err)
		}
		return text
	}
	well, ill := declared(dung, healthy(d.form), now), declared(lan, coughing, now)
	old := declared(khoi, healthy(d.form), now.AddDate(0, 0, -9))
	for _, s := range []struct {
		what, lane string
		verdict    entry.Verdict
		reason     entry.Reason
		texts      []string
	}{
		{"a signed declaration", laneIn, entry.Admit, entry.ReasonDeclared, []string{well}},
		{"a declaration with a cough", laneIn, entry.Refuse, entry.ReasonRefusedAnswer, []string{ill}},
		{"a bare card", laneIn, entry.Look, entry.ReasonNeedsAnswers, []string{huong.card()}},
		{"the guard asks the questions", laneIn, entry.Admit, entry.ReasonAnswered, nil},
		{"the same card goes home", laneOut, entry.Admit, entry.ReasonLeaving, []string{huong.card()}},
		{"the same bare card, second visit", laneIn, entry.Admit, entry.ReasonRemembered, []string{huong.card()}},
		{"an expired declaration", laneIn, entry.Refuse, entry.ReasonExpired, []string{old}},
		{"two codes at once", laneIn, entry.Look, entry.ReasonSeveral, []string{son.card(), mai.card()}},
	} {
		if ctx.Err() != nil {
			return
		}
		if err := d.visit(ctx, s.what, s.lane, s.verdict, s.reason, s.texts...); err != nil && ctx.Err() == nil {
			d.miss("%s: %v", s.what, err)
		}
	}
	if s, err := d.state(); err == nil {
		d.say("no hub yet: saved %d, unsent %d", s.Saved, s.Unsent)
	}
}

// visit lets somebody show codes, or without codes the guard put in the answers that are asked for, and waits for
// the verdict.
func (d *demo) visit(ctx context.Context, what, lane string, v entry.Verdict, r entry.Reason, texts ...string) error {
	before, err := d.state()
	if err != nil {
		return err
	}
	if len(texts) > 0 {
		err = d.show(lane, texts...)
	} else {
		err = d.answer(before.Ask)
	}
	if err != nil {
		return err
	}
	return d.expect(ctx, what, lane, before.Seq, v, r)
}

// expect waits for the lane's next verdict after the entry at seq and says whether it is the right one.
func (d *demo) expect(ctx context.Context, what, lane string, seq uint64, v entry.Verdict, r entry.Reason) error {
	var got guard.Recent
	if err := d.awaitStep(ctx, seen, "the verdict", func() bool {
		s, err := d.state()
		i := slices.IndexFunc(s.Recent, func(r guard.Recent) bool { return r.Lane == lane && r.Seq > seq })
		if err != nil || i < 0 {
			return false
		}
		got = s.Recent[i]
		return true
	}); err != nil {
		return err
	}
	if got.Verdict != v || got.Reason != r {
		return fmt.Errorf("%v (%s), but it should be %v (%s)", got.Verdict, got.Reason, v, r)
	}
	d.say("✓ %s: %v – %s · %s", what, got.Verdict, got.Words.VI, got.Words.EN)
	return nil
}

// awaitStep is await, but once the viewer has broken something it does not wait long for what may never come.
func (d *demo) awaitStep(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	began, came := time.Now(), false
	err := await(ctx, limit, what, func() bool {
		came = ok()
		d.mu.Lock()
		defer d.mu.Unlock()
		return came || d.hand && time.Since(began) > broken
	})
	if err == nil && !came {
		return fmt.Errorf("%s did not come", what)
	}
	return err
}

// answer puts in that the person with the bare card is well, as the guard would.
func (d *demo) answer(ask *guard.Question) error {
	if ask == nil || ask.Lane != laneIn {
		return errors.New("the console asks nothing")
	}
	return d.do(guard.Action{Answer: &guard.Answer{ID: ask.ID, Answers: healthy(d.form)}})
}

// waitBuilt waits for the hub's program. People come all the while.
func (d *demo) waitBuilt(ctx, until context.Context, built <-chan error) error {
	select {
	case err := <-built:
		return err
	default:
		d.say("the hub is still compiling; the gate does not mind")
	}
	until, stop := context.WithCancel(until)
	var people sync.WaitGroup
	people.Go(func() { d.crowd(until) })
	defer people.Wait()
	defer stop()
	select {
	case err := <-built:
		stop()
		people.Wait()
		return errors.Join(err, await(ctx, seen, "the end of the crowd", d.empty))
	case <-ctx.Done():
		return ctx.Err()
	}
}

// empty reports whether nobody is before the simulated cameras.
func (d *demo) empty() bool {
	n, err := d.waiting()
	return err == nil && n == 0
}

// hubAppears sees the backlog go.
func (d *demo) hubAppears(ctx context.Context) error {
	d.say("the hub appears")
	if err := d.awaitStep(ctx, time.Minute, "the hub's receipt", d.settled); err != nil {
		return err
	}
	s, err := d.state()
	if err != nil {
		return err
	}
	d.say("✓ saved %d, unsent %d: every entry has the hub's receipt", s.Saved, s.Unsent)
	if err := await(ctx, time.Minute, "the officer's page", d.officerSees); err != nil {
		return err
	}
	d.say("✓ the officer's page counts the gate")
	return nil
}

// settled reports whether everything has its receipt.
func (d *demo) settled() bool {
	s, err := d.state()
	return err == nil && s.Unsent == 0
}

// killed ends the kiosk in mid-scan and checks that its last green is still there.
func (d *demo) killed(ctx context.Context) error {
	text, err := d.declare(an, healthy(d.form), time.Now())
	if err != nil {
		return err
	}
	if err := d.visit(ctx, "a signed declaration", laneIn, entry.Admit, entry.ReasonDeclared, text); err != nil {
		return err
	}
	s, err := d.state()
	if err != nil {
		return err
	}
	last := slices.IndexFunc(s.Recent, func(r guard.Recent) bool { return r.Verdict == entry.Admit })
	if last < 0 {
		return errors.New("nobody was admitted")
	}
	green := s.Recent[last].Seq
	if err := d.show(laneIn, son.card()); err != nil {
		return err
	}
	d.kiosk.Kill()
	d.say("the kiosk is killed (-9) in mid-scan")
	if err := d.kiosk.Start(); err != nil {
		return err
	}
	if err := d.awaitKiosk(ctx); err != nil {
		return err
	}
	if s, err = d.state(); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Recent, func(r guard.Recent) bool { return r.Seq == green && r.Verdict == entry.Admit }) {
		return fmt.Errorf("it is back without its last green, entry %d", green)
	}
	d.say("✓ the kiosk is back, its last green (entry %d) still there", green)
	return nil
}

// curl pulls with the plainest of clients.
func (d *demo) curl(ctx context.Context) error {
	path, err := exec.LookPath("curl")
	if err != nil {
		d.say("no curl on this machine; try: gatectl pull -hub %s …", d.hubURL)
		return nil
	}
	token, err := os.ReadFile(d.token)
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, path, "--silent", "--show-error", "--fail", "--noproxy", "*", "--cacert", d.ca,
		"-H", "Authorization: Bearer "+string(trim(token)), d.hubURL+wire.PathLog+"?limit=1000").CombinedOutput()
	if err != nil {
		return fmt.Errorf("curl: %w: %s", err, out)
	}
	d.say("✓ a plain curl pulls %d entries: curl --cacert %s -H \"Authorization: Bearer $(cat %s)\" %s", lines(out), d.ca, d.token, d.hubURL+wire.PathLog)
	return nil
}

// crowd lets invented people come and go until ctx ends.
func (d *demo) crowd(ctx context.Context) {
	tick := time.NewTicker(breather)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		who := everyone[i%len(everyone)]
		text, lane := who.card(), laneIn
		if i/len(everyone)%2 == 1 {
			lane = laneOut
		} else if i%3 != 2 {
			declared, err := d.declare(who, healthy(d.form), time.Now())
			if err != nil {
				d.miss("a declaration cannot be issued: %v", err)
				return
			}
			text = declared
		}
		if err := d.show(lane, text); err != nil && ctx.Err() == nil {
			d.say("nobody comes: %v", err) // the viewer has killed the kiosk
		}
	}
}
