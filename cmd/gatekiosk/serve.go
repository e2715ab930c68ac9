package main

import (
	"context"
	"crypto/ed25519"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/order"
	"gatepost/device/wall"
	"gatepost/scanner/admission"
	"gatepost/scanner/credential"
	"gatepost/scanner/form"
	"gatepost/storage/durable"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"

	"golang.org/x/sync/errgroup"
)

// serveGate opens every part, runs the gate until ctx ends, and closes the parts in the order that loses nothing. It returns
// order.ErrChanged when it is to begin anew; orders is nil where nobody may send any.
func serveGate(ctx context.Context, l order.Layer, orders *order.Keeper, e *origin, log *slog.Logger) error {
	c := l.Config
	beside, err := openPost(c, log) // first, so that no green of a run that was killed outlives it
	defer beside.halt()
	if err != nil {
		return err
	}
	p, err := openParts(c, e, log)
	if err != nil {
		return err
	}
	defer p.close()
	var simulator kiosk.Simulator
	o, err := gateOptions(l, orders, e, p, &simulator, log)
	if err != nil {
		return err
	}
	beside.configure(&o)
	configured := e.turn(o.Lanes)
	k, err := kiosk.New(o)
	if err != nil {
		return err
	}
	k.SetRosters(l.Rosters)
	defer func() { e.keepTurns(configured, k.Directions()) }()
	receipts, err := receiptKey(c)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	handOn, err := newUplink(ctx, c, p, k, orders, e, log)
	if err != nil {
		return err
	}
	page, err := openPage(c, p.clock.Stamp().Wall, config.Loopback(c.Console.Listen))
	if err != nil {
		return fmt.Errorf("console: %w", err)
	}
	defer page.close() // where the gate does not come to serve it
	k.Shifts = page.shut
	venue, err := newLAN(ctx, c, p, k, log)
	if err != nil {
		return err
	}
	page.run(ctx, g, k, guard.Options{Log: log, Sim: simulator.Handler(), Roll: k.Roll})
	beside.run(ctx, g, k, p.clock, func() string { return page.link(p.device) }, log)
	g.Go(func() error { return venue(ctx) })
	g.Go(func() error { return handOn(ctx) })
	g.Go(func() error { k.Sticks(ctx, e.root.sticks(c), p.key, receipts); return nil })
	g.Go(func() error { k.Run(ctx); return nil })
	for file, why := range e.refused {
		g.Go(func() error { k.Part(ctx, file, errors.New(why)); return nil })
	}
	g.Go(func() error { return runOrders(ctx, orders, k, p.clock) })
	g.Go(func() error { return e.root.runUpdates(ctx, k) })
	log.Info("gate runs", "venue", c.Venue.Name, "device", p.device, "lanes", len(o.Lanes), "saved", p.journal.Stats().Saved)
	return g.Wait()
}

// gateOptions puts together what a gate is told by its configuration, its orders, its enrolment and its card.
func gateOptions(l order.Layer, orders *order.Keeper, e *origin, p *parts, s *kiosk.Simulator, log *slog.Logger) (kiosk.Options, error) {
	c := l.Config
	o := kiosk.Options{
		Program: version(), Venue: c.Venue.Name, Zone: c.Zone, Retain: c.Retain, Log: log,
		Device: p.device, Journal: p.journal, Memory: p.memory, Clock: p.clock,
		Aside: asideFile(c), File: filepath.Join(c.Data, "settings.json"),
		Bundle: e.root.bundles(), System: e.root.version,
	}
	if err := configure(&o, c, s); err != nil {
		return o, err
	}
	overlay(&o, l, orders)
	return o, e.configure(&o, c)
}

// listen returns nil where there is no address.
func listen(address string) (net.Listener, error) {
	if address == "" {
		return nil, nil
	}
	return net.Listen("tcp", address)
}

// deviceKey reads the device's key, and makes one at the first start.
func deviceKey(path string) (ed25519.PrivateKey, error) {
	key, err := keyfile.Private(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return key, err
	}
	if err := makeKey(path); err != nil {
		return nil, fmt.Errorf("make device key: %w", err)
	}
	return keyfile.Private(path)
}

// makeKey makes both files of a key aside and moves them into place, the private one last: a kiosk that loses its power
// meanwhile has a whole key, or none.
func makeKey(path string) error {
	dir, name := filepath.Dir(path), strings.TrimSuffix(filepath.Base(path), ".key")
	aside := path + ".new"
	if err := os.RemoveAll(aside); err != nil {
		return err
	}
	if err := keyfile.Create(aside, name, "device"); err != nil {
		return err
	}
	for _, file := range []string{name + ".pub.pem", name + ".key"} {
		if err := os.Rename(filepath.Join(aside, file), filepath.Join(dir, file)); err != nil {
			return err
		}
	}
	return errors.Join(durable.Sync(dir), os.Remove(aside))
}

// configure fills in what the configuration's files say: keys, forms, policy, lanes.
func configure(o *kiosk.Options, c *config.Kiosk, s *kiosk.Simulator) error {
	if c.Keys.Authority != "" {
		pub, err := keyfile.SealPublic(c.Keys.Authority)
		if err != nil {
			return fmt.Errorf("authority's key: %w", err)
		}
		if o.Sealer, err = entry.NewSealer(pub); err != nil {
			return err
		}
	}
	var err error
	if o.Trust, err = declarers(c.Keys.Declarers); err != nil {
		return err
	}
	if c.Keys.Issuers != "" {
		var refused []error
		if o.Trust.Issuers, refused, err = keyfile.Issuers(c.Keys.Issuers); err != nil {
			return err
		}
		for _, err := range refused {
			o.Log.Warn("a certificate is left out", "error", err)
		}
	}
	if c.Keys.Trust != "" {
		t, err := keyfile.Trust(c.Keys.Trust, c.Forms.Publisher)
		if err != nil {
			return err
		}
		o.Trust = o.Trust.And(t)
	}
	if o.Forms, err = forms(c); err != nil {
		return err
	}
	if o.Policy, err = policy(c.Policy); err != nil {
		return err
	}
	o.Lanes, err = openLanes(c, s, o.Log)
	return err
}

// openLanes returns the lanes of the configuration, which open their sources when they are asked to.
func openLanes(c *config.Kiosk, s *kiosk.Simulator, log *slog.Logger) (lanes []kiosk.Lane, err error) {
	for _, l := range c.Lanes {
		if l.Source == "auto" {
			l.Source = kiosk.DefaultSource()
		}
		d, err := entry.ParseDirection(l.Direction)
		if err != nil {
			return nil, err
		}
		open, err := kiosk.OpenSource(l.Source, l.Name, s, log)
		if err != nil {
			return nil, fmt.Errorf("lane %q: %w", l.Name, err)
		}
		lane := kiosk.Lane{Name: l.Name, Source: l.Source, Direction: d, Open: open}
		for _, text := range l.Schedule {
			t, err := kiosk.ParseTurn(text)
			if err != nil {
				return nil, fmt.Errorf("lane %q: %w", l.Name, err)
			}
			lane.Schedule = append(lane.Schedule, t)
		}
		lanes = append(lanes, lane)
	}
	return lanes, nil
}

func declarers(dir string) (t credential.Trust, err error) {
	if dir == "" {
		return t, nil
	}
	keys, err := keyfile.Dir(dir)
	if err != nil {
		return t, fmt.Errorf("declarers: %w", err)
	}
	for _, k := range keys {
		t.Declarers = append(t.Declarers, k)
	}
	return t, nil
}

func policy(path string) (admission.Policy, error) {
	if path == "" {
		return config.DefaultPolicy(), nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return admission.Policy{}, fmt.Errorf("policy: %w", err)
	}
	p, err := config.Policy(text)
	if err != nil {
		return p, fmt.Errorf("policy %s:\n%w", path, err)
	}
	return p, nil
}

func forms(c *config.Kiosk) (form.Set, error) {
	set, err := form.Shipped()
	if err != nil || c.Forms.Dir == "" {
		return set, err
	}
	pub, err := keyfile.Public(c.Forms.Publisher)
	if err != nil {
		return nil, fmt.Errorf("forms' publisher: %w", err)
	}
	own, err := form.Load(os.DirFS(c.Forms.Dir), pub)
	if err != nil {
		return nil, fmt.Errorf("forms: %w", err)
	}
	for ref, f := range own {
		set[ref] = f
	}
	return set, nil
}

// receiptKey returns the hub's public key for receipts, nil where there is none.
func receiptKey(c *config.Kiosk) (ed25519.PublicKey, error) {
	if c.Uplink.ReceiptKey == "" {
		return nil, nil
	}
	pub, err := keyfile.Public(c.Uplink.ReceiptKey)
	if err != nil {
		return nil, fmt.Errorf("hub's receipt key: %w", err)
	}
	return pub, nil
}

// asideFile is where the uplink notes the entries that the hub refused.
func asideFile(c *config.Kiosk) string { return filepath.Join(c.Data, "aside") }

// newUplink returns what hands entries on until its context ends.
func newUplink(ctx context.Context, c *config.Kiosk, p *parts, k *kiosk.Kiosk, orders *order.Keeper, e *origin, log *slog.Logger) (run func(context.Context) error, err error) {
	if c.Uplink.Hub == "" {
		return func(context.Context) error { return nil }, nil // entries stay here
	}
	receipts, err := receiptKey(c)
	if err != nil {
		return nil, err
	}
	var roots *x509.CertPool
	if c.Uplink.CA != "" {
		pem, err := os.ReadFile(c.Uplink.CA)
		if err != nil {
			return nil, fmt.Errorf("hub's certificate authority: %w", err)
		}
		if roots = x509.NewCertPool(); !roots.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("hub's certificate authority: no certificate in %s", c.Uplink.CA)
		}
	}
	o := uplink.Options{
		Hub: c.Uplink.Hub, Proxy: c.Proxy, CA: roots, Key: p.key, ReceiptKey: receipts, Aside: asideFile(c),
		Interval: c.Interval, MaxWait: 4 * c.Interval, Log: log,
		OnState: reached(k, orders), OnAlarm: func(text string) { k.Alarm(ctx, text) }, OnTime: setClock(p.clock, e.root, log),
	}
	if now := p.clock.Stamp(); now.Trust >= entry.TrustClock { // the system's clock, by which certificates are checked, may be wrong
		o.Since = now.Wall
	} else {
		o.Since = p.clock.Seen()
	}
	if orders != nil {
		o.Orders = orders
	}
	if e.store != nil {
		o = e.store.Uplink(o)
	}
	e.root.fetchBy(uplink.Transport(o))
	return uplink.New(p.journal, o).Run, nil
}

// setClock returns what takes the hub's time, also for the system. It logs a time that is not taken once, until one is.
func setClock(clock *wall.Clock, root *rootRights, log *slog.Logger) func(at time.Time, roundTrip time.Duration) {
	refused := false
	return func(at time.Time, roundTrip time.Duration) {
		err := clock.Tell(at, roundTrip)
		if err != nil && !refused {
			log.Warn("the clock is not set by the hub", "error", err)
		}
		if refused = err != nil; !refused {
			root.setClock(clock, log)
		}
	}
}

// version returns what the build knows of itself.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "unknown"
}
