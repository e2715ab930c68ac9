package view

import (
	"testing"

	"gatepost/storage/entry"
)

// BenchmarkApply takes batches of 500 passages; entries/s is what a rebuild from the log does.
func BenchmarkApply(b *testing.B) {
	v, err := Open(b.Context(), b.TempDir()+"/view.db", hanoi)
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	var raws [][]byte
	d, err := entry.NewDraft(entry.Stamp{Wall: at(7, 0), Trust: entry.TrustClock}, pass(entry.In, entry.Admit))
	if err != nil {
		b.Fatal(err)
	}
	seq := uint64(0)
	for b.Loop() {
		raws = raws[:0]
		for range 500 {
			seq++
			raw, err := entry.Entry{Kind: d.Kind, Seq: seq, Boot: 1, Stamp: d.Stamp, Body: d.Body}.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			raws = append(raws, raw)
		}
		if err := v.Apply(b.Context(), Record{Seq: seq / 500, At: at(12, 0), Batch: &Batch{"d1", raws}}); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(seq)/b.Elapsed().Seconds(), "entries/s")
}
