package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"sync"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/process"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/cmd/internal/selfsign"
	"gatepost/sync/pull"

	"golang.org/x/sync/errgroup"
)

const (
	drainTime = 2 * time.Minute // for the last entries on their way, on a busy machine
	seeTime   = time.Minute     // for a hub to see what others have stored, when the server that told it was killed
)

// A site is the real hubs that stand before one log, and the gates that send to them. All hubs have the same keys.
type site struct {
	p       *proof.Run
	name    string
	dir     string
	gatectl string
	hubs    []*process.Process
	data    []string // folders of the hubs
	addrs   []string // of the hubs, host:port
	roots   *x509.CertPool
	book    *book
	gates   []*gate

	tending sync.Mutex // held while hubs are meant to be down
}

// newSite makes the keys, configurations and journals of a site; engine is the hubs'. No hub runs yet.
func newSite(ctx context.Context, p *proof.Run, name, engine string, hubs, gates int) (*site, error) {
	s := &site{p: p, name: name, dir: filepath.Join(p.Work, name)}
	gatehub, err := p.Program(ctx, "gatehub")
	if err != nil {
		return nil, err
	}
	if s.gatectl, err = p.Program(ctx, "gatectl"); err != nil {
		return nil, err
	}
	host := ownHost()
	if err := s.makeKeys(host); err != nil {
		return nil, err
	}
	if s.addrs, err = demo.FreeAddrs(host, hubs); err != nil {
		return nil, err
	}
	for i, addr := range s.addrs {
		hub := fmt.Sprintf("hub-%d", i)
		text := fmt.Sprintf("schema = 1\ndata = %q\nengine = %q\nlisten = %q\npages = \"\"\ndevices = \"devices\"\ntokens = \"token\"\n"+
			"receipt_key = \"receipt.key\"\ntls_cert = \"tls/hub.pem\"\ntls_key = \"tls/hub.key\"\n", hub, engine, addr)
		if err := os.WriteFile(s.path(hub+".toml"), []byte(text), 0o600); err != nil {
			return nil, err
		}
		s.data = append(s.data, s.path(hub))
		s.hubs = append(s.hubs, process.New(gatehub, s.dir, hub, "-config", s.path(hub+".toml")))
	}
	return s, s.addGates(gates)
}

func (s *site) path(name string) string { return filepath.Join(s.dir, name) }

// ownHost draws a loopback address for one site or one cluster, so that no other program takes a port of it while what
// listens there is down.
func ownHost() string {
	b := make([]byte, 3)
	rand.Read(b) // never fails
	return fmt.Sprintf("127.%d.%d.%d", 1+b[0]%254, b[1], 1+b[2]%254)
}

func (s *site) makeKeys(host string) error {
	if err := os.MkdirAll(s.path("devices"), 0o700); err != nil {
		return err
	}
	err := errors.Join(
		keyfile.Create(s.dir, "receipt", "receipt"),
		selfsign.Create(s.path("tls"), time.Now(), host, "127.0.0.1"),
		os.WriteFile(s.path("token"), []byte(rand.Text()+"\n"), 0o600),
	)
	if err != nil {
		return err
	}
	pub, err := keyfile.Public(s.path("receipt.pub.pem"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(s.path("tls/ca.pem"))
	if err != nil {
		return err
	}
	s.roots = x509.NewCertPool()
	s.roots.AppendCertsFromPEM(ca)
	s.book = newBook(pub)
	return nil
}

func (s *site) addGates(n int) error {
	for i := range n {
		g, err := newGate(s.dir, s.path("devices"), i)
		if err != nil {
			return err
		}
		random := s.p.Random(uint64(1000 + i))
		g.up.Hub, g.up.Key, g.up.ReceiptKey = "https://hub", g.key, s.book.pub
		g.up.Interval, g.up.MinWait, g.up.MaxWait, g.up.Spread = 300*time.Millisecond, 5*time.Millisecond, 200*time.Millisecond, 200*time.Millisecond
		g.up.Network = func(context.Context, func(), func()) error { return nil } // it never changes here
		g.up.OnAlarm = func(text string) { s.book.object(fmt.Errorf("alarm of gate %s: %s", g.device, text)) }
		g.up.Transport = newWitness(s, g.device, random)
		s.gates = append(s.gates, g)
	}
	return nil
}

// start starts the hubs that do not run.
func (s *site) start() error {
	for _, h := range s.hubs {
		if err := h.Start(); err != nil {
			return err
		}
	}
	return nil
}

// tend starts hubs again that have ended, as a service manager does, until ctx ends.
func (s *site) tend(ctx context.Context) error {
	tick := time.NewTicker(500 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		s.tending.Lock()
		err := s.start()
		s.tending.Unlock()
		if err != nil {
			return err
		}
	}
}

// close ends everything.
func (s *site) close() {
	for _, h := range s.hubs {
		h.Kill()
	}
	for _, g := range s.gates {
		g.j.Close()
	}
}

// under runs act while people come to every gate and the uplinks work, and then lets the uplinks send what is left.
func (s *site) under(ctx context.Context, act func(context.Context) error) error {
	ctx, end := context.WithCancel(ctx)
	group, ctx := errgroup.WithContext(ctx)
	defer group.Wait()
	defer end()
	coming, enough := context.WithCancel(ctx)
	crowds, coming := errgroup.WithContext(coming)
	defer crowds.Wait()
	defer enough()
	group.Go(func() error { return s.tend(ctx) })
	for i, g := range s.gates {
		group.Go(func() error { return g.send(ctx) })
		crowds.Go(func() error { return g.crowd(coming, s.p.Random(uint64(2000+i))) })
	}
	err := act(ctx)
	enough()
	err = errors.Join(err, crowds.Wait()) // nobody may come behind what drain has seen as sent
	if err == nil {
		err = s.drain(ctx)
	}
	end()
	if err := errors.Join(err, group.Wait()); err != nil {
		return fmt.Errorf("%w\n%s", err, s.logs())
	}
	return nil
}

// drain waits until every entry has its receipt.
func (s *site) drain(ctx context.Context) error {
	return until(ctx, drainTime, "every entry's receipt", func() bool {
		for _, g := range s.gates {
			if !g.sent() {
				return false
			}
		}
		return true
	})
}

// progress waits until the hubs have signed n receipts more.
func (s *site) progress(ctx context.Context, n int) error {
	from := s.book.receipts()
	return until(ctx, drainTime, fmt.Sprintf("%d receipts more", n), func() bool { return s.book.receipts() >= from+n })
}

// chains returns the hashes of every entry of every gate.
func (s *site) chains() (map[string]chain, error) {
	all := map[string]chain{}
	for _, g := range s.gates {
		c, err := g.learn()
		if err != nil {
			return nil, err
		}
		all[g.device] = c
	}
	return all, nil
}

// audit pulls everything from every hub by the real gatectl and compares it with what the gates hold and what was signed.
func (s *site) audit(ctx context.Context) (t proof.Tally, err error) {
	chains, err := s.chains()
	if err != nil {
		return t, err
	}
	t.Lost = s.book.forgotten()
	for i := range s.hubs {
		began := time.Now()
		pulled, err := s.pullAll(ctx, i, chains)
		if err != nil {
			return t, fmt.Errorf("%w\n%s", err, s.logs())
		}
		lost, doubled := compare(chains, pulled)
		t.Lost += lost
		t.Doubled += doubled
		if lost+doubled == 0 {
			if err := notices(chains, pulled); err != nil {
				return t, err
			}
		}
		s.p.Say("%s: %d receipts, %d entries pulled from hub %d within %.1f s, lost %d, doubled %d",
			s.name, s.book.receipts(), len(pulled), i, time.Since(began).Seconds(), lost, doubled)
	}
	return t, s.book.objections(chains)
}

// pullAll pulls until nothing is missing, or for as long as a hub may take to start and to see what another one has stored.
func (s *site) pullAll(ctx context.Context, hub int, chains map[string]chain) (pulled []pull.Line, err error) {
	until(ctx, seeTime, "everything", func() bool { // what is missing then is counted
		if err = s.hubs[hub].Start(); err != nil {
			return true
		}
		if pulled, err = s.pull(ctx, hub); err != nil {
			return !notNow.MatchString(err.Error())
		}
		lost, _ := compare(chains, pulled)
		return lost == 0
	})
	return pulled, errors.Join(err, ctx.Err())
}

// notNow is in gatectl's words where a hub is not there yet, or cannot read its log.
var notNow = regexp.MustCompile(`hub not reached|\(503\)`)

// pull lets the real gatectl fetch everything from one hub, or what more words of it say.
func (s *site) pull(ctx context.Context, hub int, more ...string) ([]pull.Line, error) {
	cmd := exec.CommandContext(ctx, s.gatectl, slices.Concat([]string{"pull"}, s.pullFlags(hub), more)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("gatectl pull: %w: %s", err, errs.Bytes())
	}
	return readLines(out)
}

// pullFlags are the words behind "gatectl pull".
func (s *site) pullFlags(hub int) []string {
	return []string{"-hub", "https://" + s.addrs[hub], "-token", s.path("token"), "-ca", s.path("tls/ca.pem"), "-devices", s.path("devices")}
}

// readLines reads what gatectl wrote.
func readLines(text []byte) (all []pull.Line, err error) {
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		l, err := pull.ParseLine(lines.Bytes())
		if err != nil {
			return nil, err
		}
		all = append(all, l)
	}
	return all, lines.Err()
}

// logs returns the ends of the hubs' logs.
func (s *site) logs() (tails string) {
	for _, h := range s.hubs {
		tails += tail(h.Log)
	}
	return tails
}

func tail(path string) string {
	text, err := os.ReadFile(path)
	if err != nil {
		return fmt.Sprintf("%s: %v\n", filepath.Base(path), err)
	}
	return fmt.Sprintf("%s:\n%s\n", filepath.Base(path), text[max(0, len(text)-2000):])
}

// until polls until ok, for at most limit.
func until(ctx context.Context, limit time.Duration, what string, ok func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s did not come within %v: %w", what, limit, ctx.Err())
		case <-tick.C:
		}
	}
	return nil
}
