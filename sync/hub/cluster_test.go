package hub

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/nats-io/nats-server/v2/server"
)

// nodes is a cluster of log servers on loopback.
type nodes struct {
	t       *testing.T
	servers []*server.Server
	options []*server.Options
}

// cluster starts n servers that form a cluster.
func cluster(t *testing.T, n int) *nodes {
	t.Helper()
	c := &nodes{t: t, servers: make([]*server.Server, n)}
	var routes []*url.URL
	for range n {
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprint("127.0.0.1:", freePort(t))})
	}
	for i := range n {
		port, err := strconv.Atoi(routes[i].Port())
		if err != nil {
			t.Fatal(err)
		}
		c.options = append(c.options, &server.Options{
			ServerName: fmt.Sprint("node", i), Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: t.TempDir(),
			SyncAlways: true, MaxPayload: maxMessage, Routes: routes,
			Cluster: server.ClusterOpts{Name: "logs", Host: "127.0.0.1", Port: port},
		})
		c.start(i)
		c.options[i].Port = c.servers[i].Addr().(*net.TCPAddr).Port
	}
	t.Cleanup(func() {
		for i := range c.servers {
			c.stop(i)
		}
	})
	return c
}

// freePort returns a port that nobody listens on right now: all nodes must know one another's before the first starts.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (c *nodes) start(i int) {
	c.t.Helper()
	s, err := server.NewServer(c.options[i])
	if err != nil {
		c.t.Fatal(err)
	}
	c.servers[i] = s
	s.Start()
	if !s.ReadyForConnections(startTime) {
		c.t.Fatal("a node does not start")
	}
}

func (c *nodes) stop(i int) {
	c.servers[i].Shutdown()
	c.servers[i].WaitForShutdown()
}

func (c *nodes) urls() string {
	var all []string
	for _, s := range c.servers {
		all = append(all, s.ClientURL())
	}
	return strings.Join(all, ",")
}

// leader returns the node that leads the log's stream, or -1.
func (c *nodes) leader() int {
	for i, s := range c.servers {
		if s.Running() && s.JetStreamIsStreamLeader(server.DEFAULT_GLOBAL_ACCOUNT, streamName) {
			return i
		}
	}
	return -1
}

// join opens a hub on the cluster, as soon as that can be reached.
func (c *nodes) join() *Hub {
	c.t.Helper()
	known := map[string]ed25519.PublicKey{}
	for n := byte(1); n < 10; n++ {
		known[id(seeded(n))] = public(seeded(n))
	}
	opt := Options{
		Engine: c.urls(), ReceiptKey: seeded(100), Now: func() time.Time { return now },
		Devices: func(id string) (ed25519.PublicKey, bool) { k, ok := known[id]; return k, ok },
	}
	var h *Hub
	until(c.t, "a hub on the cluster", func() (ok bool) {
		var err error
		if h, err = Open(c.t.Context(), opt); err != nil {
			c.t.Log(err)
		}
		return err == nil
	})
	c.t.Cleanup(h.Close)
	return h
}

// Two hubs stand side by side on one log: each sees what the other stores, and neither doubles nor overwrites it.
func TestTwoHubs(t *testing.T) {
	t.Parallel()
	c := cluster(t, 3)
	a, b := c.join(), c.join()
	if a.Epoch() != b.Epoch() {
		t.Fatalf("epochs %q and %q", a.Epoch(), b.Epoch())
	}
	if n := engineOf(a).stream.CachedInfo().Config.Replicas; n != 3 {
		t.Errorf("%d replicas", n)
	}
	woken := make(chan error, 1)
	go func() { woken <- b.Wait(t.Context(), 0) }()
	all := chain(t, entry.Head{}, 9, "a")
	other := chain(t, entry.Head{}, 9, "b")
	for _, step := range []struct {
		name string
		hub  *Hub
		raw  []byte
		seq  uint64
		kind string
	}{
		{"first", a, batch(t, seeded(1), all[:2]), 2, ""},
		{"stored at the other hub", b, batch(t, seeded(1), all[:2]), 2, ""},
		{"on at the other hub", b, batch(t, seeded(1), all[2:4]), 4, ""},
		{"on at the first hub", a, batch(t, seeded(1), all[4:6]), 6, ""},
		{"behind", b, batch(t, seeded(1), all[2:4]), 6, wire.ProblemStep},
		{"again", b, batch(t, seeded(1), all[4:6]), 6, ""},
		{"fork", b, batch(t, seeded(1), other[4:7]), 6, wire.ProblemFork},
		{"the same fork at the first hub", a, batch(t, seeded(1), other[4:7]), 6, wire.ProblemFork},
	} {
		s, err := step.hub.Put(t.Context(), step.raw)
		p := wire.Problem{}
		if errors.As(err, &p) && p.State != nil {
			s = *p.State
		}
		if p.Type != step.kind || s.Seq != step.seq {
			t.Errorf("%s: %d, %v", step.name, s.Seq, err)
		}
	}
	if err := <-woken; err != nil {
		t.Error(err)
	}
	if s, err := a.Put(t.Context(), batch(t, seeded(1), all[6:7])); err != nil || s.Seq != 7 {
		t.Error(s, err)
	}
	until(t, "the other hub notices", func() bool {
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.heads[id(seeded(1))].at == 5
	})
	for _, h := range []*Hub{a, b} {
		if err := h.Wait(t.Context(), 4); err != nil { // four batches and one alarm
			t.Fatal(err)
		}
		if got := records(t, h); len(got) != 5 || got[3].Alarm == nil {
			t.Errorf("%d records", len(got))
		}
		if s, err := h.State(t.Context(), id(seeded(1))); err != nil || s.Seq != 7 {
			t.Errorf("%+v, %v", s, err)
		}
	}
}

// The head that a hub remembers is older than the log: the fence refuses the store, and the log decides.
func TestStaleHead(t *testing.T) {
	t.Parallel()
	c := cluster(t, 3)
	a, b := c.join(), c.join()
	b.stop() // it hears of nobody any more
	b.follow.Wait()
	all, other := chain(t, entry.Head{}, 6, "a"), chain(t, entry.Head{}, 6, "b")
	put := func(h *Hub, entries [][]byte) string {
		_, err := h.Put(t.Context(), batch(t, seeded(1), entries))
		p := wire.Problem{}
		errors.As(err, &p)
		return p.Type
	}
	steps := []struct {
		hub     *Hub
		entries [][]byte
		want    string
	}{
		{b, all[:1], ""},
		{a, all[1:3], ""},
		{b, all[1:3], ""},                 // stored already
		{a, all[3:4], ""},                 //
		{b, all[3:5], wire.ProblemStep},   // another writer was quicker
		{a, all[4:5], ""},                 //
		{b, other[4:6], wire.ProblemFork}, // goes on from nothing that the log holds
		{b, all[5:6], ""},
	}
	for i, s := range steps {
		if got := put(s.hub, s.entries); got != s.want {
			t.Errorf("step %d: %q, want %q", i, got, s.want)
		}
	}
}

// A node stops while two hubs are under load, which node ever: what was acknowledged is there, once.
func TestNodeStops(t *testing.T) {
	const devices, batches, each = 6, 24, 3
	t.Parallel()
	c := cluster(t, 3)
	hubs := []*Hub{c.join(), c.join()}
	var stored atomic.Int64
	var senders sync.WaitGroup
	for n := byte(1); n <= devices; n++ {
		all := chain(t, entry.Head{}, batches*each, fmt.Sprint(n))
		senders.Go(func() {
			for i := range batches {
				send(t.Context(), t, hubs, batch(t, seeded(n), all[i*each:(i+1)*each]), uint64((i+1)*each), int(n)+i)
				stored.Add(1)
			}
		})
	}
	for round := range 2 {
		until(t, "progress", func() bool { return stored.Load() >= int64((round+1)*devices*batches/4) })
		until(t, "a leader", func() bool { return c.leader() >= 0 })
		down := c.leader()
		c.stop(down)
		c.start(down)
	}
	senders.Wait()
	for i, h := range hubs {
		last := last(t, h)
		until(t, "all is seen", func() bool { l, _ := h.newest(); return l == last })
		got := records(t, h)
		if len(got) != devices*batches {
			t.Errorf("hub %d shows %d records, want %d", i, len(got), devices*batches)
		}
		checkChains(t, got, map[string]uint64{}, devices, batches*each)
	}
	if late := c.join(); len(records(t, late)) != devices*batches {
		t.Errorf("a new hub shows %d records", len(records(t, late)))
	}
}

// send sends until one of the hubs has taken the batch, to another one after each failure, as a kiosk does.
func send(ctx context.Context, t *testing.T, hubs []*Hub, raw []byte, seq uint64, first int) {
	for try := first; ctx.Err() == nil; try++ {
		s, err := hubs[try%len(hubs)].Put(ctx, raw)
		p := wire.Problem{}
		switch {
		case err == nil && s.Seq == seq:
			return
		case err == nil:
			t.Errorf("the hub stands at %d, want %d", s.Seq, seq)
			return
		case !errors.As(err, &p) || p.Type != wire.ProblemStore:
			t.Errorf("batch up to %d: %v", seq, err)
			return
		}
	}
}

func last(t *testing.T, h *Hub) (seq uint64) {
	t.Helper()
	until(t, "the log answers", func() (ok bool) {
		m, err := h.store.Last(t.Context(), anySubject)
		seq = m.Place
		return err == nil || errors.Is(err, ErrEmpty)
	})
	return seq
}

// One external server without a cluster keeps one copy; without room for a batch it is none of ours.
func TestExternalServer(t *testing.T) {
	for _, payload := range []int32{maxMessage, 1 << 20} {
		s, err := server.NewServer(&server.Options{
			Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: payload,
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		h, err := Open(t.Context(), Options{Engine: s.ClientURL(), Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
		if payload < maxMessage {
			if err == nil || !strings.Contains(err.Error(), "max_payload") {
				t.Errorf("%v", err)
			}
		} else if err != nil || engineOf(h).stream.CachedInfo().Config.Replicas != 1 {
			t.Errorf("%v", err)
		}
		if err == nil {
			h.Close()
		}
		s.Shutdown()
		s.WaitForShutdown()
	}
	soon, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	if _, err := Open(soon, Options{Engine: "nats://127.0.0.1:1"}); err == nil {
		t.Error("a hub without a log")
	}
}

// After a power cut the hub may start before the log's servers: it waits for them.
func TestServersStartLater(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr)
	free.Close()
	s, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: address.Port, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: maxMessage,
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	waiting := startsAt{word: "do not answer yet", start: sync.OnceFunc(s.Start)}
	h, err := Open(t.Context(), Options{Engine: "nats://" + address.String(), Log: slog.New(slog.NewTextHandler(waiting, nil))})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
}

// startsAt starts something when a word is written to it.
type startsAt struct {
	word  string
	start func()
}

func (w startsAt) Write(line []byte) (int, error) {
	if strings.Contains(string(line), w.word) {
		w.start()
	}
	return len(line), nil
}
