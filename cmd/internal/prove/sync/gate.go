package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const (
	maxBody = 1 << 20 // bytes of a hub's answer
	fileful = 64      // entries of one of a journal's files, so that some can soon be deleted
)

// A gate is a kiosk's journal and the real uplink that empties it. It has no cameras: its entries come by themselves.
type gate struct {
	key    ed25519.PrivateKey
	device string
	dir    string
	j      *journal.Journal
	up     uplink.Options

	mu    sync.Mutex // guards chain
	chain chain
}

// newGate makes a gate's key among the keys of the devices that the hubs know, and its journal below dir.
func newGate(dir, devices string, n int) (*gate, error) {
	name := fmt.Sprintf("gate-%d", n)
	if err := keyfile.Create(devices, name, "device"); err != nil {
		return nil, err
	}
	key, err := keyfile.Private(filepath.Join(devices, name+".key"))
	if err != nil {
		return nil, err
	}
	g := &gate{key: key, device: entry.DeviceID(key.Public().(ed25519.PublicKey)), dir: filepath.Join(dir, name), chain: chain{}}
	g.j, err = journal.Open(g.dir, journal.Options{Device: g.device, Entries: fileful})
	return g, err
}

// add appends n entries.
func (g *gate) add(ctx context.Context, n int) error {
	for range n {
		d, err := entry.NewDraft(g.now(), entry.Passage{
			Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Sealed: bytes.Repeat([]byte{7}, 250),
		})
		if err != nil {
			return err
		}
		if _, err := g.j.Append(ctx, d); err != nil {
			return err
		}
	}
	return nil
}

func (g *gate) now() entry.Stamp { return entry.Stamp{Wall: time.Now(), Trust: entry.TrustClock} }

// crowd lets entries come until ctx ends.
func (g *gate) crowd(ctx context.Context, random *rand.Rand) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Duration(random.Int64N(int64(400 * time.Millisecond)))):
		}
		if err := g.add(context.WithoutCancel(ctx), 1+random.IntN(6)); err != nil {
			return fmt.Errorf("append to a gate's journal: %w", err)
		}
	}
}

// prune deletes what has a receipt, whatever its age.
func (g *gate) prune(ctx context.Context) (int, error) {
	if _, err := g.learn(); err != nil {
		return 0, err
	}
	return g.j.Prune(ctx, time.Now(), g.now())
}

// sent reports whether a receipt covers everything.
func (g *gate) sent() bool { return g.j.Receipted() == g.j.Head().Seq }

// learn returns the hashes of every entry that the journal ever held. What it deletes must have been learnt before.
func (g *gate) learn() (chain, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for seq := g.j.First(); seq <= g.j.Head().Seq; seq++ {
		if _, known := g.chain[seq]; known {
			continue
		}
		hash, err := g.j.Hash(seq)
		if err != nil {
			return nil, fmt.Errorf("read a gate's journal: %w", err)
		}
		g.chain[seq] = hash
	}
	return g.chain, nil
}

// send runs the uplink until ctx ends.
func (g *gate) send(ctx context.Context) error { return uplink.New(g.j, g.up).Run(ctx) }

// A witness is the wire of one gate, a client of its own. It takes the requests to one of the hubs, to the next one after a
// failure, and tells the book what they answer. Now and then it does what a gate does that gives up or restarts at the worst
// moment: it sends a copy of a batch to another hub at the same time, or asks another hub right behind an answer.
type witness struct {
	inner  http.RoundTripper
	hubs   []string // host:port
	device string
	book   *book
	random *rand.Rand
	at     int
}

func newWitness(s *site, device string, random *rand.Rand) *witness {
	return &witness{
		inner: &http.Transport{
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: s.roots, CurvePreferences: []tls.CurveID{tls.X25519}},
			TLSHandshakeTimeout: 5 * time.Second, ResponseHeaderTimeout: 30 * time.Second, ForceAttemptHTTP2: true,
		},
		hubs: s.addrs, device: device, book: s.book, random: random, at: random.IntN(len(s.addrs)),
	}
}

// RoundTrip returns when every copy of the request has been answered, so that the book hears answers in their order.
func (w *witness) RoundTrip(q *http.Request) (*http.Response, error) {
	hub, other := w.hubs[w.at%len(w.hubs)], w.hubs[(w.at+1)%len(w.hubs)]
	if q.Method != http.MethodPost || hub == other {
		return w.try(q, hub)
	}
	odd := w.random.IntN(4)
	var copies sync.WaitGroup
	if odd == 0 {
		copies.Go(func() { w.take(q, other) }) // its failure is that of a gate which has given up
	}
	res, err := w.try(q, hub)
	copies.Wait()
	if odd == 1 && err == nil && res.StatusCode == http.StatusOK {
		look, err := http.NewRequestWithContext(q.Context(), http.MethodGet, "https://"+other+wire.PathDevice+w.device, http.NoBody)
		if err != nil {
			return nil, err
		}
		w.take(look, other) // what it says is for the book; a failure says nothing
	}
	return res, err
}

// try takes q to a hub, and the next request to another one when that is of no use.
func (w *witness) try(q *http.Request, hub string) (*http.Response, error) {
	res, err := w.take(q, hub)
	if err != nil || res.StatusCode >= http.StatusInternalServerError {
		w.at++
	}
	return res, err
}

// take brings a copy of q to one hub and its whole answer back.
func (w *witness) take(q *http.Request, hub string) (*http.Response, error) {
	own := q.Clone(q.Context())
	own.URL.Host = hub
	if q.GetBody != nil {
		body, err := q.GetBody()
		if err != nil {
			return nil, err
		}
		own.Body = body
	}
	res, err := w.inner.RoundTrip(own)
	if err != nil {
		return nil, err
	}
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err = errors.Join(err, res.Body.Close()); err != nil {
		return nil, err
	}
	res.Body = io.NopCloser(bytes.NewReader(raw))
	var s wire.State
	if res.StatusCode == http.StatusOK {
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, err
		}
		w.book.hear(w.device, s)
	}
	return res, nil
}
