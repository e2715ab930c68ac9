package main

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/enrol"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/device/wall"
	"gatepost/storage/entry"

	"golang.org/x/sync/errgroup"
)

// An origin is what made a gate of this unit, and what it knew when it last began anew within the program.
type origin struct {
	root  *rootRights
	store *enrol.Store // nil: the configuration says all
	again func()       // called when a later enrolment was taken, to begin anew

	refused map[string]string // what of the card's files was not done, by file

	clock  *wall.Clock                // has the hub's time; nil at first
	turned map[string]entry.Direction // lanes that the guard has turned
}

// tell notes why a file on the card was not obeyed; "": it was, or there is none.
func (e *origin) tell(file, why string, log *slog.Logger) {
	if why == "" {
		return
	}
	log.Warn("a file on the card is not obeyed", "file", file, "why", why)
	if e.refused == nil {
		e.refused = map[string]string{}
	}
	e.refused[file] = why
}

// turn gives lanes the directions that the guard gave them before the gate began anew, and returns them as configured. Of
// two directions, an order that gives a turned lane another one gives it that.
func (e *origin) turn(lanes []kiosk.Lane) (configured []kiosk.Lane) {
	configured = slices.Clone(lanes)
	for i, l := range lanes {
		if d, ok := e.turned[l.Name]; ok {
			lanes[i].Direction, lanes[i].Turned = d, true
		}
	}
	return configured
}

// keepTurns remembers the directions that differ from the configured ones.
func (e *origin) keepTurns(configured []kiosk.Lane, now map[string]entry.Direction) {
	e.turned = map[string]entry.Direction{}
	for _, l := range configured {
		if d := now[l.Name]; d != l.Direction {
			e.turned[l.Name] = d
		}
	}
}

// configure says whose badges count, the enrolment's issuer's or the configuration's, and how later enrolments are read.
func (e *origin) configure(o *kiosk.Options, c *config.Kiosk) (err error) {
	if e.store != nil {
		o.Enrol = enrol.NewReader(e.store, o.Clock.Stamp, e.again).Read
		if current, ok := e.store.Current(); ok {
			o.Issuer = current.Issuer
			return nil
		}
	}
	if c.Keys.Issuer == "" {
		return nil
	}
	if o.Issuer, err = keyfile.Public(c.Keys.Issuer); err != nil {
		return fmt.Errorf("issuer's key: %w", err)
	}
	return nil
}

// serve runs the gate until ctx ends. Where the configuration says so it waits for an enrolment first, and begins anew
// with each later one.
func serve(ctx context.Context, c *config.Kiosk, log *slog.Logger) error {
	root, err := takeRoot(c, log)
	if err != nil {
		return err
	}
	if root.helper {
		return root.help(ctx, c, log)
	}
	defer root.close()
	if !c.Enrol {
		return serveOrders(ctx, c, &origin{root: root}, log)
	}
	var issuer ed25519.PublicKey
	if c.Keys.Issuer != "" {
		if issuer, err = keyfile.Public(c.Keys.Issuer); err != nil {
			return fmt.Errorf("issuer's key: %w", err)
		}
	}
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	from := &origin{root: root}
	if c.Enrolment != "" {
		why, err := enrol.Reset(filepath.Dir(c.Enrolment), c.Data, c.Keys.Device)
		if err != nil {
			why = err.Error()
		}
		from.tell(enrol.ResetFile, why, log)
	}
	store, err := enrol.Open(filepath.Join(c.Data, "enrolment"), issuer, log)
	if err != nil {
		return err
	}
	if _, ok := store.Current(); ok { // a later one; a unit that waits shows what it reads
		r := enrol.NewReader(store, func() entry.Stamp { return entry.Stamp{Wall: time.Now()} }, func() {})
		if said, ok := r.File(c.Enrolment); ok && said.Face != guard.Ask && said.Face != guard.Ready { // the gate has it already, or has taken it
			from.tell(enrol.FileName, said.Words.VI+" · "+said.Words.EN, log)
		}
	}
	from.store = store
	for ctx.Err() == nil {
		if _, ok := store.Current(); !ok {
			if err := await(ctx, c, from, log); err != nil {
				return err
			}
			continue
		}
		own := *c
		if err := store.Apply(&own); err != nil {
			return err
		}
		once, again := context.WithCancel(ctx)
		from.again = again
		err := serveOrders(once, &own, from, log)
		again()
		if err != nil {
			return err
		}
	}
	return nil
}

// await shows the page and reads codes until the unit is enrolled, or ctx ends.
func await(ctx context.Context, c *config.Kiosk, from *origin, log *slog.Logger) error {
	lamps, err := openLamps(c) // dark: a green of a run that was killed must not stand
	if err != nil {
		return fmt.Errorf("lamps: %w", err)
	}
	if lamps != nil {
		defer lamps.Halt()
	}
	synced, err := wall.ParseSource(c.Venue.Clock)
	if err != nil {
		return err
	}
	clock := wall.New(wall.Options{Now: time.Now, Synced: synced, Seen: written, Kept: keptTime(c, log)})
	var simulator kiosk.Simulator
	lanes, err := openLanes(c, &simulator, log)
	if err != nil {
		return err
	}
	page, err := openPage(c, clock.Stamp().Wall, config.Loopback(c.Console.Listen))
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	defer page.close()
	gate := enrol.NewGate(lanes, log)
	gate.File, gate.Port = c.Enrolment, from.root.sticks(c)
	g, ctx := errgroup.WithContext(ctx)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	page.run(ctx, g, gate, guard.Options{Log: log, Sim: simulator.Handler()})
	runScreen(ctx, g, c, gate, nil, clock, nil, log)
	g.Go(func() error { gate.Run(ctx, from.store, clock.Stamp); stop(); return nil })
	log.Info("waiting for an enrolment", "lanes", len(lanes))
	return g.Wait()
}
