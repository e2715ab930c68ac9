package main

import (
	"context"
	"errors"
	"fmt"
	"image"
	"log/slog"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/kiosk"
	"gatepost/device/button"
	"gatepost/device/gpiochip"
	"gatepost/device/lamp"
	"gatepost/device/pwm"
	"gatepost/device/sound"
	"gatepost/device/turnstile"
	"gatepost/device/wall"
	"gatepost/device/watchdog"
	"gatepost/storage/entry"

	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/gpio"
)

// A post is what stands at the gate beside its camera, the lamps with it, open. What the configuration leaves out is not there.
type post struct {
	c       *config.Kiosk
	log     *slog.Logger
	lamps   *lamp.Lamp
	gate    *turnstile.Turnstile
	buttons map[kiosk.Key]gpio.PinIn
	ring    *lamp.Ring
	player  *sound.Player
	admit   chan uint64 // entries whose people are to be let through
	refuse  chan uint64 // entries whose people the turnstile does not open for: they do not pass
	halts   []func() error
}

// maxAdmitted is how many people may wait for the turnstile; a later one shows their code again.
const maxAdmitted = 4

// maxRefused is how many of those may wait to be annulled; that takes a write each.
const maxRefused = 64

// openPost opens the parts. A part that is not there is an error, as a lamp is: a gate without its turnstile is none. What it
// returns is to be halted whether there was an error or not.
func openPost(c *config.Kiosk, log *slog.Logger) (*post, error) {
	p := &post{c: c, log: log, buttons: map[kiosk.Key]gpio.PinIn{}, admit: make(chan uint64, maxAdmitted), refuse: make(chan uint64, maxRefused)}
	var err error
	if p.lamps, err = openLamps(c); err != nil {
		return p, fmt.Errorf("lamps: %w", err)
	}
	if p.lamps != nil {
		p.halts = append(p.halts, p.lamps.Halt)
	}
	if c.GPIO.Chip != "" {
		chip, err := gpiochip.Open(c.GPIO.Chip)
		if err != nil {
			return p, err
		}
		defer chip.Close() // the lines stay
		if err := errors.Join(p.openTurnstile(chip), p.openButtons(chip)); err != nil {
			return p, err
		}
		return p, errors.Join(p.openRing(), p.openSounds(chip, log))
	}
	return p, errors.Join(p.openRing(), p.openSounds(nil, log))
}

// openLamps takes the three lines and makes them dark; nil where there are no lamps. The chip need not stay open for them.
func openLamps(c *config.Kiosk) (*lamp.Lamp, error) {
	if c.Lamp.Chip == "" {
		return nil, nil
	}
	chip, err := gpiochip.Open(c.Lamp.Chip)
	if err != nil {
		return nil, err
	}
	defer chip.Close()
	var pins [3]gpio.PinOut
	for i, line := range []string{c.Lamp.Go, c.Lamp.Ask, c.Lamp.Stop} {
		if pins[i], err = chip.Output(line, gpio.Low, c.Lamp.ActiveLow); err != nil {
			for _, p := range pins[:i] { // the gate may begin anew in this program, and takes them again
				p.Halt()
			}
			return nil, err
		}
	}
	return lamp.New(pins[0], pins[1], pins[2])
}

func (p *post) openTurnstile(chip *gpiochip.Chip) error {
	t := p.c.Turnstile
	if t.Line == "" {
		return nil
	}
	o := turnstile.Options{Safe: t.Safe, Pulse: p.c.Pulse, Wait: p.c.Wait}
	relay, err := chip.Output(t.Line, o.Locked(), t.ActiveLow)
	if err != nil {
		return fmt.Errorf("turnstile: %w", err)
	}
	p.halts = append(p.halts, relay.Halt)
	var turned gpio.PinIn
	if t.Turned != "" {
		in, err := chip.Input(t.Turned, gpio.PullUp, gpio.BothEdges)
		if err != nil {
			return fmt.Errorf("turnstile: %w", err)
		}
		p.halts = append(p.halts, in.Halt)
		turned = in
	}
	p.gate, err = turnstile.New(relay, turned, o)
	return err
}

func (p *post) openButtons(chip *gpiochip.Chip) error {
	for key, line := range map[kiosk.Key]string{
		kiosk.KeySeen: p.c.Button.Key, kiosk.KeyUndo: p.c.Button.Undo, kiosk.KeyTurn: p.c.Button.Turn,
	} {
		if line == "" {
			continue
		}
		in, err := chip.Input(line, gpio.PullUp, gpio.BothEdges)
		if err != nil {
			return fmt.Errorf("button: %w", err)
		}
		p.buttons[key] = in
		p.halts = append(p.halts, in.Halt)
	}
	return nil
}

func (p *post) openChannel(path string) (*pwm.Channel, error) {
	dir, channel, err := config.PWM(path)
	if err != nil {
		return nil, err
	}
	c, err := pwm.Open(dir, channel)
	if err == nil {
		p.halts = append(p.halts, c.Halt)
	}
	return c, err
}

func (p *post) openRing() error {
	if p.c.Ring.PWM == "" {
		return nil
	}
	channel, err := p.openChannel(p.c.Ring.PWM)
	if err == nil {
		p.ring, err = lamp.NewRing(channel)
	}
	if err != nil {
		return fmt.Errorf("ring light: %w", err)
	}
	return nil
}

func (p *post) openSounds(chip *gpiochip.Chip, log *slog.Logger) error {
	var voices []sound.Voice
	if line := p.c.Buzzer.Line; line != "" && chip != nil {
		out, err := chip.Output(line, gpio.Low, false)
		if err != nil {
			return fmt.Errorf("buzzer: %w", err)
		}
		p.halts = append(p.halts, out.Halt)
		voices = append(voices, sound.Buzzer(out))
	}
	if p.c.Buzzer.PWM != "" {
		channel, err := p.openChannel(p.c.Buzzer.PWM)
		if err != nil {
			return fmt.Errorf("buzzer: %w", err)
		}
		voices = append(voices, sound.Buzzer(channel))
	}
	if p.c.Speaker.Device != "" {
		voices = append(voices, sound.Speaker{Device: p.c.Speaker.Device, Dir: p.c.Speaker.Dir}.Voice())
	}
	p.player = sound.NewPlayer(func(err error) { log.Warn("a sound was not made", "error", err) }, voices...)
	return nil
}

// halt makes everything inert, the player first, which still holds the buzzer.
func (p *post) halt() error {
	if p.player != nil {
		p.player.Halt()
	}
	var failed []error
	for _, halt := range p.halts {
		failed = append(failed, halt())
	}
	return errors.Join(failed...)
}

// configure puts what the kiosk is told of the post into its options.
func (p *post) configure(o *kiosk.Options) {
	o.Note = filepath.Join(p.c.Data, "hung")
	o.Signal = p.signal
	o.Test = p.test
	if p.lamps != nil {
		o.Lamp = func(f guard.Face) error { return p.lamps.Set(lamp.Face(f)) } // the faces without a lamp are dark
	}
	if p.gate != nil && p.c.Turnstile.Safe {
		o.Lock = &guard.Text{VI: "Mất điện: cửa tự mở", EN: "without power it opens"}
	} else if p.gate != nil {
		o.Lock = &guard.Text{VI: "Mất điện: cửa vẫn khoá", EN: "without power it stays shut"}
	}
}

// signal says a verdict that is shown by sound, and lets its person through. It waits for nothing.
func (p *post) signal(s guard.Shown) {
	if !s.Silent {
		p.player.Play(soundOf(s))
	}
	if p.gate == nil || s.Verdict != entry.Admit || p.c.Turnstile.Lane != "" && p.c.Turnstile.Lane != s.Lane {
		return
	}
	select {
	case p.admit <- s.Seq:
		return
	default:
		p.log.Warn("too many wait at the turnstile: it does not open for one of them", "seq", s.Seq)
	}
	select {
	case p.refuse <- s.Seq:
	default:
		p.log.Error("a passage that was none still counts", "seq", s.Seq)
	}
}

// soundOf returns how a verdict sounds. A refusal's sound tells no reason.
func soundOf(s guard.Shown) sound.Sound {
	switch {
	case s.Verdict == entry.Admit && s.Direction == entry.Out.String():
		return sound.Out
	case s.Reason == entry.ReasonDuplicate:
		return sound.Already
	case s.Reason == entry.ReasonSeveral:
		return sound.Single
	case s.Verdict == entry.Unreadable:
		return sound.Again
	}
	return map[guard.Face]sound.Sound{
		guard.Go: sound.In, guard.Stop: sound.Stop, guard.Ask: sound.Ask, guard.Broken: sound.Broken,
	}[s.Face]
}

// run works the post until ctx ends.
func (p *post) run(ctx context.Context, g *errgroup.Group, k *kiosk.Kiosk, clock *wall.Clock, link func() string, log *slog.Logger) {
	if p.gate != nil {
		g.Go(func() error { p.letThrough(ctx, k, log); return nil })
		g.Go(func() error { p.keepOut(ctx, k, log); return nil })
	}
	for key, in := range p.buttons {
		g.Go(func() error {
			button.Watch(ctx, in, gpio.Low, func() {
				if err := k.Press(ctx, key); err != nil {
					log.Info("a button did nothing", "button", key, "error", err)
				}
			})
			return nil
		})
	}
	if p.ring != nil {
		g.Go(func() error { p.dim(ctx, k); return nil })
	}
	runScreen(ctx, g, p.c, k, k.View, clock, link, log)
	if p.c.RTC.Bus >= 0 {
		g.Go(func() error { keepRTC(ctx, p.c.RTC.Bus, clock, log); return nil })
	}
	if p.c.Watchdog.Device != "" {
		g.Go(func() error { return feed(ctx, p.c, k, log) })
	}
}

// letThrough opens the turnstile for one after the other, and annuls the passage of who did not go.
func (p *post) letThrough(ctx context.Context, k *kiosk.Kiosk, log *slog.Logger) {
	for {
		var seq uint64
		select {
		case <-ctx.Done():
			return
		case seq = <-p.admit:
		}
		passed, err := p.gate.Open(ctx)
		k.Part(ctx, "turnstile", err)
		if passed != turnstile.NotTurned {
			continue
		}
		log.Info("nobody went through the turnstile", "seq", seq)
		annul(ctx, k, seq, log)
	}
}

// keepOut annuls the passages that the turnstile never opened for.
func (p *post) keepOut(ctx context.Context, k guard.Gate, log *slog.Logger) {
	for {
		select {
		case <-ctx.Done():
			return
		case seq := <-p.refuse:
			annul(ctx, k, seq, log)
		}
	}
}

func annul(ctx context.Context, k guard.Gate, seq uint64, log *slog.Logger) {
	if err := k.Do(ctx, guard.Action{Undo: &guard.Undo{Seq: seq, Why: "turnstile"}}); err != nil {
		log.Error("a passage that was none still counts", "seq", seq, "error", err)
	}
}

// dim lights the ring by what its lane's camera sees.
func (p *post) dim(ctx context.Context, k *kiosk.Kiosk) {
	every(ctx, 250*time.Millisecond, func() {
		if v := k.View(p.c.Ring.Lane); v != nil {
			k.Part(ctx, "ring light", p.ring.See(mean(v)))
		}
	})
}

func mean(v *image.Gray) int {
	sum := 0
	for _, l := range v.Pix {
		sum += int(l)
	}
	return sum / max(1, len(v.Pix))
}

// every calls f now and then until ctx ends.
func every(ctx context.Context, d time.Duration, f func()) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// feed feeds the watchdog while the gate is alive, and puts it to sleep when the gate ends in order.
func feed(ctx context.Context, c *config.Kiosk, k *kiosk.Kiosk, log *slog.Logger) error {
	dog, err := watchdog.Open(c.Watchdog.Device, c.Dog)
	if err != nil {
		return err
	}
	defer dog.Close()
	log.Info("watchdog", "bound", dog.Bound, "made the last reset", dog.Bit())
	k.Guarded(ctx, dog, dog.Bound/4, c.Hung)
	return nil
}
