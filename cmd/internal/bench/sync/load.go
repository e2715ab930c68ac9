package main

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"golang.org/x/sync/errgroup"
)

const (
	poor  = 7   // entries of a kiosk to which few people come
	noise = 180 // bytes of a sealed part, as of a real declaration; what stands in them means nothing to a hub
)

// A load is what kiosks have ready for a hub when the network is back.
type load struct {
	name    string
	about   string
	senders int  // kiosks at a time
	kept    bool // the batches of all go over one connection a sender, without a contact
	ahead   bool // kept, and with the next batch under way while the one before becomes durable
	rounds  int
	kiosks  []*kiosk
}

// A kiosk is one gate's key and its signed batches, in the order of its chain.
type kiosk struct {
	id     string
	pub    ed25519.PublicKey
	bodies [][]byte
	last   uint64 // sequence of its newest entry
	bytes  int    // of its entries
}

// recipe tells how many kiosks of a load have how many entries.
type recipe struct{ kiosks, entries int }

// newLoad makes the kiosks. The same name makes the same load.
func newLoad(l load, recipes ...recipe) (load, error) {
	for _, r := range recipes {
		first := len(l.kiosks)
		l.kiosks = append(l.kiosks, make([]*kiosk, r.kiosks)...)
		var g errgroup.Group
		g.SetLimit(runtime.GOMAXPROCS(0))
		for i := first; i < len(l.kiosks); i++ {
			g.Go(func() (err error) {
				seed := sha256.Sum256(binary.BigEndian.AppendUint32([]byte(l.name), uint32(i)))
				l.kiosks[i], err = newKiosk(seed, r.entries)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return l, err
		}
	}
	rand.New(rand.NewPCG(1, 1)).Shuffle(len(l.kiosks), func(i, j int) { l.kiosks[i], l.kiosks[j] = l.kiosks[j], l.kiosks[i] })
	return l, nil
}

func newKiosk(seed [32]byte, n int) (*kiosk, error) {
	key := ed25519.NewKeyFromSeed(seed[:])
	k := &kiosk{pub: key.Public().(ed25519.PublicKey), last: uint64(n)}
	k.id = entry.DeviceID(k.pub)
	random := rand.NewChaCha8(seed)
	for head := (entry.Head{}); head.Seq < uint64(n); {
		raws := make([][]byte, min(wire.MaxEntries, n-int(head.Seq)))
		for i := range raws {
			raw, err := passage(head, random)
			if err != nil {
				return nil, err
			}
			if head, err = head.Follow(raw); err != nil {
				return nil, err
			}
			raws[i], k.bytes = raw, k.bytes+len(raw)
		}
		b, err := wire.Sign(key, raws)
		if err != nil {
			return nil, err
		}
		body, err := b.Marshal()
		if err != nil {
			return nil, err
		}
		k.bodies = append(k.bodies, body)
	}
	return k, nil
}

// passage makes the entry behind head: somebody comes every five seconds.
func passage(head entry.Head, random *rand.ChaCha8) ([]byte, error) {
	sealed := make([]byte, noise)
	random.Read(sealed) // never fails
	since := time.Duration(head.Seq) * 5 * time.Second
	stamp := entry.Stamp{Wall: time.UnixMilli(1_600_000_000_000).Add(since).UTC(), Mono: since, Trust: entry.TrustClock}
	d, err := entry.NewDraft(stamp, entry.Passage{
		Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: sealed[:16], Sealed: sealed,
	})
	if err != nil {
		return nil, err
	}
	return entry.Entry{Kind: d.Kind, Seq: head.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: head.Hash, Body: d.Body}.Marshal()
}

// A size is how much there is of something.
type size struct{ kiosks, batches, entries, bytes int }

func (l load) size() (s size) {
	for _, k := range l.kiosks {
		s.kiosks, s.batches, s.entries, s.bytes = s.kiosks+1, s.batches+len(k.bodies), s.entries+int(k.last), s.bytes+k.bytes
	}
	return s
}

// part is the load's first share of so many parts of its kiosks, or where there is only one, of its batches.
func (l load) part(parts int) load {
	if len(l.kiosks) > 1 {
		l.kiosks = l.kiosks[:max(1, len(l.kiosks)/parts)]
		return l
	}
	k := *l.kiosks[0]
	k.bodies = k.bodies[:max(1, len(k.bodies)/parts)]
	k.last = min(k.last, uint64(len(k.bodies)*wire.MaxEntries))
	k.bytes = k.bytes / int(l.kiosks[0].last) * int(k.last)
	l.kiosks = []*kiosk{&k}
	return l
}
