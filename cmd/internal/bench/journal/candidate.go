package main

import (
	"context"

	"go.etcd.io/bbolt"
)

// A store keeps entries.
type store interface {
	add(ctx context.Context, n int) error // n more; they are durable when it returns; many go together
	count() int                           // of what it keeps
	Close() error
}

// A candidate is one way to keep entries.
type candidate struct {
	name, about string
	open        func(dir string) (store, error) // dir is there
}

// candidates returns all of them; the first is the unit of the ratios.
func candidates(s *sample) []candidate {
	lean := bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType}
	once := lean
	once.NoSync = true
	return []candidate{
		{"raw", "4 KiB over a part of a file that is there, fdatasync: the unit", openRaw(1)},
		{"raw twice", "the same, twice: the least that the two flushes of any bbolt commit cost", openRaw(2)},
		{"file", "length, CRC-32 and entry at the end of a file, over zeros, fdatasync", s.openFile},
		{"SQLite", "modernc.org/sqlite, WAL, synchronous=FULL", s.openSQLite},
		{"bbolt", "default options, one bucket", s.openBolt(bbolt.Options{}, bbolt.DefaultFillPercent, false)},
		{"journal", "this project's", s.openJournal},
		{"bbolt lean", "what if: NoFreelistSync, the map freelist, pages filled to 95 %", s.openBolt(lean, 0.95, false)},
		{"bbolt lean, zeros", "what if: the same over zeros", s.openBolt(lean, 0.95, true)},
		{"bbolt lean, zeros, one sync", "what if: the same with one fdatasync a commit, which a power cut may tear", s.openBolt(once, 0.95, true)},
	}
}
