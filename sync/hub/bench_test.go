package hub

import (
	"crypto/ed25519"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

// BenchmarkPut stores batches of 10 entries, each durable before the next; the disk's fsync sets the pace.
func BenchmarkPut(b *testing.B) {
	key := seeded(1)
	h, err := Open(b.Context(), Options{
		Dir: b.TempDir(), ReceiptKey: key, Now: time.Now,
		Devices: func(string) (ed25519.PublicKey, bool) { return public(key), true },
	})
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	var head entry.Head
	for b.Loop() {
		var raws [][]byte
		for range 10 {
			raw, err := entry.Entry{Kind: 99, Seq: head.Seq + 1, Prev: head.Hash, Body: make([]byte, 230)}.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			raws, head = append(raws, raw), entry.Head{Seq: head.Seq + 1, Hash: entry.HashOf(raw)}
		}
		batch, err := wire.Sign(key, raws)
		if err != nil {
			b.Fatal(err)
		}
		raw, err := batch.Marshal()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := h.Put(b.Context(), raw); err != nil {
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
	b.ReportMetric(float64(head.Seq)/b.Elapsed().Seconds(), "entries/s")
}
