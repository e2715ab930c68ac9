// Package lan lets the gates of one venue follow each other over their local network: each serves its journal there as a
// log (the pull of sync/pull, docs/PROTOCOL.md "On the LAN"), reads those of its peers, and tells them what it remembers.
//
// Peers prove themselves by the devices' own keys, in TLS, both ways; nobody else gets through the handshake, but for
// readers with a token, where there are tokens, and those see the log alone. Whatever a gate learns it has only for the
// next decision: nothing here is waited for. A peer that is away is a state, never a fault.
package lan

import (
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"gatepost/cmd/internal/supervise"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// A Peer is another gate of the venue.
type Peer struct {
	Name string
	URL  string // https://host:port
	Key  ed25519.PublicKey
}

func (p Peer) id() string { return entry.DeviceID(p.Key) }

// Options of a LAN. Everything is needed but Listener and Tokens.
type Options struct {
	Key      ed25519.PrivateKey // of this device
	Listener net.Listener       // nil: this gate follows and serves nobody
	Tokens   pull.Tokens        // of readers that are no peers; nil: there are none
	Peers    []Peer
	Journal  *journal.Journal
	Memory   *memory.Memory
	Aside    string           // as in uplink.Options
	Dir      string           // keeps the epoch and how far peers were read
	Now      func() time.Time // by which the memory's days end
	OnPeer   func(name string, seen time.Time, problem string)
	OnAlarm  func(name, text string) // a peer's card was cloned or rolled back
	Log      *slog.Logger
}

// A LAN is one gate's side of it.
type LAN struct {
	Options
	cert  tls.Certificate
	epoch string
}

// New returns a LAN that Run runs.
func New(o Options) (*LAN, error) {
	l := &LAN{Options: o}
	if err := os.MkdirAll(o.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("lan: %w", err)
	}
	var err error
	if l.epoch, err = epoch(o.Dir, o.Journal.Boot()); err != nil {
		return nil, fmt.Errorf("lan: %w", err)
	}
	host := ""
	if o.Listener != nil {
		host, _, _ = net.SplitHostPort(o.Listener.Addr().String())
	}
	if l.cert, err = certificate(o.Key, host); err != nil {
		return nil, fmt.Errorf("lan: %w", err)
	}
	return l, keepCertificate(o.Dir, l.cert)
}

// Run serves and follows until ctx ends.
func (l *LAN) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for _, p := range l.Peers {
		f := l.newFollower(p)
		l.OnPeer(p.Name, time.Time{}, "not asked yet")
		for name, part := range map[string]func(context.Context) error{follow: f.page, ask: f.askOnce} {
			wg.Go(func() {
				supervise.Run(ctx, l.Log, name+" "+p.Name, func(ctx context.Context) error { f.again(ctx, name, part); return nil },
					func(err error) { f.report(name, err) })
				f.http.CloseIdleConnections()
			})
		}
	}
	if l.Listener == nil {
		<-ctx.Done()
		return nil
	}
	return l.serve(ctx)
}

const (
	maxConns  = 64 // at once, of whomever; more are reset
	helloTime = 5 * time.Second
	idleTime  = 2 * time.Minute
	endTime   = 2 * time.Second // for requests that are under way at the end
)

func (l *LAN) serve(ctx context.Context) error {
	s := &http.Server{
		Handler: l.handler(), TLSConfig: serverTLS(l.cert, l.Peers, len(l.Tokens) > 0),
		ReadHeaderTimeout: helloTime, IdleTimeout: idleTime, MaxHeaderBytes: 16 << 10,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(l.Log.Handler(), slog.LevelDebug), // strangers cause these
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	served, stop := context.WithCancel(ctx)
	defer stop()
	wg.Go(func() {
		<-served.Done()
		end, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTime)
		defer cancel()
		if s.Shutdown(end) != nil {
			s.Close()
		}
	})
	if err := s.ServeTLS(Bounded(l.Listener, maxConns), "", ""); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve the LAN: %w", err)
	}
	return nil
}

// handler serves the log to peers and tokens, and what is remembered to peers.
func (l *LAN) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", pull.New(pull.Options{
		Log: &log{l.Journal, l.Key, l.epoch, l.Aside}, Tokens: l.Tokens, Known: isPeer, Out: l.Log,
	}))
	mux.HandleFunc(PathVenue, l.venue)
	return l.guard(mux)
}

// guard keeps a panic of one request from ending the gate, and takes no bodies.
func (l *LAN) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p == http.ErrAbortHandler {
				panic(p) // net/http's own way to cut a connection
			} else if p != nil {
				l.Log.Error("request failed", "path", r.URL.Path, "panic", supervise.Describe(p))
				problem(wire.ProblemStore, http.StatusServiceUnavailable, "an error of this gate").Write(w)
			}
		}()
		if r.ContentLength != 0 {
			w.Header().Set("Connection", "close") // unread
			problem(wire.ProblemRequest, http.StatusBadRequest, "nothing here takes a body").Write(w)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func problem(kind string, status int, title string) wire.Problem {
	return wire.Problem{Type: kind, Title: title, Status: status}
}

// Bounded lets through so many connections at once.
func Bounded(l net.Listener, most int) net.Listener { return &door{l, make(chan struct{}, most)} }

type door struct {
	net.Listener
	slots chan struct{}
}

// Accept resets who comes while every slot is taken.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		select {
		case d.slots <- struct{}{}:
			return &guest{Conn: c, leave: sync.OnceFunc(func() { <-d.slots })}, nil
		default:
			c.Close()
		}
	}
}

type guest struct {
	net.Conn
	leave func()
}

func (g *guest) Close() error {
	defer g.leave()
	return g.Conn.Close()
}
