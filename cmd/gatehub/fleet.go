package main

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gatepost/storage/view"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// lookBack is how many records of the log are read again at the start, to know when each device last sent something.
// Of a device that is silent for longer, the status leaves that time out.
const lookBack = 20_000

// fleet knows where each device stands and when it was last heard, for the status and for tokens with areas.
type fleet struct {
	hub   *hub.Hub
	now   func() time.Time
	known *devices

	mu     sync.Mutex // guards what follows
	places map[string]view.Place
	heard  map[string]heard
}

// heard is what is known of one device.
type heard struct {
	seq     uint64    // of the last entry in its last batch
	stored  time.Time // of that batch
	contact time.Time // since the hub's start
}

func newFleet(h *hub.Hub, now func() time.Time, d *devices) *fleet {
	return &fleet{hub: h, now: now, known: d, heard: map[string]heard{}}
}

// place notes where the devices stand.
func (f *fleet) place(places map[string]view.Place) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.places = places
}

// area tells where a device stands, and "" of one that the hub does not know.
func (f *fleet) area(device string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.places[device].Area
}

// follow notes what comes into the log, until ctx ends.
func (f *fleet) follow(ctx context.Context) error {
	_, at, err := f.hub.Read(ctx, 0, 0)
	if err != nil {
		return fmt.Errorf("follow the log: %w", err)
	}
	at -= min(at, lookBack)
	for f.hub.Wait(ctx, at) == nil {
		records, _, err := f.hub.Read(ctx, at, 8)
		if err != nil {
			return fmt.Errorf("follow the log: %w", err)
		}
		for _, r := range records {
			at = max(at, r.Seq)
			f.note(r)
		}
	}
	return nil
}

func (f *fleet) note(r wire.Record) {
	b, err := wire.Parse(r.Raw)
	if !r.IsBatch() || err != nil {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	h := f.heard[b.Device]
	h.seq, h.stored = b.After().Seq, r.At
	f.heard[b.Device] = h
}

// listen notes the contacts that next is asked for, of devices that are known.
func (f *fleet) listen(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if device, ok := strings.CutPrefix(r.URL.Path, wire.PathDevice); ok {
			f.mu.Lock()
			if _, known := f.places[device]; known {
				h := f.heard[device]
				h.contact = f.now()
				f.heard[device] = h
			}
			f.mu.Unlock()
		}
		next.ServeHTTP(w, r)
	})
}

// devices tells how each known device stands, by id.
func (f *fleet) devices(ctx context.Context) ([]pull.Device, error) {
	f.mu.Lock()
	places, known := f.places, maps.Clone(f.heard)
	f.mu.Unlock()
	all := make([]pull.Device, 0, len(places))
	for _, id := range slices.Sorted(maps.Keys(places)) {
		p, h := places[id], known[id]
		if h.seq == 0 { // silent for long, or new
			s, err := f.hub.State(ctx, id)
			if err != nil {
				return nil, err
			}
			h.seq = s.Seq
		}
		all = append(all, pull.Device{
			ID: id, Name: p.Name, Venue: p.Venue, Area: p.Area, Revoked: f.known.Revoked(id),
			Seq: h.seq, Stored: pull.Time(h.stored), Contact: pull.Time(h.contact),
			ReplacedBy: f.known.ReplacedBy(id),
		})
	}
	return all, nil
}
