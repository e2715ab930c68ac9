package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const (
	proxyGates = 6
	mishapTime = 10 * time.Minute // for every mishap to be seen often enough
)

// proxy puts a relay between gates and a hub that drops, delays, doubles and reorders requests, loses answers and forges
// some. In the end a cloned gate sends another entry under a sequence that the hub holds.
func proxy(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	s, err := newSite(ctx, p, "proxy", "", 1, proxyGates)
	if err != nil {
		return t, err
	}
	defer s.close()
	if err := s.start(); err != nil {
		return t, err
	}
	r, err := newRelay(s, p.Random(30))
	if err != nil {
		return t, err
	}
	defer r.close()
	for _, g := range s.gates {
		g.up.Hub, g.up.CA, g.up.Transport = "https://"+r.listener.Addr().String(), s.roots, nil // the uplink's own
		alarm := g.up.OnAlarm
		g.up.OnAlarm = func(text string) {
			if !strings.Contains(text, "receipts do not count") { // the forged ones
				alarm(text)
			}
		}
	}
	err = s.under(ctx, func(ctx context.Context) error {
		often := p.Scaled(3, 100)
		if err := until(ctx, mishapTime, fmt.Sprintf("%d of every mishap", often), func() bool { return r.all(often) }); err != nil {
			return fmt.Errorf("%w: %v", err, r.seen)
		}
		r.rest()
		return nil
	})
	if err != nil {
		return t, err
	}
	p.Say("proxy: %v", r.seen)
	if t, err = s.audit(ctx); err != nil {
		return t, err
	}
	return t, s.clone(ctx, r)
}

// clone sends the hub a batch of a gate's own key that ends where the hub's chain ends, with another entry. It must be
// refused as a fork: no receipt may cover what nobody holds.
func (s *site) clone(ctx context.Context, r *relay) error {
	g := s.gates[0]
	last, err := g.j.Range(g.j.Head().Seq-1, 1, maxBody)
	if err != nil {
		return err
	}
	e, err := entry.Parse(last[0])
	if err != nil {
		return err
	}
	e.Boot++
	raw, err := e.Marshal()
	if err != nil {
		return err
	}
	b, err := wire.Sign(g.key, [][]byte{raw})
	if err != nil {
		return err
	}
	body, err := b.Marshal()
	if err != nil {
		return err
	}
	q, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+r.to+wire.PathBatches, bytes.NewReader(body))
	if err != nil {
		return err
	}
	q.Header.Set("Content-Type", wire.TypeBatch)
	res, answer := r.forward(q)
	if res == nil {
		return errors.New("the hub did not answer a clone")
	}
	if res.StatusCode != http.StatusConflict || !bytes.Contains(answer, []byte(wire.ProblemFork)) {
		return fmt.Errorf("the hub took another entry under a sequence that it holds: %s %s", res.Status, answer)
	}
	return nil
}
