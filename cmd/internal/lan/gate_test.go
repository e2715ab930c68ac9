package lan

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
	"gatepost/sync/pull"
)

var (
	hanoi   = time.FixedZone("+07", 7*3600)
	morning = time.Date(2026, 11, 23, 8, 0, 0, 0, hanoi)
	card    = []string{"id:001090000001", "tail:NGUYỄN VĂN A|1990|0001"}
	other   = []string{"id:001190000002", "tail:TRẦN THỊ BÍCH|1990|0002"}
)

const form = "covid-2021/1"

// A gate is a journal and a memory with their LAN, as a kiosk has them.
type gate struct {
	t    *testing.T
	name string
	key  ed25519.PrivateKey
	dir  string
	addr string
	j    *journal.Journal
	m    *memory.Memory
	log  bytes.Buffer
	stop func() // ends its LAN

	mu      sync.Mutex
	now     time.Time
	problem map[string]string // by peer
	alarms  []string
}

// newGate makes a gate that does not run yet, at an address that is free.
func newGate(t *testing.T, name string, seed byte) *gate {
	t.Helper()
	l, err := net.Listen("tcp", fmt.Sprintf("127.0.77.%d:0", seed)) // from which nobody calls, so that the port stays free
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	g := &gate{
		t: t, name: name, key: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize)), dir: t.TempDir(), addr: l.Addr().String(),
		now: morning, problem: map[string]string{}, stop: func() {},
	}
	g.open()
	t.Cleanup(func() { g.close() })
	return g
}

func (g *gate) open() {
	g.t.Helper()
	var err error
	if g.j, err = journal.Open(filepath.Join(g.dir, "journal"), journal.Options{Device: g.id()}); err != nil {
		g.t.Fatal(err)
	}
	if g.m, err = memory.Open(filepath.Join(g.dir, "memory"), hanoi, g.clock(), rand.Reader); err != nil {
		g.t.Fatal(err)
	}
}

func (g *gate) close() {
	g.stop()
	g.stop = func() {}
	g.j.Close()
	g.m.Close()
}

// restart ends the gate and opens it again; it is not run.
func (g *gate) restart() {
	g.t.Helper()
	g.close()
	g.open()
}

func (g *gate) id() string { return entry.DeviceID(g.key.Public().(ed25519.PublicKey)) }

func (g *gate) peer() Peer {
	return Peer{g.name, "https://" + g.addr, g.key.Public().(ed25519.PublicKey)}
}

func (g *gate) clock() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.now
}

func (g *gate) setClock(now time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.now = now
}

func (g *gate) options(tokens pull.Tokens, peers ...*gate) Options {
	o := Options{
		Key: g.key, Tokens: tokens, Journal: g.j, Memory: g.m, Aside: filepath.Join(g.dir, "aside"), Dir: filepath.Join(g.dir, "lan"),
		Now: g.clock, Log: slog.New(slog.NewTextHandler(&g.log, nil)),
		OnPeer: func(name string, _ time.Time, problem string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.problem[name] = problem
		},
		OnAlarm: func(name, text string) {
			g.mu.Lock()
			defer g.mu.Unlock()
			g.alarms = append(g.alarms, name+": "+text)
		},
	}
	for _, p := range peers {
		o.Peers = append(o.Peers, p.peer())
	}
	return o
}

// run lets the gate serve and follow its peers until stop.
func (g *gate) run(tokens pull.Tokens, peers ...*gate) {
	g.t.Helper()
	o := g.options(tokens, peers...)
	var err error
	if o.Listener, err = net.Listen("tcp", g.addr); err != nil {
		g.t.Fatal(err)
	}
	l, err := New(o)
	if err != nil {
		g.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- l.Run(ctx) }()
	g.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			g.t.Errorf("%s: %v", g.name, err)
		}
	})
}

// append keeps an entry at the gate's time.
func (g *gate) append(body entry.Body) uint64 {
	g.t.Helper()
	d, err := entry.NewDraft(entry.Stamp{Wall: g.clock().UTC(), Trust: entry.TrustClock}, body)
	if err != nil {
		g.t.Fatal(err)
	}
	e, err := g.j.Append(context.Background(), d)
	if err != nil {
		g.t.Fatal(err)
	}
	return e.Seq
}

// pass lets a person pass, as a kiosk would.
func (g *gate) pass(keys []string, d entry.Direction) uint64 {
	g.t.Helper()
	p := memory.Passage{Gate: g.id(), Tag: g.m.Tag(keys, g.clock()), Direction: d, At: g.clock()}
	p.Seq = g.append(entry.Passage{Lane: "gate-1", Direction: d, Verdict: entry.Admit, Tag: p.Tag})
	g.m.Pass(keys, p)
	return p.Seq
}

// until waits until ok.
func (g *gate) until(what string, ok func() bool) {
	g.t.Helper()
	late, tick := time.After(20*time.Second), time.NewTicker(10*time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-late:
			g.t.Fatalf("%s: waited in vain for %s\n%s", g.name, what, g.log.String())
		}
	}
}

// state returns how a peer stands, "" if it is there.
func (g *gate) state(peer string) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.problem[peer]
}

func (g *gate) past(keys []string) memory.Past { return g.m.Past(keys, g.clock()) }

// agreed waits until the gates write tags under one key.
func agreed(gates ...*gate) {
	for _, g := range gates {
		g.until("the venue's key", func() bool {
			return bytes.Equal(g.m.Tag(card, g.clock()), gates[0].m.Tag(card, gates[0].clock()))
		})
	}
}
