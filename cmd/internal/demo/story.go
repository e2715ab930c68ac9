package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	hold     = 700 * time.Millisecond // how long a person holds up a code
	seen     = 20 * time.Second       // a verdict must come within this, on a busy machine too
	breather = 2 * time.Second        // between two people once the story is told

	laneIn, laneOut = "gate-1", "gate-2"
)

// tell plays the story: people comes to an end with until, the rest with ctx. built brings the hub.
func (d *demo) tell(ctx, until context.Context, built <-chan error) error {
	if err := d.people(until); err != nil && until.Err() == nil {
		return err
	}
	if err := d.hubAppears(ctx, built); err != nil {
		return err
	}
	if until.Err() == nil {
		if err := d.killed(until); err != nil && until.Err() == nil {
			return err
		}
	}
	if err := d.curl(ctx); err != nil {
		return err
	}
	d.say("now people come and go until %s; the page has buttons to break things", d.end())
	return d.crowd(until)
}

func (d *demo) end() string {
	if d.For > 0 {
		return d.For.String() + " are over"
	}
	return "Ctrl-C"
}

// people is what happens while the hub is not even compiled.
func (d *demo) people(ctx context.Context) error {
	now := time.Now()
	declared, err := d.declare(dung, healthy(d.form), now)
	if err != nil {
		return err
	}
	coughing := healthy(d.form)
	coughing["signs"] = true
	refused, err := d.declare(lan, coughing, now)
	if err != nil {
		return err
	}
	old, err := d.declare(khoi, healthy(d.form), now.AddDate(0, 0, -9))
	if err != nil {
		return err
	}
	steps := []func() error{
		func() error {
			return d.visit(ctx, "a signed declaration", laneIn, entry.Admit, entry.ReasonDeclared, declared)
		},
		func() error {
			return d.visit(ctx, "a declaration with a cough", laneIn, entry.Refuse, entry.ReasonRefusedAnswer, refused)
		},
		func() error {
			return d.visit(ctx, "a bare card", laneIn, entry.Look, entry.ReasonNeedsAnswers, huong.card())
		},
		func() error { return d.answer(ctx) },
		func() error { return d.visit(ctx, "the same card goes home", laneOut, entry.Admit, "", huong.card()) },
		func() error {
			return d.visit(ctx, "the same bare card, second visit", laneIn, entry.Admit, entry.ReasonRemembered, huong.card())
		},
		func() error {
			return d.visit(ctx, "an expired declaration", laneIn, entry.Refuse, entry.ReasonExpired, old)
		},
		func() error {
			return d.visit(ctx, "two codes at once", laneIn, entry.Look, entry.ReasonSeveral, son.card(), mai.card())
		},
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return err
		}
	}
	s, err := d.state()
	if err == nil {
		d.say("no hub yet: saved %d, unsent %d", s.Saved, s.Unsent)
	}
	return err
}

// visit lets somebody show codes and waits for the verdict.
func (d *demo) visit(ctx context.Context, what, lane string, v entry.Verdict, r entry.Reason, texts ...string) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	before, err := d.state()
	if err != nil {
		return err
	}
	if err := d.show(lane, texts...); err != nil {
		return err
	}
	return d.expect(ctx, what, before.Seq, v, r)
}

// expect waits for the next verdict after the entry at seq and says whether it is the right one.
func (d *demo) expect(ctx context.Context, what string, seq uint64, v entry.Verdict, r entry.Reason) error {
	var got guard.Recent
	if err := await(ctx, seen, "the verdict on "+what, func() bool {
		s, err := d.state()
		i := slices.IndexFunc(s.Recent, func(r guard.Recent) bool { return r.Seq > seq })
		if err != nil || i < 0 {
			return false
		}
		got = s.Recent[i]
		return true
	}); err != nil {
		return err
	}
	if got.Verdict != v || r != "" && got.Reason != r {
		d.bad++
		d.say("✗ %s: %v (%s), but it should be %v (%s)", what, got.Verdict, got.Reason, v, r)
		return nil
	}
	d.say("✓ %s: %v – %s · %s", what, got.Verdict, got.Words.VI, got.Words.EN)
	return nil
}

// answer puts the answers of the person with the bare card in, as the guard would.
func (d *demo) answer(ctx context.Context) error {
	s, err := d.state()
	if err != nil {
		return err
	}
	if s.Ask == nil {
		return errors.New("the console asks nothing")
	}
	answers := map[string]any{}
	for _, item := range s.Ask.Items {
		answers[item.ID] = false
	}
	if err := d.do(guard.Action{Answer: &guard.Answer{ID: s.Ask.ID, Answers: answers}}); err != nil {
		return err
	}
	return d.expect(ctx, "the guard asks the questions", s.Seq, entry.Admit, entry.ReasonAnswered)
}

// hubAppears waits for the hub's program, starts it and sees the backlog go.
func (d *demo) hubAppears(ctx context.Context, built <-chan error) error {
	select {
	case err := <-built:
		if err != nil {
			return err
		}
	default:
		d.say("the hub is still compiling; the gate does not mind")
		if err := d.waitBuilt(ctx, built); err != nil {
			return err
		}
	}
	if err := d.hub.start(); err != nil {
		return err
	}
	d.say("the hub appears")
	if err := await(ctx, 2*time.Minute, "the hub's receipt", d.settled); err != nil {
		return err
	}
	s, err := d.state()
	if err != nil {
		return err
	}
	d.say("✓ saved %d, unsent %d: every entry has the hub's receipt", s.Saved, s.Unsent)
	if err := await(ctx, time.Minute, "the officer's page", func() bool { return d.officerSees() }); err != nil {
		return err
	}
	d.say("✓ the officer's page counts the gate")
	return nil
}

func (d *demo) waitBuilt(ctx context.Context, built <-chan error) error {
	select {
	case err := <-built:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// settled reports whether everything has its receipt.
func (d *demo) settled() bool {
	s, err := d.state()
	return err == nil && s.Unsent == 0
}

// killed ends the kiosk in mid-scan and checks that its last green is still there.
func (d *demo) killed(ctx context.Context) error {
	text, err := d.declare(mai, healthy(d.form), time.Now())
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
	green := s.Recent[0].Seq
	if err := d.show(laneIn, son.card()); err != nil {
		return err
	}
	d.kiosk.kill()
	d.say("the kiosk is killed (-9) in mid-scan")
	if err := d.kiosk.start(); err != nil {
		return err
	}
	if err := d.awaitKiosk(ctx); err != nil {
		return err
	}
	if s, err = d.state(); err != nil {
		return err
	}
	if !slices.ContainsFunc(s.Recent, func(r guard.Recent) bool { return r.Seq == green && r.Verdict == entry.Admit }) {
		d.bad++
		d.say("✗ the kiosk is back without its last green, entry %d", green)
		return nil
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
		"-H", "Authorization: Bearer "+string(trim(token)), d.hubURL+wire.PathEntries+"?limit=1000").CombinedOutput()
	if err != nil {
		return fmt.Errorf("curl: %w: %s", err, out)
	}
	d.say("✓ a plain curl pulls %d entries: curl --cacert %s -H \"Authorization: Bearer $(cat %s)\" %s", lines(out), d.ca, d.token, d.hubURL+wire.PathEntries)
	return nil
}

// crowd lets invented people come and go until ctx ends.
func (d *demo) crowd(ctx context.Context) error {
	tick := time.NewTicker(breather)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		who := everyone[i%len(everyone)]
		text, lane := who.card(), laneIn
		if i/len(everyone)%2 == 1 {
			lane = laneOut
		} else if i%3 != 2 {
			var err error
			if text, err = d.declare(who, healthy(d.form), time.Now()); err != nil {
				return err
			}
		}
		if err := d.show(lane, text); err != nil && ctx.Err() == nil {
			d.say("nobody comes: %v", err) // the viewer has killed the kiosk
		}
	}
}
