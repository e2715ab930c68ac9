package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// A result is what was found out about one load over one store.
type result struct {
	store  string
	load   load // as it was brought
	size   size
	rounds []round
}

// A round is one load brought once.
type round struct {
	took     time.Duration
	hub      usage
	database usage
	up, down int64 // bytes over the sockets
	disk     int64 // bytes of the store's files
}

// rate is entries a second.
func (r result) rate(round int) float64 {
	return float64(r.size.entries) / r.rounds[round].took.Seconds()
}

// all makes the loads of the plan.
func (p plan) all() (all []load, err error) {
	for _, l := range []struct {
		load
		recipes []recipe
	}{
		{load{
			name: "factory", senders: 256, rounds: 3,
			about: "4,400 gates after a day without network: 200 factory lanes of 5,000 entries and 4,200 gates of 7; a connection, a contact and batches of up to 500 each",
		}, []recipe{{200, 5000}, {4200, poor}}},
		{load{
			name: "a", senders: 1, rounds: 5,
			about: "one kiosk's month: 271,227 entries over one connection, each batch of 500 sent when the one before is receipted",
		}, []recipe{{1, 271_227}}},
		{load{
			name: "a ahead", senders: 1, kept: true, ahead: true, rounds: 3,
			about: "what if: the same, and the next batch leaves while the one before becomes durable, which no kiosk does yet",
		}, []recipe{{1, 271_227}}},
		{load{
			name: "b", senders: 256, rounds: 3,
			about: "38,181 kiosks of 7 entries or 8, 271,227 in all; a connection, a contact and a batch each",
		}, []recipe{{34_221, poor}, {3_960, poor + 1}}},
		{load{
			name: "b kept", senders: 256, kept: true, rounds: 5,
			about: "the same batches over 256 connections that stay, without contacts: the hardest for a store",
		}, []recipe{{34_221, poor}, {3_960, poor + 1}}},
	} {
		if len(p.loads) > 0 && !slices.Contains(p.loads, l.name) {
			continue
		}
		for i, r := range l.recipes {
			if r.kiosks >= p.scale {
				l.recipes[i].kiosks /= p.scale
			} else {
				l.recipes[i] = recipe{1, max(1, r.kiosks*r.entries/p.scale)}
			}
		}
		if p.rounds > 0 {
			l.rounds = p.rounds
		}
		made, err := newLoad(l.load, l.recipes...)
		if err != nil {
			return nil, fmt.Errorf("make load %s: %w", l.name, err)
		}
		all = append(all, made)
	}
	return all, nil
}

// measure brings all loads to all stores. The last hub of each load over the shipped store is read as well.
func (b *bench) measure(ctx context.Context) (results []result, reads []reading, err error) {
	loads, err := b.all()
	if err != nil {
		return nil, nil, err
	}
	for _, l := range loads {
		some := b.contest(l)
		for i := range l.rounds {
			for _, turn := range order(len(some), i) {
				r := &some[turn]
				b.say("%s, round %d of %d: %s", l.name, i+1, l.rounds, r.store)
				read := r.store == grouped && i == l.rounds-1 && !l.kept
				one, err := b.bring(ctx, r, read, &reads)
				if err != nil {
					return nil, nil, fmt.Errorf("load %s over %s: %w", l.name, r.store, err)
				}
				r.rounds = append(r.rounds, one)
				b.say("  %.0f entries/s, hub CPU %v", r.rate(len(r.rounds)-1), one.hub.cpu)
			}
		}
		results = append(results, some...)
	}
	return results, reads, nil
}

// contest says which stores get the load.
func (b *bench) contest(l load) (some []result) {
	for _, s := range stores {
		if len(b.stores) > 0 && !slices.Contains(b.stores, s.name) || s.name == postgres && b.pg == nil {
			continue
		}
		brought := l
		if s.name == single {
			brought = l.part(b.pieces)
		}
		some = append(some, result{store: s.name, load: brought, size: brought.size()})
	}
	return some
}

// order returns who comes when: everybody once, and each round begins with the next one.
func order(n, round int) (turns []int) {
	for i := range n {
		turns = append(turns, (i+round)%n)
	}
	return turns
}

// bring hands the load to a new hub and checks that it holds it all afterwards.
func (b *bench) bring(ctx context.Context, r *result, read bool, reads *[]reading) (one round, err error) {
	dir := filepath.Join(b.work, r.load.name+" "+r.store)
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	p, err := b.start(ctx, r.store, dir, r.load.kiosks)
	if err != nil {
		return one, err
	}
	one, err = b.clock(ctx, r, p)
	if err == nil && read {
		var found reading
		if found, err = p.read(ctx, r.load); err == nil {
			*reads = append(*reads, found)
		}
	}
	if err = errors.Join(err, p.stop()); err == nil && read {
		err = (*reads)[len(*reads)-1].replay(ctx, dir)
	}
	return one, err
}

// clock is what is measured.
func (b *bench) clock(ctx context.Context, r *result, p *process) (one round, err error) {
	before, err := b.usages(r.store, p)
	if err != nil {
		return one, err
	}
	var t traffic
	if one.took, err = r.load.bring(ctx, p, &t); err != nil {
		return one, err
	}
	after, err := b.usages(r.store, p)
	if err != nil {
		return one, err
	}
	one.hub = usage{after[0].cpu - before[0].cpu, after[0].peak}
	one.database = usage{after[1].cpu - before[1].cpu, after[1].peak}
	one.up, one.down = t.up.Load(), t.down.Load()
	if one.disk, err = onDisk(filepath.Join(p.dir, "store")); err != nil && !errors.Is(err, os.ErrNotExist) {
		return one, err
	}
	n, err := p.count()
	if err == nil && n != r.size.entries {
		err = fmt.Errorf("hub holds %d entries, %d were sent", n, r.size.entries)
	}
	return one, err
}

// usages are the hub's and, where it has one, its database's.
func (b *bench) usages(store string, p *process) (all [2]usage, err error) {
	if all[0], err = usageOf(p.cmd.Process.Pid, false); err == nil && store == postgres {
		all[1], err = b.pg.usage()
	}
	return all, err
}
