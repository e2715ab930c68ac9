package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/device/wall"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/storage/memory"
)

// parts are what a gate keeps and goes by.
type parts struct {
	key     ed25519.PrivateKey
	device  string
	journal *journal.Journal
	memory  *memory.Memory
	clock   *wall.Clock
}

func openParts(c *config.Kiosk, e *origin, log *slog.Logger) (p *parts, err error) {
	if err := os.MkdirAll(c.Data, 0o700); err != nil {
		return nil, fmt.Errorf("data folder: %w", err)
	}
	p = &parts{clock: e.clock}
	if p.key, err = deviceKey(c.Keys.Device); err != nil {
		return nil, err
	}
	p.device = entry.DeviceID(p.key.Public().(ed25519.PublicKey))
	if p.journal, err = journal.Open(filepath.Join(c.Data, "journal"), journal.Options{Device: p.device}); err != nil {
		return nil, err
	}
	if p.clock == nil {
		p.clock, err = newClock(c, p.journal, time.Now, keptTime(c, log))
	}
	if err == nil {
		p.memory, err = openMemory(c, p.clock)
	}
	if err != nil {
		p.journal.Close()
		return nil, err
	}
	e.clock = p.clock
	return p, nil
}

// close lets go of what is on the disk. All that was kept is there.
func (p *parts) close() {
	p.memory.Close()
	p.journal.Close()
}

func openMemory(c *config.Kiosk, clock *wall.Clock) (*memory.Memory, error) {
	now := clock.Stamp().Wall
	if now.Before(clock.Seen()) { // a clock that nobody trusts must not end a day
		now = clock.Seen()
	}
	m, err := memory.Open(filepath.Join(c.Data, "memory"), c.Zone, now, rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	return m, nil
}

// written lies before any gate ran: a clock that says less was never set.
var written = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

// recentEntries is how far back newClock looks for a time that was trusted.
const recentEntries = 50_000

// newClock trusts no time before the latest that a recent entry was trusted with. kept is what a clock with a battery says.
func newClock(c *config.Kiosk, j *journal.Journal, now func() time.Time, kept time.Time) (*wall.Clock, error) {
	synced, err := wall.ParseSource(c.Venue.Clock)
	if err != nil {
		return nil, err
	}
	seen := written
	for e, err := range j.Last(recentEntries) {
		if err != nil {
			return nil, fmt.Errorf("read journal for the time: %w", err)
		}
		if e.Trust >= entry.TrustClock && e.Wall.After(seen) {
			seen = e.Wall
		}
	}
	return wall.New(wall.Options{Now: now, Synced: synced, Seen: seen, Kept: kept}), nil
}
