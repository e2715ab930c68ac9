package main

import (
	"context"
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"

	"github.com/jackc/pgx/v5"
)

// A spot is one place of a device's chain.
type spot struct {
	device string
	seq    uint64
}

// A sorting is what becomes of some lines.
type sorting struct {
	fresh  []pull.Line
	there  int         // stood here before, the same
	forks  []pull.Line // contradict what stands here
	held   map[spot]entry.Hash
	chains map[string]strand // where the chains stand behind the lines
	torn   []pull.Line       // the first fork of each device whose chain has been like ours until here
}

// readHeld reads the hashes that the table has in the place of each line, and in the place right before it.
func readHeld(ctx context.Context, tx pgx.Tx, lines []pull.Line) (map[spot]entry.Hash, error) {
	var devices []string
	var seqs []int64
	for _, l := range lines {
		e, err := entry.Parse(l.Entry)
		if err != nil {
			return nil, err
		}
		devices, seqs = append(devices, l.Device, l.Device), append(seqs, int64(l.Seq), int64(e.Before().Seq))
	}
	rows, err := tx.Query(ctx, `SELECT device, seq, hash FROM gatepost_entry
		WHERE (device, seq) IN (SELECT DISTINCT * FROM unnest($1::text[], $2::bigint[]))`, devices, seqs)
	if err != nil {
		return nil, err
	}
	held := map[spot]entry.Hash{}
	var device string
	var seq int64
	var hash []byte
	_, err = pgx.ForEachRow(rows, []any{&device, &seq, &hash}, func() error {
		if len(hash) != len(entry.Hash{}) {
			return errors.New("a hash in gatepost_entry is cut off")
		}
		held[spot{device, uint64(seq)}] = entry.Hash(hash)
		return nil
	})
	return held, err
}

// sortLines tells new entries from those that stand here, and from those of another chain: from the first one on that has
// another hash than the one in its place, or goes on from another one than the one before it.
func sortLines(lines []pull.Line, chains map[string]strand, held map[spot]entry.Hash) (*sorting, error) {
	s := &sorting{held: held, chains: map[string]strand{}}
	for _, l := range lines {
		e, err := entry.Parse(l.Entry)
		if err != nil {
			return nil, err
		}
		hash, err := entry.ParseHash(l.Hash)
		if err != nil {
			return nil, err
		}
		at, known := s.chains[l.Device]
		if !known {
			at = chains[l.Device]
		}
		own, taken := held[spot{l.Device, l.Seq}]
		before, follows := held[spot{l.Device, e.Before().Seq}]
		if other := taken && own != hash || !taken && follows && before != e.Before().Hash; other && !at.forked {
			at.forked = true
			s.torn = append(s.torn, l)
		}
		switch {
		case at.forked:
			s.forks = append(s.forks, l)
		case taken:
			s.there++
		default:
			s.fresh = append(s.fresh, l)
			held[spot{l.Device, l.Seq}] = hash
		}
		at.Head = entry.Head{Seq: l.Seq, Hash: hash}
		s.chains[l.Device] = at
	}
	return s, nil
}

// write stores what was sorted.
func (s *sorting) write(ctx context.Context, tx pgx.Tx, epoch, consumer string) error {
	var rows [][]any
	for _, l := range s.fresh {
		row, err := rowOf(l, epoch)
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	if _, err := tx.CopyFrom(ctx, pgx.Identifier{"gatepost_entry"}, columns(), pgx.CopyFromRows(rows)); err != nil {
		return err
	}
	b := &pgx.Batch{}
	for _, l := range s.forks {
		var held []byte
		if h, ok := s.held[spot{l.Device, l.Seq}]; ok {
			held = h[:]
		}
		b.Queue(`INSERT INTO gatepost_fork (device, seq, hash, held, entry, epoch) VALUES ($1, $2, decode($3, 'hex'), $4, $5, $6)
			ON CONFLICT DO NOTHING`, l.Device, int64(l.Seq), l.Hash, held, l.Entry, epoch)
	}
	for device, at := range s.chains {
		b.Queue(`INSERT INTO gatepost_chain (epoch, consumer, device, seq, hash, forked) VALUES ($1, $2, $3, $4, $5, $6)
			ON CONFLICT (epoch, consumer, device) DO UPDATE SET seq = $4, hash = $5, forked = $6`,
			epoch, consumer, device, int64(at.Seq), at.Hash[:], at.forked)
	}
	return tx.SendBatch(ctx, b).Close()
}

func columns() []string {
	return []string{
		"device", "seq", "hash", "kind", "boot", "wall", "trust", "mono_ms", "lane", "direction", "verdict", "form", "tag",
		"undoes", "sealed", "personal", "entry", "batch", "epoch",
	}
}

// rowOf returns a line as the values of columns.
func rowOf(l pull.Line, epoch string) ([]any, error) {
	e, err := entry.Parse(l.Entry)
	if err != nil {
		return nil, err
	}
	hash, err := entry.ParseHash(l.Hash)
	if err != nil {
		return nil, err
	}
	p, _ := entry.Decode[entry.Passage](e) // what is no passage, or a broken one, has none of its fields
	personal, err := jsonOf(l.Personal, l.Personal != nil)
	if err != nil {
		return nil, err
	}
	batch, err := jsonOf(l.Batch, l.Batch != nil)
	if err != nil {
		return nil, err
	}
	return []any{
		l.Device, int64(l.Seq), hash[:], l.Kind, int64(l.Boot), clock(e.Wall), l.Trust, l.MonoMS,
		text(l.Lane), text(l.Direction), text(l.Verdict), text(l.Form), data(p.Tag),
		number(l.Undoes), data(l.Sealed), personal, l.Entry, batch, epoch,
	}, nil
}

// What an entry does not have is NULL, and what PostgreSQL cannot hold must not stop the rest: any device may sign any
// time, and a visitor may show any text.

func clock(t time.Time) any {
	if y := t.Year(); y < 1970 || y > 9999 {
		return nil
	}
	return t
}

func text(s string) any {
	if s == "" {
		return nil
	}
	return strings.ReplaceAll(s, "\x00", "\ufffd")
}

func data(b []byte) any {
	if len(b) == 0 {
		return nil
	}
	return b
}

func number(n uint64) any {
	if n == 0 {
		return nil
	}
	return int64(n)
}

// escaped finds the escapes of JSON that matter here: a backslash, so that it hides no other, and the character 0.
var escaped = regexp.MustCompile(`\\(?:\\|u0000)`)

func jsonOf(v any, has bool) (any, error) {
	if !has {
		return nil, nil
	}
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	return escaped.ReplaceAllFunc(raw, func(b []byte) []byte {
		if len(b) > 2 {
			return []byte(`\ufffd`)
		}
		return b
	}), nil
}
