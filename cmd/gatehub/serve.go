package main

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/desk"
	"gatepost/cmd/internal/supervise"
	"gatepost/storage/view"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"

	"golang.org/x/sync/errgroup"
)

const (
	headerTime = 10 * time.Second
	readTime   = 60 * time.Second // a batch over a slow line
	answerTime = 2 * time.Minute  // from a request's head to its answer's end; what takes longer says so itself
	stallTime  = 30 * time.Second // in which a peer must take something
	maxStreams = 8                // requests of one connection at once
	idleTime   = 2 * time.Minute
	closeTime  = 5 * time.Second // for requests that are under way when the hub ends
)

// serve runs the hub until ctx ends.
func serve(ctx context.Context, c *config, log *slog.Logger) error {
	own, err := prepare(c, log)
	if err != nil {
		return err
	}
	known := &devices{dir: c.Devices, log: log}
	places, err := known.read()
	if err != nil {
		return fmt.Errorf("read devices: %w", err)
	}
	consumers, err := pull.OpenConsumers(filepath.Join(c.Data, "consumers.json"))
	if err != nil {
		return err
	}
	down, err := openOrders(c, own.issuer, log)
	if err != nil {
		return err
	}
	pace := hub.NewPace(time.Now, rand.Float64)
	h, err := hub.Open(ctx, hub.Options{
		Dir: filepath.Join(c.Data, "log"), Engine: c.Engine, Devices: known.Key, ReceiptKey: own.receipt, Now: time.Now, Log: log,
		Kept: keeper(c, consumers), Replaced: known.Replaced, Revoked: known.Revoked, Orders: down.Digest, Pace: pace,
	})
	if err != nil {
		return err
	}
	defer h.Close()
	if err := consumers.Attach(ctx, h); err != nil {
		return err
	}
	v, d, err := openDesk(ctx, c, log)
	if err != nil {
		return err
	}
	defer v.Close()
	fl := newFleet(h, time.Now, known)
	down.area = fl.area
	place := placing(ctx, fl, v, d, log)
	place(places)

	g, ctx := errgroup.WithContext(ctx) // ends with the first listener that fails, or with ctx
	follow := func(name string, f func(context.Context) error) {
		g.Go(func() error { supervise.Run(ctx, log, name, f, func(error) {}); return nil })
	}
	g.Go(func() error { known.follow(ctx, place); return nil })
	g.Go(func() error { down.follow(ctx); return nil })
	follow("view", func(ctx context.Context) error { return desk.Follow(ctx, h, v, d.Changed) })
	follow("fleet", fl.follow)
	gates := routes(h, own, fl, down, consumers, c.Data, log)
	enrols := &enroller{
		devices: known, issuer: own.issuer, receipt: own.receipt.Public().(ed25519.PublicKey), now: time.Now, changed: place, state: h.State, log: log,
	}
	if err := enrols.share(ctx, h, follow); err != nil {
		return err
	}
	gates.Handle(wire.PathEnrol, enrols)
	if err := listen(ctx, g, c, own, pace, hub.Guard(log, gates), d, log); err != nil {
		return err
	}
	return g.Wait()
}

// share takes each enrolment once in all of the hub's cluster, where it has one.
func (e *enroller) share(ctx context.Context, h *hub.Hub, follow func(name string, f func(context.Context) error)) error {
	register, err := h.Register(ctx)
	if err != nil || register == nil || e.issuer == nil {
		return err
	}
	e.first = register.First
	follow("enrolments of other hubs", func(ctx context.Context) error { return register.Follow(ctx, e.learn) })
	return nil
}

// placing returns what notes where the devices stand.
func placing(ctx context.Context, fl *fleet, v *view.View, d *desk.Desk, log *slog.Logger) func(map[string]view.Place) {
	return func(places map[string]view.Place) {
		fl.place(places)
		if err := v.SetPlaces(ctx, places); err != nil {
			log.Error("places not shown", "error", err)
		}
		d.Changed()
	}
}

// openDesk opens the view and the officer's page over it.
func openDesk(ctx context.Context, c *config, log *slog.Logger) (*view.View, *desk.Desk, error) {
	v, err := view.Open(ctx, filepath.Join(c.Data, "view.db"), c.zone)
	if err != nil {
		return nil, nil, err
	}
	d, err := desk.New(desk.Options{View: v, Zone: c.zone, Now: time.Now, Name: c.Name, Areas: c.Areas, Log: log})
	if err != nil {
		v.Close()
		return nil, nil, err
	}
	return v, d, nil
}

// routes is what gates and pullers may ask for.
func routes(h *hub.Hub, own *secrets, fl *fleet, down *orders, consumers *pull.Consumers, data string, log *slog.Logger) *http.ServeMux {
	gates := http.NewServeMux()
	puller := pull.New(pull.Options{
		Log: h, Tokens: own.tokens, Area: fl.area, Consumers: consumers, Fleet: fl.devices, Release: h.Release, Out: log,
	})
	for _, path := range []string{wire.PathLog, wire.PathConsumers, wire.PathStatus, wire.PathReleases} {
		gates.Handle(path, puller)
	}
	gates.Handle(wire.PathDevice+"{id}"+wire.OrdersOf, &orderHandler{orders: down, known: h.Known, tokens: own.tokens, now: time.Now})
	gates.Handle(wire.PathBundles+"{name}", bundles{filepath.Join(data, "bundles")})
	gates.Handle("/", fl.listen(h.Handler()))
	return gates
}

// keeper tells how far the consumer has come for whom receipts wait; where none is named, they wait for nobody.
func keeper(c *config, consumers *pull.Consumers) func() (uint64, bool) {
	if c.Keeper == "" {
		return nil
	}
	return func() (uint64, bool) {
		place, _ := consumers.Kept(c.Keeper) // 0 of one that has said nothing yet: no receipt
		return place, true
	}
}

// listen opens both ports and serves on them in g.
func listen(ctx context.Context, g *errgroup.Group, c *config, own *secrets, pace *hub.Pace, gates http.Handler, d *desk.Desk, log *slog.Logger) error {
	batches, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return fmt.Errorf("listen for gates: %w", err)
	}
	defer func() {
		log.Info("hub listens", "gates", "https://"+batches.Addr().String(), "pages", c.Pages, "data", c.Data)
	}()
	door := hub.NewDoor(batches, hub.DoorOptions{
		TLS: &tls.Config{
			MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{own.cert}, NextProtos: []string{"h2", "http/1.1"},
		},
		Pace: pace, Now: time.Now, Log: log,
	})
	serveOn(ctx, g, door, gates, log)
	if c.Pages == "" {
		return nil
	}
	pages, err := net.Listen("tcp", c.Pages)
	if err != nil {
		return fmt.Errorf("listen for pages: %w", err)
	}
	if a, ok := pages.Addr().(*net.TCPAddr); ok && !a.IP.IsLoopback() {
		log.Warn("others can reach the officer's page, which has no password", "pages", c.Pages)
	}
	serveOn(ctx, g, pages, d.Handler(), log)
	return nil
}

// serveOn serves l in g until ctx ends; requests see the end in their own contexts.
func serveOn(ctx context.Context, g *errgroup.Group, l net.Listener, handler http.Handler, log *slog.Logger) {
	s := &http.Server{
		Handler: handler, ReadHeaderTimeout: headerTime, ReadTimeout: readTime, WriteTimeout: answerTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
		HTTP2:       &http.HTTP2Config{MaxConcurrentStreams: maxStreams, WriteByteTimeout: stallTime},
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug), // strangers cause these
	}
	if door, ok := l.(*hub.Door); ok {
		s.ConnState = door.ConnState
	}
	g.Go(func() error {
		if err := s.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve %s: %w", l.Addr(), err)
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
		defer cancel()
		if s.Shutdown(last) != nil {
			s.Close()
		}
		return nil
	})
}
