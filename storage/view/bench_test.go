package view

import (
	"fmt"
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

// BenchmarkApplyPoor takes batches of 7 passages from 20,000 gates, in transactions as large as a replay's.
func BenchmarkApplyPoor(b *testing.B) {
	const gates, entries, together = 20_000, 7, 2000
	d, err := entry.NewDraft(entry.Stamp{Wall: at(7, 0), Trust: entry.TrustClock}, pass(entry.In, entry.Admit))
	if err != nil {
		b.Fatal(err)
	}
	var raws [entries][]byte
	for i := range raws {
		if raws[i], err = (entry.Entry{Kind: d.Kind, Seq: uint64(i + 1), Boot: 1, Stamp: d.Stamp, Body: d.Body}).Marshal(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		v, err := Open(b.Context(), b.TempDir()+"/view.db", hanoi)
		if err != nil {
			b.Fatal(err)
		}
		for from := 1; from <= gates; from += together {
			var step []Record
			for i := range uint64(together) {
				n := uint64(from) + i
				scattered := fmt.Sprintf("%016x", n*0x9e3779b97f4a7c15) // as devices' ids are
				step = append(step, Record{Seq: n, At: at(12, 0), Batch: &Batch{scattered, raws[:]}})
			}
			if err := v.Apply(b.Context(), step...); err != nil {
				b.Fatal(err)
			}
		}
		v.Close()
	}
	b.ReportMetric(float64(b.N)*gates*entries/b.Elapsed().Seconds(), "entries/s")
}
