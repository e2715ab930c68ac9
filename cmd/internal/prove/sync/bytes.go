package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

const (
	uncut     = 8   // visits in a row that are over before their cut: no visit is that long
	coarse    = 97  // bytes from one cut to the next in the short form
	minVisit  = 500 // bytes of one direction; whatever is shorter had no handshake
	visitTime = 30 * time.Second
)

// everyByte cuts the connection between the real uplink and a real hub behind each byte of a visit, a contact and a batch, in
// both directions. Behind each cut the hub must hold the batch or not, the gate must believe no more than that, and the next
// connection must finish the work.
func everyByte(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	s, err := newSite(ctx, p, "bytes", "", 1, 1)
	if err != nil {
		return t, err
	}
	defer s.close()
	if err := s.start(); err != nil {
		return t, err
	}
	v, err := newVisit(s)
	if err != nil {
		return t, err
	}
	defer v.cable.close()
	for _, up := range []bool{true, false} {
		cuts, last, err := v.cutAll(ctx, up)
		if err != nil {
			return t, fmt.Errorf("%w\n%s", err, s.logs())
		}
		if last < minVisit {
			return t, fmt.Errorf("the longest visit had %d bytes: this proves nothing", last)
		}
		p.Say("bytes: %d cuts, the last behind byte %d, to the hub: %v", cuts, last, up)
	}
	return s.audit(ctx)
}

// A visit is one gate, its hub, and the cable between them.
type visit struct {
	*site
	gate   *gate
	cable  *cable
	direct http.Client // around the cable
}

func newVisit(s *site) (*visit, error) {
	k, err := newCable(s.addrs[0])
	if err != nil {
		return nil, err
	}
	v := &visit{site: s, gate: s.gates[0], cable: k}
	v.direct.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.roots}}
	up := &v.gate.up
	up.Hub, up.CA, up.Transport = "https://"+k.listener.Addr().String(), s.roots, nil // the uplink's own
	up.MinWait, up.MaxWait, up.Spread = time.Millisecond, time.Millisecond, time.Millisecond
	up.Jitter = func() float64 { return 0 }
	return v, nil
}

// cutAll cuts behind one byte after the other, until visits are over before that. It returns how often a visit was cut, and
// behind which byte at last.
func (v *visit) cutAll(ctx context.Context, up bool) (cuts int, last int64, err error) {
	step := int64(1)
	if v.p.N == 0 {
		step = coarse
	}
	for after, whole := int64(0), 0; whole < uncut; after += step {
		broken, err := v.round(ctx, cut{up: up, after: after, reset: after/step%2 == 0})
		if err != nil {
			return cuts, last, fmt.Errorf("cut behind byte %d, to the hub: %v: %w", after, up, err)
		}
		if whole++; broken {
			cuts, last, whole = cuts+1, after, 0
		}
	}
	return cuts, last, nil
}

// round lets the gate send one entry over a cable that breaks once, and reports whether it did.
func (v *visit) round(ctx context.Context, c cut) (isBroken bool, err error) {
	before := v.gate.j.Head()
	if err := v.gate.add(ctx, 1); err != nil {
		return false, err
	}
	broken := v.cable.set(c)
	hasBroken := func() bool {
		select {
		case <-broken:
			return true
		default:
			return false
		}
	}
	sending, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- uplink.New(v.gate.j, v.gate.up).Run(sending) }()
	err = until(ctx, visitTime, "the cut or the end", func() bool { return hasBroken() || v.gate.sent() })
	if err == nil && hasBroken() {
		err = v.judge(ctx, before)
		v.cable.mend()
	}
	err = errors.Join(err, until(ctx, visitTime, "the receipt", v.gate.sent))
	stop()
	err = errors.Join(err, <-ended)
	v.cable.drop() // a connection that was dialled for a request which was given up outlives the uplink
	err = errors.Join(err, until(ctx, visitTime, "the connections' end", v.cable.idle))
	v.cable.mend() // the uplink's last words may have met the cut, too
	return hasBroken(), err
}

// judge asks the hub where it stands, behind a cut: where it stood before, or behind the new entry.
func (v *visit) judge(ctx context.Context, before entry.Head) error {
	receipted := v.gate.j.Receipted()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+v.addrs[0]+wire.PathDevice+v.gate.device, nil)
	if err != nil {
		return err
	}
	res, err := v.direct.Do(q)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	var s wire.State
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return err
	}
	v.book.hear(v.gate.device, s)
	now, hash := v.gate.j.Head(), s.Hash
	fits := s.Seq == before.Seq && (s.Seq == 0 || hash == before.Hash.String()) || s.Seq == now.Seq && hash == now.Hash.String()
	if !fits || receipted > s.Seq {
		return fmt.Errorf("the hub stands at %d, the gate stood at %d and stands at %d, with a receipt for %d", s.Seq, before.Seq, now.Seq, receipted)
	}
	return nil
}
