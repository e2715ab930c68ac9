// Package demo shows the whole gate on one machine: it builds the programs from the tree, starts a kiosk with
// simulated people before it even builds the hub, tells what happens line by line, counts everything at the
// end, and lets a viewer break things by hand.
//
// Nothing in it is a stand-in: the programs are the ones that ship, each in its own process. Only the people
// are invented, and the wire between kiosk and hub goes through a relay that the viewer can cut.
package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/process"
)

// Options of a demo.
type Options struct {
	For    time.Duration // how long people come; 0: until ctx ends
	Camera string        // a source such as "v4l:/dev/video0" beside the simulated people; empty: none
	Page   string        // where the viewer's page listens; empty: a free loopback port
	Keep   bool          // leave the run's folder
	Out    io.Writer
}

// drain is how long the last entries may take to the hub and back after the last person.
const drain = 15 * time.Second

// A demo is one run.
type demo struct {
	Options
	world
	kiosk *process.Process
	hub   *process.Process
	relay *relay
	began time.Time

	mu    sync.Mutex
	shown int      // showings handed to the simulated cameras
	lines []string // what was told, for the page
	news  chan struct{}
	bad   int      // steps that went another way
	hand  bool     // the viewer broke something: then steps may go another way
	self  []string // names under which the viewer declared
}

// Run runs the demo. It returns an error when it could not, or when its counts do not hold.
func Run(ctx context.Context, o Options) error {
	d := &demo{Options: o, began: time.Now(), news: make(chan struct{})}
	dir, err := os.MkdirTemp("", "gatepost-demo-")
	if err != nil {
		return err
	}
	if o.Keep {
		d.say("the run's folder stays: %s", dir)
	} else {
		defer os.RemoveAll(dir)
	}
	b, err := findBuilder(filepath.Join(dir, "bin"))
	if err != nil {
		return err
	}
	d.say("building the kiosk…")
	if err := b.build(ctx, "gatekiosk"); err != nil {
		return err
	}
	if d.world, err = newWorld(filepath.Join(dir, "run"), demoLanes(o.Camera)); err != nil {
		return fmt.Errorf("make the demo's world: %w", err)
	}
	return d.run(ctx, b)
}

// run plays the story with everything that it needs at hand.
func (d *demo) run(ctx context.Context, b builder) error {
	var err error
	if d.relay, err = newRelay(d.relayAddr, d.hubAddr, filepath.Join(d.dir, "wire.bin")); err != nil {
		return err
	}
	defer d.relay.Close()
	d.kiosk = process.New(b.path("gatekiosk"), d.dir, "kiosk", "-config", d.kioskConfig)
	d.hub = process.New(b.path("gatehub"), d.dir, "hub", "-config", d.hubConfig)
	defer d.kiosk.Stop()
	defer d.hub.Stop()
	if err := d.kiosk.Start(); err != nil {
		return err
	}
	if err := d.awaitKiosk(ctx); err != nil {
		return err
	}
	page, err := d.servePage(ctx)
	if err != nil {
		return err
	}
	d.say("the gate works: open %s", page)
	buildCtx, stopBuild := context.WithCancel(ctx)
	built := make(chan error, 1)
	var building sync.WaitGroup
	building.Go(func() { built <- b.build(buildCtx, "gatehub") })
	defer building.Wait() // or it would go on in a folder that is removed
	defer stopBuild()
	until, cancel := d.cameraTime(ctx)
	defer cancel()
	err = d.tell(ctx, until, built)
	if ctx.Err() != nil { // Ctrl-C is how a demo ends
		err = nil
		if !d.hub.Started() {
			return d.finishAlone()
		}
	}
	return errors.Join(err, d.finish())
}

// cameraTime returns the context in which people still come.
func (d *demo) cameraTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if d.For > 0 {
		return context.WithTimeout(ctx, d.For)
	}
	return context.WithCancel(ctx)
}

// awaitKiosk waits until the kiosk's page answers and its lanes read.
func (d *demo) awaitKiosk(ctx context.Context) error {
	return await(ctx, time.Minute, "the kiosk's page", func() bool {
		s, err := d.state()
		return err == nil && !slices.ContainsFunc(s.Lanes, func(l guard.Lane) bool {
			return !l.OK && strings.HasPrefix(l.Source, "sim:") // a real camera may be away
		})
	})
}

// say tells one line, on the terminal and on the page.
func (d *demo) say(format string, a ...any) {
	line := fmt.Sprintf("%6.1fs  %s", time.Since(d.began).Seconds(), fmt.Sprintf(format, a...))
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lines = append(d.lines, line)
	close(d.news)
	d.news = make(chan struct{})
	fmt.Fprintln(d.Out, line)
}

// miss tells that a step went another way than it should. It counts, unless the viewer had a hand in it.
func (d *demo) miss(format string, a ...any) {
	d.mu.Lock()
	hand := d.hand
	if !hand {
		d.bad++
	}
	d.mu.Unlock()
	if hand {
		d.say("~ "+format+" – the viewer had a hand in it", a...)
		return
	}
	d.say("✗ "+format, a...)
}

// await polls until ok, for at most limit.
func await(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(30 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come within %v", what, limit)
		case <-tick.C:
		}
	}
	return nil
}

// local speaks to this machine alone, whatever proxy the environment names.
var local = &http.Client{Transport: &http.Transport{}, Timeout: 10 * time.Second}
