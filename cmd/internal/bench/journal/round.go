package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"time"
)

const group = 10_000 // entries that are added together while a history is made

// A result is what was found out about one candidate behind one history.
type result struct {
	candidate
	history    int
	took       []time.Duration // by each entry, ascending
	fill, open time.Duration   // to make the history, from the one before; to open it with a cold page cache
	memory     [3]int64        // bytes of the process: before the history was made, then, and opened again
	size       int64           // bytes of the files on the disk
	wrote      tally
}

// A tally is what a disk did for so many entries.
type tally struct{ entries, bytes, flushes int64 }

// measure returns a result for every history and candidate, in that order. What it keeps lies below dir.
// Unless written is nil, it also counts what reached the disk: written syncs it and reads its counters.
func (p plan) measure(ctx context.Context, all []candidate, dir string, written func() (tally, error)) (results []result, err error) {
	for _, history := range p.histories {
		var some []result
		for _, c := range all {
			r, err := prepare(ctx, c, filepath.Join(dir, c.name), history)
			if err != nil {
				return nil, fmt.Errorf("fill %s: %w", c.name, err)
			}
			p.say("%s: %d entries in %s, %.1f s", filepath.Base(dir), history, c.name, r.fill.Seconds())
			some = append(some, r)
		}
		p.say("%s: %d rounds of %d entries behind %d", filepath.Base(dir), p.rounds, p.turn, history)
		if err := p.race(ctx, some, dir, written); err != nil {
			return nil, err
		}
		results = append(results, some...)
	}
	return results, nil
}

// prepare makes the history of c while no other candidate is open.
func prepare(ctx context.Context, c candidate, dir string, history int) (r result, err error) {
	r = result{candidate: c, history: history}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return r, err
	}
	s, err := c.open(dir)
	if err != nil {
		return r, err
	}
	r.memory[0] = memory()
	begin := time.Now()
	for err = ctx.Err(); err == nil && s.count() < history; err = ctx.Err() {
		if err = s.add(ctx, min(group, history-s.count())); err != nil {
			break
		}
	}
	r.fill, r.memory[1] = time.Since(begin), memory()
	if err := errors.Join(err, s.Close()); err != nil {
		return r, err
	}
	if r.size, err = evict(dir); err != nil {
		return r, err
	}
	begin = time.Now()
	if s, err = c.open(dir); err != nil {
		return r, err
	}
	r.open, r.memory[2] = time.Since(begin), memory()
	return r, s.Close()
}

// race lets all candidates take turns.
func (p plan) race(ctx context.Context, results []result, dir string, written func() (tally, error)) (err error) {
	stores := make([]store, len(results))
	for i, r := range results {
		if stores[i], err = r.candidate.open(filepath.Join(dir, r.name)); err != nil {
			return fmt.Errorf("open %s: %w", r.name, err)
		}
		defer func() { err = errors.Join(err, stores[i].Close()) }()
		for range p.warm {
			if err := stores[i].add(ctx, 1); err != nil {
				return fmt.Errorf("warm %s: %w", r.name, err)
			}
		}
	}
	for round := range p.rounds {
		for _, i := range order(len(results), round) {
			if err := p.take(ctx, &results[i], stores[i], dir, written); err != nil {
				return fmt.Errorf("measure %s: %w", results[i].name, err)
			}
		}
	}
	for _, r := range results {
		slices.Sort(r.took)
	}
	return nil
}

// order returns who comes when: everybody once, and each round begins with the next one.
func order(n, round int) (turns []int) {
	for i := range n {
		turns = append(turns, (i+round)%n)
	}
	return turns
}

// take lets one candidate have its turn, on a disk with nothing left to write.
func (p plan) take(ctx context.Context, r *result, s store, dir string, written func() (tally, error)) error {
	if written == nil {
		written = func() (tally, error) { return tally{}, settle(dir) }
	}
	runtime.GC()
	before, err := written()
	if err := errors.Join(err, ctx.Err()); err != nil {
		return err
	}
	for range p.turn {
		begin := time.Now()
		if err := s.add(ctx, 1); err != nil {
			return err
		}
		r.took = append(r.took, time.Since(begin))
	}
	after, err := written()
	r.wrote.entries += int64(p.turn)
	r.wrote.bytes += after.bytes - before.bytes
	r.wrote.flushes += after.flushes - before.flushes
	return err
}

// percentile returns the smallest of the sorted durations that at least p percent do not exceed.
func percentile(sorted []time.Duration, p int) time.Duration {
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}
