package hub

import (
	"crypto/ed25519"
	"encoding/binary"
	"sync/atomic"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// sender is a device that sends batches of entries of 230 bytes.
type sender struct {
	key  ed25519.PrivateKey
	head entry.Head
}

func (s *sender) next(b *testing.B, n int) []byte {
	var raws [][]byte
	for range n {
		raw, err := entry.Entry{Kind: 99, Seq: s.head.Seq + 1, Prev: s.head.Hash, Body: make([]byte, 230)}.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		raws, s.head = append(raws, raw), entry.Head{Seq: s.head.Seq + 1, Hash: entry.HashOf(raw)}
	}
	batch, err := wire.Sign(s.key, raws)
	if err != nil {
		b.Fatal(err)
	}
	raw, err := batch.Marshal()
	if err != nil {
		b.Fatal(err)
	}
	return raw
}

func openBench(b *testing.B, keys map[string]ed25519.PublicKey) *Hub {
	h, err := Open(b.Context(), Options{
		Dir: b.TempDir(), ReceiptKey: seeded(1), Now: time.Now,
		Devices: func(id string) (ed25519.PublicKey, bool) { k, ok := keys[id]; return k, ok },
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(h.Close)
	return h
}

// BenchmarkPut stores batches of 10 entries, each durable before the next; the disk's fsync sets the pace.
func BenchmarkPut(b *testing.B) {
	s := &sender{key: seeded(1)}
	h := openBench(b, map[string]ed25519.PublicKey{id(s.key): public(s.key)})
	for b.Loop() {
		if _, err := h.Put(b.Context(), s.next(b, 10)); err != nil {
			b.Fatal(err)
		}
	}
	b.StopTimer()
	start := time.Now()
	records, last, err := h.Read(b.Context(), 0, 1<<30)
	if err != nil || uint64(len(records)) != last {
		b.Fatal(len(records), last, err)
	}
	b.ReportMetric(float64(len(records))/time.Since(start).Seconds(), "reads/s")
	b.ReportMetric(float64(s.head.Seq)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkPutCrowd stores batches of 7 entries that many devices send at once.
func BenchmarkPutCrowd(b *testing.B) {
	const perCPU = 64
	keys := map[string]ed25519.PublicKey{}
	var all []*sender
	for i := range 4096 {
		seed := make([]byte, ed25519.SeedSize)
		binary.LittleEndian.PutUint32(seed, uint32(i))
		s := &sender{key: ed25519.NewKeyFromSeed(seed)}
		keys[id(s.key)] = public(s.key)
		all = append(all, s)
	}
	h := openBench(b, keys)
	var taken atomic.Int64
	b.SetParallelism(perCPU)
	b.RunParallel(func(pb *testing.PB) {
		s := all[taken.Add(1)-1]
		for pb.Next() {
			if _, err := h.Put(b.Context(), s.next(b, 7)); err != nil {
				b.Error(err)
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "batches/s")
}
