package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// A fate is what the relay does with a request.
type fate string

const (
	passes  fate = "pass"
	dropped fate = "drop"  // it never comes to the hub
	lost    fate = "lose"  // its answer never comes back
	twice   fate = "twice" // it comes to the hub twice, one after the other
	atOnce  fate = "both"  // and at the same moment
	late    fate = "late"  // the gate gives up on it, and it comes to the hub behind newer ones
	slow    fate = "slow"  // it is held up
	forged  fate = "forge" // an impostor answers that a batch is stored, with a receipt of his own
	busy    fate = "busy"  // the gate is asked to come again later
)

const (
	maxLate   = 16 // requests that are kept to come late
	holdTime  = 20 * time.Millisecond
	askedWait = time.Second // behind busy
)

// mishaps are the fates that every run must have seen.
var mishaps = []fate{dropped, lost, twice, atOnce, late, slow, forged, busy}

// A relay ends TLS between gates and a hub, as a proxy does that opens what goes through it, and mistreats whole requests.
type relay struct {
	to       string // the hub, host:port
	hub      http.Client
	server   *http.Server
	listener net.Listener
	stray    ed25519.PrivateKey // not the hub's
	gates    map[string]*gate   // by device
	object   func(error)
	serving  sync.WaitGroup

	mu     sync.Mutex // guards what follows
	random *rand.Rand
	calm   bool // everything passes
	seen   map[fate]int
	kept   []*http.Request      // to come late
	asked  map[string]time.Time // when each gate was last sent away, by device
	lied   map[string]uint64    // for which entry each gate was last given a forged receipt
}

func newRelay(s *site, random *rand.Rand) (*relay, error) {
	cert, err := tls.LoadX509KeyPair(s.path("tls/hub.pem"), s.path("tls/hub.key"))
	if err != nil {
		return nil, err
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}})
	if err != nil {
		return nil, err
	}
	r := &relay{
		to: s.addrs[0], listener: l, object: s.book.object, random: random, seen: map[fate]int{}, asked: map[string]time.Time{}, lied: map[string]uint64{}, gates: map[string]*gate{},
		hub:   http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}, Timeout: time.Minute},
		stray: ed25519.NewKeyFromSeed(bytes.Repeat([]byte{9}, ed25519.SeedSize)),
	}
	for _, g := range s.gates {
		r.gates[g.device] = g
	}
	r.server = &http.Server{Handler: r, ReadHeaderTimeout: time.Minute}
	r.serving.Go(func() { r.server.Serve(l) }) // until close
	return r, nil
}

func (r *relay) close() {
	r.server.Close()
	r.serving.Wait()
}

// rest lets everything pass from now on, and first all that is late.
func (r *relay) rest() {
	r.mu.Lock()
	r.calm = true
	kept := r.kept
	r.kept = nil
	r.mu.Unlock()
	for _, q := range kept {
		r.forward(q) // its answer is for nobody
	}
}

// all reports whether every mishap was seen n times.
func (r *relay) all(n int) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, f := range mishaps {
		if r.seen[f] < n {
			return false
		}
	}
	return true
}

// draw picks a request's fate, and of the requests that are late one that comes before it, or nil.
func (r *relay) draw(q *http.Request) (f fate, before *http.Request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	f = passes
	if r.calm {
		return f, nil
	}
	if r.random.IntN(3) == 0 {
		f = mishaps[r.random.IntN(len(mishaps))]
	}
	if f == forged && q.Method != http.MethodPost || f == busy && r.random.IntN(2) > 0 || f == late && len(r.kept) >= maxLate {
		f = passes
	}
	if n := len(r.kept); n > 0 && r.random.IntN(4) == 0 {
		i := r.random.IntN(n)
		before = r.kept[i]
		r.kept = append(r.kept[:i], r.kept[i+1:]...)
	}
	if f == late {
		r.kept = append(r.kept, q)
	}
	r.seen[f]++
	return f, before
}

func (r *relay) ServeHTTP(w http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(io.LimitReader(in.Body, wire.MaxBatch+1))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q, err := http.NewRequest(in.Method, "https://"+r.to+in.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	q.Header.Set("Content-Type", in.Header.Get("Content-Type"))
	device := deviceIn(in.URL.Path, body)
	r.judge(device)
	f, before := r.draw(q)
	if before != nil {
		r.forward(before)
	}
	switch f {
	case dropped, late:
		panic(http.ErrAbortHandler)
	case lost:
		r.forward(q)
		panic(http.ErrAbortHandler)
	case twice:
		r.forward(q)
	case atOnce:
		var other sync.WaitGroup
		other.Go(func() { r.forward(q) })
		defer other.Wait()
	case slow:
		select {
		case <-time.After(holdTime):
		case <-in.Context().Done():
		}
	case forged:
		r.forge(w, body)
		return
	case busy:
		r.sendAway(w, device)
		return
	}
	r.answer(w, q)
}

// deviceIn returns the device that a request is about.
func deviceIn(path string, body []byte) string {
	if id, ok := strings.CutPrefix(path, wire.PathDevice); ok {
		return id
	}
	b, err := wire.Parse(body)
	if err != nil {
		return ""
	}
	return b.Device
}

// forward takes a copy of q to the hub and returns the answer, nil for none.
func (r *relay) forward(q *http.Request) (*http.Response, []byte) {
	own := q.Clone(context.Background())
	own.Body, _ = q.GetBody() // of bytes in memory
	res, err := r.hub.Do(own)
	if err != nil {
		return nil, nil
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, maxBody))
	if err != nil {
		return nil, nil
	}
	return res, raw
}

func (r *relay) answer(w http.ResponseWriter, q *http.Request) {
	res, raw := r.forward(q)
	if res == nil {
		panic(http.ErrAbortHandler)
	}
	for _, name := range []string{"Content-Type", "Retry-After"} {
		if v := res.Header.Get(name); v != "" {
			w.Header().Set(name, v)
		}
	}
	w.WriteHeader(res.StatusCode)
	w.Write(raw) // an error means that the gate has gone
}

// forge answers in the hub's name that a batch is stored, which it is not. A gate that believes it is found by judge.
func (r *relay) forge(w http.ResponseWriter, body []byte) {
	b, err := wire.Parse(body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	r.mu.Lock()
	r.lied[b.Device] = b.After().Seq
	r.mu.Unlock()
	receipt := entry.NewReceipt(r.stray, b.Device, b.After(), time.Now())
	json.NewEncoder(w).Encode(wire.State{Device: b.Device, Seq: b.After().Seq, Hash: b.After().Hash.String(), Receipt: &receipt})
}

// sendAway asks a gate to come again later. A gate that comes sooner is found by judge.
func (r *relay) sendAway(w http.ResponseWriter, device string) {
	r.mu.Lock()
	r.asked[device] = time.Now()
	r.mu.Unlock()
	w.Header().Set("Retry-After", strconv.Itoa(int(askedWait.Seconds())))
	wire.Problem{Type: wire.ProblemStore, Title: "busy", Status: http.StatusServiceUnavailable}.Write(w)
}

// judge looks at a gate that comes with its next request.
func (r *relay) judge(device string) {
	r.mu.Lock()
	at, was := r.asked[device]
	lie := r.lied[device]
	delete(r.asked, device)
	delete(r.lied, device)
	r.mu.Unlock()
	if waited := time.Since(at); was && waited < askedWait {
		r.object(fmt.Errorf("a gate was asked to come again after %v and came after %v", askedWait, waited))
	}
	if g := r.gates[device]; lie > 0 && g.j.Receipted() >= lie {
		r.object(fmt.Errorf("a gate believed a receipt for entry %d that the hub has not signed", lie))
	}
}
