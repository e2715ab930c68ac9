package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/cmd/internal/selfsign"
)

const (
	scanCuts   = 30 // of a gate at work
	enrolCuts  = 14 // of a unit that becomes one
	updateCuts = 6  // of a gate that updates itself
	cardSize   = 1 << 30
	hubHost    = "10.0.2.2" // how QEMU's guests call this machine
	authority  = "hub/tls/" + selfsign.CA
)

func imageSuite() proof.Suite {
	return proof.Suite{Name: "prove-image", Last: lastOfImage, Parts: []proof.Part{
		{Name: "scan", About: "a flashed card becomes a gate, people come, its power is cut and its hub is away", Do: scanImage},
		{Name: "enrol", About: "a unit reads the codes of its enrolment, and its power is cut meanwhile", Do: enrolImage},
		{Name: "update", About: "a gate updates itself: to a good system, to one that hangs, to one that was tampered with, to an older one; its power is cut meanwhile", Do: updateImage},
	}}
}

func lastOfImage(t proof.Tally) string {
	return fmt.Sprintf("prove-image: boots=%d cuts=%d updates=%d lost=%d", t.Boots, t.Cuts, t.Updates, t.Lost)
}

// scanImage proves that what a gate on the image has shown as a verdict comes to the puller, whatever the power and the hub do.
func scanImage(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	u, err := newUnit(ctx, p, true)
	if err != nil {
		return t, err
	}
	defer u.close()
	if err := u.control(ctx); err != nil {
		return t, fmt.Errorf("control: %w", err)
	}
	random := p.Random(20)
	cuts := p.Scaled(2, scanCuts)
	for u.t.Cuts < cuts {
		switch u.t.Cuts {
		case cuts / 3:
			u.hub.Kill()
			p.Say("the hub is away")
		case cuts / 2:
			if err := u.hub.Start(); err != nil {
				return u.t, err
			}
			p.Say("the hub is back")
		}
		if err := u.work(ctx, random); err != nil {
			return u.t, fmt.Errorf("behind cut %d: %w", u.t.Cuts, err)
		}
	}
	return u.t, u.finish(ctx)
}

// control has a card lie about its flushes, until a cut loses something that a page had shown, which must be noticed. What ext4 writes
// later in the background may press the entries out of the lying cache, so one cut may not do.
func (u *unit) control(ctx context.Context) error {
	if err := u.insert(true); err != nil {
		return err
	}
	for range controlCuts {
		b, err := u.boot(ctx, false)
		if err != nil {
			return err
		}
		err = u.ready(ctx, b)
		for range 5 { // more than the entries that a start makes
			if err == nil && u.t.Lost == 0 {
				err = u.pass(ctx, b)
			}
		}
		b.end()
		if err != nil {
			return err
		}
		if u.t.Lost > 0 {
			u.p.Say("control: a card that lies is noticed")
			u.t, u.acks = proof.Tally{}, map[shown]string{}
			return u.insert(false)
		}
		u.disk.off(u.p.Random(22), 0)
	}
	return errors.New("a card that lies was not noticed")
}

// work starts the gate, lets people come, and cuts its power near a write of one of them.
func (u *unit) work(ctx context.Context, random *rand.Rand) error {
	b, err := u.boot(ctx, false)
	if err != nil {
		return err
	}
	defer b.end()
	if random.IntN(5) == 0 { // while it starts
		u.disk.arm(1 + random.IntN(60))
	}
	if err := u.ready(ctx, b); errors.Is(err, errDark) {
		u.cut(b, random)
		return nil
	} else if err != nil {
		return err
	}
	for range random.IntN(4) {
		if err := u.pass(ctx, b); errors.Is(err, errDark) {
			break
		} else if err != nil {
			return err
		}
	}
	u.disk.arm(1 + random.IntN(30))
	b.show(u.person())
	for !b.dark(2 * time.Second) { // until somebody's entry, or a receipt, meets the cut; what is shown before that counts
		s, err := b.await(ctx, "anything", func(guard.State) bool { return true })
		if err != nil {
			break
		}
		u.learn(s)
		b.show(u.person())
	}
	u.cut(b, random)
	return nil
}

// enrolImage proves that a unit on the image becomes a gate by the codes that its camera sees, whenever its power is cut, and stays one.
func enrolImage(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	u, err := newUnit(ctx, p, false)
	if err != nil {
		return t, err
	}
	defer u.close()
	random := p.Random(21)
	for cuts := p.Scaled(1, enrolCuts); u.t.Cuts < cuts; {
		if err := u.enrolOnce(ctx, random); err != nil {
			return u.t, fmt.Errorf("behind cut %d: %w", u.t.Cuts, err)
		}
	}
	return u.t, u.finish(ctx)
}

// enrolOnce shows the codes to a unit of which nothing is known, on a new card, and cuts the power at any moment of it, or just behind.
func (u *unit) enrolOnce(ctx context.Context, random *rand.Rand) error {
	if err := errors.Join(u.sign(ctx), u.insert(false)); err != nil {
		return err
	}
	b, err := u.boot(ctx, false)
	if err != nil {
		return err
	}
	early := random.IntN(4) == 0
	if early { // the first start, at which the data partition grows
		u.disk.arm(1 + random.IntN(150))
	}
	_, err = b.await(ctx, "the codes are asked for", func(s guard.State) bool { return s.Enrol != nil && s.Lanes[0].OK })
	if err != nil && !errors.Is(err, errDark) {
		b.end()
		return err
	}
	if !early {
		u.disk.arm(1 + random.IntN(60))
	}
	done := false
	for ; !done && !b.dark(0); u.part++ {
		b.show(u.codes[u.part%len(u.codes)])
		if s, err := b.await(ctx, "anything", func(guard.State) bool { return true }); err == nil {
			done = s.Device != "" && s.Enrol == nil
		}
	}
	u.cut(b, random)
	b.end()
	if b, err = u.boot(ctx, false); err != nil {
		return err
	}
	defer b.end()
	s, err := b.await(ctx, "it starts", func(s guard.State) bool { return s.Lanes[0].OK && (s.Enrol != nil || s.Device != "") })
	if err != nil {
		return err
	}
	if done && s.Enrol != nil {
		u.t.Lost++
		u.p.Say("✗ behind cut %d: the gate had said that it is one", u.t.Cuts)
	}
	for i := 0; s.Enrol != nil; i++ {
		b.show(u.codes[i%len(u.codes)])
		if s, err = b.await(ctx, "the codes make it a gate", func(guard.State) bool { return true }); err != nil {
			return err
		}
	}
	if err := u.ready(ctx, b); err != nil {
		return err
	}
	if err := u.pass(ctx, b); err != nil {
		return err
	}
	return u.sent(ctx, b)
}
