package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"gatepost/sync/uplink"

	"golang.org/x/sync/errgroup"
)

// A result is what one round has found.
type result struct {
	shakes  float64       // bare handshakes a second in a closed loop
	visits  float64       // handshake, contact and batch, a second in a closed loop
	visit   time.Duration // of the hub's CPUs, for one of these
	knocks  float64       // tries that are turned away, a second in a closed loop
	knock   time.Duration // of the hub's CPUs, for one of these
	shipped herd
	small   herd
}

// A herd is an outcome and what it left in the hub.
type herd struct {
	outcome
	cpu              time.Duration // of the hub
	peak             int64         // bytes of memory
	missing, doubled int           // entries in the hub's log
}

// round measures everything once, with a new hub for each herd.
func (p plan) round(ctx context.Context, binary, dir string) (r result, err error) {
	loops, err := newKiosks(2 * p.n)
	if err != nil {
		return r, err
	}
	many, err := newKiosks(p.n)
	if err != nil {
		return r, err
	}
	err = with(ctx, binary, filepath.Join(dir, "shipped"), 0, append(loops, many...), func(h *process) error {
		if err := p.loopRates(ctx, h, loops, &r); err != nil {
			return err
		}
		p.say("  %.0f handshakes, %.0f visits a second", r.shakes, r.visits)
		r.shipped, err = p.herd(ctx, h, many, uplink.DefaultSpread)
		return err
	})
	if err != nil {
		return r, err
	}
	eighth, err := newKiosks(p.nation / scale)
	if err != nil {
		return r, err
	}
	err = with(ctx, binary, filepath.Join(dir, "small"), 4*small, eighth, func(h *process) error {
		if err := p.knockRate(ctx, h, eighth, &r); err != nil {
			return err
		}
		p.say("  %.0f are turned away a second", r.knocks)
		r.small, err = p.herd(ctx, h, eighth, uplink.DefaultSpread/scale)
		return err
	})
	return r, err
}

// with runs do beside a new hub that knows these kiosks.
func with(ctx context.Context, binary, dir string, files int, all []*kiosk, do func(*process) error) error {
	h, err := start(ctx, binary, dir, files, all)
	if err != nil {
		return err
	}
	err = do(h)
	for _, k := range all {
		k.leave()
	}
	return errors.Join(err, h.stop())
}

func newKiosks(n int) ([]*kiosk, error) {
	all := make([]*kiosk, n)
	var g errgroup.Group
	g.SetLimit(runtime.GOMAXPROCS(0))
	for i := range all {
		g.Go(func() (err error) {
			all[i], err = newKiosk()
			return err
		})
	}
	return all, g.Wait()
}

// loopRates measures what the hub can do when kiosks come one after the other: all of them, the first half to warm it.
func (p plan) loopRates(ctx context.Context, h *process, all []*kiosk, r *result) (err error) {
	cold, warm := all[:len(all)/2], all[len(all)/2:]
	if _, err = closed(ctx, cold, p.loops, h.full); err != nil {
		return fmt.Errorf("visits in a loop: %w", err)
	}
	if r.shakes, _, err = h.loop(ctx, cold, p.loops, h.shake); err != nil {
		return fmt.Errorf("handshakes in a loop: %w", err)
	}
	if r.visits, r.visit, err = h.loop(ctx, warm, p.loops, h.full); err != nil {
		return fmt.Errorf("visits in a loop: %w", err)
	}
	return nil
}

// knockRate measures what it costs to be turned away.
func (p plan) knockRate(ctx context.Context, h *process, all []*kiosk, r *result) error {
	free, err := h.block(ctx, small+shakes+p.loops)
	if err != nil {
		return err
	}
	defer free()
	r.knocks, r.knock, err = h.loop(ctx, all, p.loops, h.knock)
	return err
}

// loop is closed, with the hub's CPU time for each.
func (p *process) loop(ctx context.Context, all []*kiosk, loops int, work func(context.Context, *kiosk) error) (rate float64, each time.Duration, err error) {
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	if rate, err = closed(ctx, all, loops, work); err != nil {
		return 0, 0, err
	}
	after, err := p.cpu()
	return rate, (after - before) / time.Duration(len(all)), err
}

// herd lets all kiosks come at once and counts what the hub holds afterwards.
func (p plan) herd(ctx context.Context, h *process, all []*kiosk, spread time.Duration) (out herd, err error) {
	before, err := h.cpu()
	if err != nil {
		return out, err
	}
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	out.outcome = h.burst(limited, all, spread)
	after, err := h.cpu()
	if err != nil {
		return out, err
	}
	out.cpu = after - before
	if out.peak, err = h.peak(); err != nil {
		return out, err
	}
	p.say("  %d of %d kiosks in after %.2f s, %d tries turned away, %d busy, %d failed", out.in, out.n, out.took.Seconds(), out.turned, out.busy, out.faults)
	return out, out.count(ctx, h, all)
}

// count looks for the entries of all in the hub's log.
func (out *herd) count(ctx context.Context, h *process, all []*kiosk) error {
	held, err := h.holds(ctx)
	if err != nil {
		return err
	}
	for _, k := range all {
		for seq := 1; seq <= batchSize; seq++ {
			switch n := held[fmt.Sprintf("%s %d", k.id, seq)]; {
			case n == 0:
				out.missing++
			case n > 1:
				out.doubled++
			}
		}
	}
	return nil
}
