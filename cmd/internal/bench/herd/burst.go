package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/sync/uplink"

	"golang.org/x/sync/errgroup"
)

// closed does work once with each kiosk, with so many at a time, and returns how often it was done a second. Connections
// stay open meanwhile, as they do in a herd.
func closed(ctx context.Context, all []*kiosk, loops int, work func(context.Context, *kiosk) error) (float64, error) {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(loops)
	begin := time.Now()
	for _, k := range all {
		g.Go(func() error { return work(ctx, k) })
	}
	err := g.Wait()
	rate := float64(len(all)) / time.Since(begin).Seconds()
	for _, k := range all {
		k.leave()
	}
	return rate, err
}

// knock is a try that is turned away.
func (p *process) knock(ctx context.Context, k *kiosk) error {
	defer k.leave()
	err := k.visit(ctx, p)
	switch {
	case err == nil:
		return errors.New("a kiosk came in while the queue was full")
	case uplink.TurnedAway(err):
		return nil
	}
	return err
}

// block fills the hub's queue with sockets that say nothing, until the returned function is called or the hub loses
// patience with those whose turn it is.
func (p *process) block(ctx context.Context, sockets int) (free func(), err error) {
	var all []net.Conn
	free = func() {
		for _, c := range all {
			c.Close()
		}
	}
	for range sockets {
		c, err := (&net.Dialer{}).DialContext(ctx, "tcp", strings.TrimPrefix(p.url, "https://"))
		if err == nil {
			all = append(all, c)
		} else if !reset(err) { // the queue is full
			free()
			return nil, err
		}
	}
	return free, nil
}

// shake is a handshake and nothing else.
func (p *process) shake(ctx context.Context, _ *kiosk) error {
	config := p.tls()
	config.NextProtos = []string{"h2"}
	c, err := (&tls.Dialer{Config: config}).DialContext(ctx, "tcp", strings.TrimPrefix(p.url, "https://"))
	if err != nil {
		return err
	}
	return c.Close()
}

// full is a whole visit.
func (p *process) full(ctx context.Context, k *kiosk) error { return k.visit(ctx, p) }

// minWait and maxWait are those of a kiosk as it ships, which asks every 30 seconds.
const minWait, maxWait = time.Second, 2 * time.Minute

// An outcome is what came of kiosks that all came at once.
type outcome struct {
	n, in  int           // kiosks, and how many came in
	took   time.Duration // until the last was in
	half   time.Duration // until every second one was
	tries  int           // of all
	most   int           // of one
	turned int           // tries that were reset before TLS
	busy   int           // tries that were answered with 503
	faults int           // tries that ended otherwise
	fault  error         // one of these
}

// burst lets all kiosks come at the same moment, and each try until it is in or ctx ends. spread is as in uplink.Options.
func (p *process) burst(ctx context.Context, all []*kiosk, spread time.Duration) outcome {
	var mu sync.Mutex
	var done []time.Duration
	o := outcome{n: len(all)}
	var g sync.WaitGroup
	gun := make(chan struct{})
	var begin time.Time
	for _, k := range all {
		g.Go(func() {
			<-gun
			one := k.persist(ctx, p, begin, spread)
			mu.Lock()
			defer mu.Unlock()
			o.add(one)
			if one.in == 1 {
				done = append(done, one.took)
			}
		})
	}
	begin = time.Now()
	close(gun)
	g.Wait()
	if slices.Sort(done); len(done) > 0 {
		o.took, o.half = done[len(done)-1], done[len(done)/2]
	}
	return o
}

func (o *outcome) add(one outcome) {
	o.in += one.in
	o.tries += one.tries
	o.most = max(o.most, one.tries)
	o.turned += one.turned
	o.busy += one.busy
	o.faults += one.faults
	if one.fault != nil {
		o.fault = one.fault
	}
}

// persist tries until the kiosk is in, and waits in between as sync/uplink does.
func (k *kiosk) persist(ctx context.Context, p *process, begin time.Time, spread time.Duration) (o outcome) {
	rule := uplink.Rule{MinWait: minWait, MaxWait: maxWait, Spread: spread, Jitter: rand.Float64}
	for waited := time.Duration(0); ; {
		o.tries++
		err := k.visit(ctx, p)
		if err == nil {
			o.in, o.took = 1, time.Since(begin)
			return o
		}
		wait := rule.Wait(o.tries, waited, err, o.note(err, time.Since(begin)))
		if waited += wait; !pause(ctx, wait) {
			return o
		}
	}
}

// note counts a failed try after so long, and returns for how long the hub asked to be left alone.
func (o *outcome) note(err error, tried time.Duration) (asked time.Duration) {
	busy := errBusy(0)
	switch {
	case uplink.TurnedAway(err):
		o.turned++
	case errors.As(err, &busy):
		o.busy++
		return time.Duration(busy)
	default:
		o.faults++
		o.fault = fmt.Errorf("after %v: %w", tried.Round(time.Millisecond), err)
	}
	return 0
}

func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
