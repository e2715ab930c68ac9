package main

import (
	"crypto/ecdh"
	"crypto/rand"
	"fmt"
	"time"

	"gatepost/storage/entry"
)

// A sample gives every candidate the same passages, each with a sealed part as at a gate. There are
// 1,024 of them; then they come again.
type sample struct {
	drafts []entry.Draft
	raws   [][]byte // as many bytes as the journal keeps
}

func newSample() (*sample, error) {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	sealer, err := entry.NewSealer(key.PublicKey())
	if err != nil {
		return nil, err
	}
	s := &sample{}
	for i := range 1024 {
		d, err := passage(sealer, i)
		if err != nil {
			return nil, err
		}
		raw, err := entry.Entry{Kind: d.Kind, Seq: 1, Boot: 1, Stamp: d.Stamp, Body: d.Body}.Marshal()
		if err != nil {
			return nil, err
		}
		s.drafts, s.raws = append(s.drafts, d), append(s.raws, raw)
	}
	return s, nil
}

func passage(sealer *entry.Sealer, i int) (entry.Draft, error) {
	sealed, err := sealer.Seal(entry.Personal{
		Family: "cccd", Reason: entry.ReasonAnswered, Name: []string{"Nguyễn Văn A", "Trần Thị Bích"}[i%2],
		Birth: "1980-01-01", Number: fmt.Sprintf("0010800%05d", i), Answers: map[string]any{"fever": false, "contact": false},
	})
	if err != nil {
		return entry.Draft{}, err
	}
	tag := make([]byte, 16)
	rand.Read(tag)
	return entry.NewDraft(stamp(i), entry.Passage{
		Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Form: "covid-2021/1", Tag: tag, Sealed: sealed,
	})
}

// stamp returns the time of passage i: somebody comes every five seconds.
func stamp(i int) entry.Stamp {
	since := time.Duration(i) * 5 * time.Second
	return entry.Stamp{Wall: time.UnixMilli(1_600_000_000_000).Add(since).UTC(), Mono: since, Trust: entry.TrustClock}
}

// draft returns passage i for the journal.
func (s *sample) draft(i int) entry.Draft {
	d := s.drafts[i%len(s.drafts)]
	d.Stamp = stamp(i)
	return d
}

// raw returns passage i for the other candidates.
func (s *sample) raw(i int) []byte { return s.raws[i%len(s.raws)] }

// size returns the mean length of an entry in bytes.
func (s *sample) size() (mean int) {
	for _, raw := range s.raws {
		mean += len(raw)
	}
	return mean / len(s.raws)
}
