package view

import (
	"context"
	"database/sql"
	"errors"
	"time"

	"gatepost/storage/entry"
)

// A step is what one transaction adds. Sums are kept in memory and written once, which makes a rebuild of
// the whole view several times faster.
type step struct {
	tx    *sql.Tx
	day   func(time.Time) string
	stmts map[string]*sql.Stmt // by their text; closed with the transaction
	gates map[string]*gateSum
	tally map[tallyKey]*tallySum
}

// gateSum is what a step adds to a row of gate. The times are milliseconds since 1970.
type gateSum struct {
	firstSeq, lastSeq   uint64
	firstSeen, lastSeen int64
	entries             int
	anchor              entry.Anchor
}

type tallyKey struct {
	day, device        string
	direction, verdict int
}

type tallySum struct{ n, unsure int }

func newStep(tx *sql.Tx, day func(time.Time) string) *step {
	return &step{tx: tx, day: day, stmts: map[string]*sql.Stmt{}, gates: map[string]*gateSum{}, tally: map[tallyKey]*tallySum{}}
}

// prepared returns the statement of that text, which is read once.
func (s *step) prepared(ctx context.Context, text string) (*sql.Stmt, error) {
	if made := s.stmts[text]; made != nil {
		return made, nil
	}
	made, err := s.tx.PrepareContext(ctx, text)
	if err == nil {
		s.stmts[text] = made
	}
	return made, err
}

// exec runs a statement that comes often.
func (s *step) exec(ctx context.Context, text string, args ...any) error {
	made, err := s.prepared(ctx, text)
	if err == nil {
		_, err = made.ExecContext(ctx, args...)
	}
	return err
}

func (s *step) take(ctx context.Context, r Record) error {
	if a := r.Alarm; a != nil {
		_, err := s.tx.ExecContext(ctx, "INSERT INTO alarm VALUES (?, ?, ?, ?, ?, ?, ?)",
			int64(r.Seq), r.At.UnixMilli(), a.Device, int64(a.Seq), a.Ours, a.Theirs, a.Kind)
		return err
	}
	if l := r.Release; l != nil {
		_, err := s.tx.ExecContext(ctx, "INSERT INTO release VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
			int64(r.Seq), r.At.UnixMilli(), l.Case, l.By, l.Token, l.Entries, l.Devices, l.From.UnixMilli(), l.To.UnixMilli())
		return err
	}
	if r.Batch == nil {
		return nil
	}
	for _, raw := range r.Batch.Entries {
		e, err := entry.Parse(raw)
		if err != nil {
			return err
		}
		if err := s.add(ctx, r.Batch.Device, e); err != nil {
			return err
		}
	}
	return nil
}

// add takes one entry. Kinds that are no figure, and bodies that cannot be decoded, count as entries alone.
func (s *step) add(ctx context.Context, device string, e entry.Entry) error {
	g, err := s.gate(ctx, device)
	if err != nil {
		return err
	}
	if a, ok := entry.AnchorOf(e); ok {
		if a.Boot != g.anchor.Boot {
			if err := s.date(ctx, device, a); err != nil {
				return err
			}
		}
		g.anchor = a
	}
	wall, sure := g.anchor.Wall(e)
	seen := wall.UnixMilli()
	if g.entries == 0 {
		g.firstSeq, g.firstSeen, g.lastSeen = e.Seq, seen, seen
	}
	g.lastSeq, g.lastSeen, g.entries = e.Seq, max(g.lastSeen, seen), g.entries+1
	switch e.Kind {
	case entry.KindPassage:
		if p, err := entry.Decode[entry.Passage](e); err == nil {
			return s.count(ctx, device, e, p, wall, sure)
		}
	case entry.KindUndo:
		if u, err := entry.Decode[entry.Undo](e); err == nil {
			return s.undo(ctx, device, u.Seq)
		}
	}
	return nil
}

// count adds a passage to the figures of its day.
func (s *step) count(ctx context.Context, device string, e entry.Entry, p entry.Passage, wall time.Time, sure bool) error {
	k, unsure := tallyKey{s.day(wall), device, int(p.Direction), int(p.Verdict)}, 0
	if !sure {
		unsure = 1
	}
	s.sum(k, 1, unsure)
	return s.exec(ctx, "INSERT OR REPLACE INTO passage VALUES (?, ?, ?, ?, ?, ?, ?, ?)", device, int64(e.Seq), k.day, k.direction, k.verdict, unsure, e.Boot, e.Mono.Milliseconds())
}

// gate returns what the step adds to a device's row, and the anchor that the device has.
func (s *step) gate(ctx context.Context, device string) (*gateSum, error) {
	g := s.gates[device]
	if g != nil {
		return g, nil
	}
	g = &gateSum{}
	look, err := s.prepared(ctx, "SELECT boot, began FROM gate WHERE device = ?")
	if err == nil {
		err = look.QueryRowContext(ctx, device).Scan(&g.anchor.Boot, &g.anchor.Began)
	}
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return nil, err
	}
	s.gates[device] = g
	return g, nil
}

// date dates the passages of a boot whose first trusted time has come.
func (s *step) date(ctx context.Context, device string, a entry.Anchor) error {
	const undated = "SELECT seq, mono, day, direction, verdict FROM passage WHERE device = ? AND boot = ? AND unsure = 1"
	look, err := s.prepared(ctx, undated)
	if err != nil {
		return err
	}
	rows, err := look.QueryContext(ctx, device, a.Boot)
	if err != nil {
		return err
	}
	defer rows.Close()
	days := map[int64]string{}
	for rows.Next() {
		k := tallyKey{device: device}
		var seq, mono int64
		if err := rows.Scan(&seq, &mono, &k.day, &k.direction, &k.verdict); err != nil {
			return err
		}
		s.sum(k, -1, -1)
		k.day = s.day(a.At(time.Duration(mono) * time.Millisecond))
		s.sum(k, 1, 0)
		days[seq] = k.day
	}
	for seq, day := range days {
		if err := s.exec(ctx, "UPDATE passage SET day = ?, unsure = 0 WHERE device = ? AND seq = ?", day, device, seq); err != nil {
			return err
		}
	}
	return rows.Err()
}

// undo takes a passage out of the figures again. One that is not there, or was undone before, changes nothing.
func (s *step) undo(ctx context.Context, device string, seq uint64) error {
	k, unsure := tallyKey{device: device}, 0
	err := s.tx.QueryRowContext(ctx, "DELETE FROM passage WHERE device = ? AND seq = ? RETURNING day, direction, verdict, unsure",
		device, int64(seq)).Scan(&k.day, &k.direction, &k.verdict, &unsure)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		s.sum(k, -1, -unsure)
	}
	return err
}

func (s *step) sum(k tallyKey, n, unsure int) {
	t := s.tally[k]
	if t == nil {
		t = &tallySum{}
		s.tally[k] = t
	}
	t.n, t.unsure = t.n+n, t.unsure+unsure
}

// flush writes the sums.
func (s *step) flush(ctx context.Context) error {
	for device, g := range s.gates {
		err := s.exec(ctx, `INSERT INTO gate VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
			ON CONFLICT (device) DO UPDATE SET last_seq = ?3, last_seen = max(last_seen, ?5), entries = entries + ?6, boot = ?7, began = ?8`,
			device, int64(g.firstSeq), int64(g.lastSeq), g.firstSeen, g.lastSeen, g.entries, g.anchor.Boot, g.anchor.Began)
		if err != nil {
			return err
		}
	}
	for k, t := range s.tally {
		err := s.exec(ctx, `INSERT INTO tally VALUES (?1, ?2, ?3, ?4, ?5, ?6)
			ON CONFLICT DO UPDATE SET n = n + ?5, unsure = unsure + ?6`,
			k.day, k.device, k.direction, k.verdict, t.n, t.unsure)
		if err != nil {
			return err
		}
	}
	return nil
}
