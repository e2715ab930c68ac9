package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"syscall"
	"time"

	"gatepost/sync/uplink"

	"golang.org/x/sync/errgroup"
)

// A result is what one round has found.
type result struct {
	shakes  float64       // bare handshakes a second in a closed loop
	visits  float64       // handshake, contact and batch, a second in a closed loop: the mean of just before and just after the herd
	visit   time.Duration // of the hub's CPUs, for one of these
	client  time.Duration // of this process's CPUs, for one of these
	knocks  float64       // tries that are turned away, a second in a closed loop
	knock   time.Duration // of the hub's CPUs, for one of these
	shipped herd
	small   herd
}

// A herd is an outcome and what it left in the hub.
type herd struct {
	outcome
	cpu, client      time.Duration // of the hub, and of the kiosks
	peak             int64         // bytes of memory
	missing, doubled int           // entries in the hub's log
}

// round measures everything once, with a new hub for each herd.
func (p plan) round(ctx context.Context, binary, dir string) (r result, err error) {
	loops, err := newKiosks(3 * p.n)
	if err != nil {
		return r, err
	}
	many, err := newKiosks(p.n)
	if err != nil {
		return r, err
	}
	err = with(ctx, binary, filepath.Join(dir, "shipped"), 0, append(loops, many...), func(h *process) error {
		if err := p.shakeRate(ctx, h, loops[:p.n], &r); err != nil {
			return err
		}
		if err := p.visitRate(ctx, h, loops[p.n:2*p.n], &r); err != nil {
			return err
		}
		if r.shipped, err = p.herd(ctx, h, many, uplink.DefaultSpread); err != nil {
			return err
		}
		return p.visitRate(ctx, h, loops[2*p.n:], &r)
	})
	if err != nil {
		return r, err
	}
	if p.nation == 0 {
		return r, nil
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

// shakeRate measures what the hub can do when kiosks come one after the other; their visits before that warm it.
func (p plan) shakeRate(ctx context.Context, h *process, all []*kiosk, r *result) (err error) {
	if _, err = closed(ctx, all, p.loops, h.full); err != nil {
		return fmt.Errorf("visits in a loop: %w", err)
	}
	o, err := h.loop(ctx, all, p.loops, h.shake)
	if err != nil {
		return fmt.Errorf("handshakes in a loop: %w", err)
	}
	r.shakes = o.rate
	return nil
}

// visitRate measures visits, of half the kiosks with which the herd is compared. It is called twice.
func (p plan) visitRate(ctx context.Context, h *process, all []*kiosk, r *result) error {
	o, err := h.loop(ctx, all, p.loops, h.full)
	if err != nil {
		return fmt.Errorf("visits in a loop: %w", err)
	}
	p.say("  %.0f visits a second", o.rate)
	r.visits, r.visit, r.client = r.visits+o.rate/2, r.visit+o.hub/2, r.client+o.client/2
	return nil
}

// knockRate measures what it costs to be turned away.
func (p plan) knockRate(ctx context.Context, h *process, all []*kiosk, r *result) error {
	free, err := h.block(ctx, small+shakes+p.loops)
	if err != nil {
		return err
	}
	defer free()
	o, err := h.loop(ctx, all, p.loops, h.knock)
	r.knocks, r.knock = o.rate, o.hub
	return err
}

// A pace is how often something was done a second, and the CPU time of the hub and of its kiosks for each.
type pace struct {
	rate        float64
	hub, client time.Duration
}

// loop is closed, with CPU times.
func (p *process) loop(ctx context.Context, all []*kiosk, loops int, work func(context.Context, *kiosk) error) (o pace, err error) {
	before, own, err := p.times()
	if err != nil {
		return o, err
	}
	if o.rate, err = closed(ctx, all, loops, work); err != nil {
		return o, err
	}
	after, ownAfter, err := p.times()
	o.hub, o.client = (after-before)/time.Duration(len(all)), (ownAfter-own)/time.Duration(len(all))
	return o, err
}

// times returns for how long the hub and this process have computed.
func (p *process) times() (hub, own time.Duration, err error) {
	var u syscall.Rusage
	if err = syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0, 0, err
	}
	hub, err = p.cpu()
	return hub, time.Duration(u.Utime.Nano() + u.Stime.Nano()), err
}

// herd lets all kiosks come at once and counts what the hub holds afterwards.
func (p plan) herd(ctx context.Context, h *process, all []*kiosk, spread time.Duration) (out herd, err error) {
	before, own, err := h.times()
	if err != nil {
		return out, err
	}
	limited, cancel := context.WithTimeout(ctx, p.limit)
	defer cancel()
	out.outcome = h.burst(limited, all, spread)
	after, ownAfter, err := h.times()
	if err != nil {
		return out, err
	}
	out.cpu, out.client = after-before, ownAfter-own
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
