package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/desk"
	"gatepost/storage/view"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// A reading is how fast a hub's log is read: entries a second.
type reading struct {
	load    string
	entries int
	verify  float64 // the batches' own bytes, chain and signature checked, one after the other
	pull    float64 // NDJSON and zstd over TLS, every line, chain and signature checked
	bytes   float64 // over the socket, an entry of the pull
	view    float64 // from the log into the view
}

// read pulls what the hub holds of a load, and checks the same without a hub.
func (p *process) read(ctx context.Context, l load) (r reading, err error) {
	r = reading{load: l.name, entries: l.size().entries}
	begin := time.Now()
	if err := l.verify(); err != nil {
		return r, err
	}
	r.verify = float64(r.entries) / time.Since(begin).Seconds()
	var t traffic
	own := p.dial(&t)
	defer own.close()
	c := &pull.Client{HTTP: own.client, URL: p.url, Token: p.token, Devices: map[string]ed25519.PublicKey{}}
	for _, k := range l.kiosks {
		c.Devices[k.id] = k.pub
	}
	own.client.Timeout = time.Minute
	begin = time.Now()
	n, err := drain(ctx, c)
	if err == nil && n != r.entries {
		err = fmt.Errorf("pulled %d entries, want %d", n, r.entries)
	}
	r.pull, r.bytes = float64(n)/time.Since(begin).Seconds(), float64(t.down.Load())/float64(r.entries)
	return r, err
}

// drain pulls all that there is.
func drain(ctx context.Context, c *pull.Client) (sum int, err error) {
	for cursor := ""; ; {
		next, n, err := c.Page(ctx, cursor, pull.MaxLimit, 0, func(pull.Line) error { return nil })
		if err != nil {
			return sum, err
		}
		if n == 0 && next == cursor {
			return sum, nil
		}
		cursor, sum = next, sum+n
	}
}

// verify checks every batch as a hub does.
func (l load) verify() error {
	for _, k := range l.kiosks {
		for _, body := range k.bodies {
			b, err := wire.Parse(body)
			if err == nil {
				err = b.Verify(k.pub)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// replay makes the view from the log in dir, which no hub uses any more, as a hub does that has lost its view.
func (r *reading) replay(ctx context.Context, dir string) error {
	h, err := hub.Open(ctx, hub.Options{Dir: filepath.Join(dir, "store")})
	if err != nil {
		return err
	}
	defer h.Close()
	v, err := view.Open(ctx, filepath.Join(dir, "view.db"), time.UTC)
	if err != nil {
		return err
	}
	defer v.Close()
	_, last, err := h.Read(ctx, 0, 0)
	if err != nil {
		return err
	}
	ctx, done := context.WithCancel(ctx)
	defer done()
	begin := time.Now()
	err = desk.Follow(ctx, h, v, func() {
		if at, err := v.Position(ctx); err == nil && at == last {
			r.view = float64(r.entries) / time.Since(begin).Seconds()
			done()
		}
	})
	if err == nil && r.view == 0 {
		err = errors.New("replay was cut off")
	}
	return err
}
