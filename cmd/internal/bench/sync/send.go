package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/sync/wire"

	"golang.org/x/sync/errgroup"
)

// A traffic is what went over the sockets, TLS and all.
type traffic struct{ up, down atomic.Int64 }

type counted struct {
	net.Conn
	t *traffic
}

func (c counted) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.t.down.Add(int64(n))
	return n, err
}

func (c counted) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.t.up.Add(int64(n))
	return n, err
}

// A line is one connection to a hub, as sync/uplink opens it.
type line struct {
	p      *process
	client *http.Client
}

func (p *process) dial(t *traffic) *line {
	return &line{p, &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := (&net.Dialer{}).DialContext(ctx, network, address)
			if err != nil {
				return nil, err
			}
			return counted{c, t}, nil
		},
		TLSClientConfig: p.tls(), MaxIdleConns: 1, MaxResponseHeaderBytes: 16 << 10, ForceAttemptHTTP2: true, DisableCompression: true,
	}}}
}

func (l *line) close() { l.client.CloseIdleConnections() }

// visit is what a kiosk does when the network is back: a contact, then all its batches.
func (l *line) visit(ctx context.Context, k *kiosk) error {
	nonce := make([]byte, wire.NonceSize)
	rand.Read(nonce) // never fails
	s, err := l.exchange(ctx, http.MethodGet, wire.PathDevice+k.id+"?nonce="+hex.EncodeToString(nonce), nil)
	if err != nil {
		return err
	}
	if s.Seq != 0 || s.Time == nil {
		return fmt.Errorf("hub stands at %d with %s before anything was sent", s.Seq, k.id)
	}
	return l.send(ctx, k)
}

// send sends all batches of a kiosk, each when the one before is receipted.
func (l *line) send(ctx context.Context, k *kiosk) error {
	var s wire.State
	for _, body := range k.bodies {
		var err error
		if s, err = l.exchange(ctx, http.MethodPost, wire.PathBatches, body); err != nil {
			return err
		}
	}
	return l.receipted(s, k)
}

// ahead sends each batch when the one before has left, two at a time, so that the hub checks one while the other becomes
// durable. The first goes alone: a hub that holds nothing lets a chain begin anywhere. No kiosk does that yet.
func (l *line) ahead(ctx context.Context, k *kiosk) error {
	last, err := l.exchange(ctx, http.MethodPost, wire.PathBatches, k.bodies[0])
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(2)
	for i, body := range k.bodies[1:] {
		left := make(chan struct{})
		once := sync.OnceFunc(func() { close(left) })
		g.Go(func() error {
			defer once()
			s, err := l.insist(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { once() }}), body)
			if i == len(k.bodies)-2 {
				last = s
			}
			return err
		})
		<-left
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return l.receipted(last, k)
}

// insist sends a batch, and once more when it has overtaken the one before.
func (l *line) insist(ctx context.Context, body []byte) (s wire.State, err error) {
	for range 10 {
		s, err = l.exchange(ctx, http.MethodPost, wire.PathBatches, body)
		if p := refused(0); !errors.As(err, &p) || p != http.StatusConflict {
			break
		}
	}
	return s, err
}

// refused is the status of an answer other than 200.
type refused int

func (r refused) Error() string { return fmt.Sprintf("hub answers %d", int(r)) }

// receipted returns an error unless s is the state behind a kiosk's last batch.
func (l *line) receipted(s wire.State, k *kiosk) error {
	if s.Seq != k.last || s.Receipt == nil || s.Receipt.Seq != s.Seq {
		return fmt.Errorf("hub stands at %d after entry %d of %s was sent", s.Seq, k.last, k.id)
	}
	return s.Receipt.Check(l.p.receipt, k.id)
}

func (l *line) exchange(ctx context.Context, method, path string, body []byte) (s wire.State, err error) {
	req, err := http.NewRequestWithContext(ctx, method, l.p.url+path, bytes.NewReader(body))
	if err != nil {
		return s, err
	}
	resp, err := l.client.Do(req)
	if err != nil {
		return s, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		return s, err
	}
	if resp.StatusCode != http.StatusOK {
		return s, fmt.Errorf("%w: %s", refused(resp.StatusCode), answer)
	}
	return s, json.Unmarshal(answer, &s)
}

// bring hands a load to the hub and returns how long that took.
func (l load) bring(ctx context.Context, p *process, t *traffic) (time.Duration, error) {
	next := make(chan *kiosk, len(l.kiosks))
	for _, k := range l.kiosks {
		next <- k
	}
	close(next)
	g, ctx := errgroup.WithContext(ctx)
	var ready sync.WaitGroup
	gun := make(chan struct{})
	for range min(l.senders, len(l.kiosks)) {
		ready.Add(1)
		g.Go(func() error {
			ready.Done()
			<-gun
			return l.work(ctx, p, t, next)
		})
	}
	ready.Wait()
	begin := time.Now()
	close(gun)
	err := g.Wait()
	return time.Since(begin), err
}

// work is one sender: a connection for each kiosk, or one for all.
func (l load) work(ctx context.Context, p *process, t *traffic, next <-chan *kiosk) error {
	own := p.dial(t)
	defer func() { own.close() }()
	for k := range next {
		send := own.send
		if l.ahead {
			send = own.ahead
		}
		if l.kept {
			if err := send(ctx, k); err != nil {
				return err
			}
			continue
		}
		if err := own.visit(ctx, k); err != nil {
			return err
		}
		own.close()
		own = p.dial(t)
	}
	return nil
}
