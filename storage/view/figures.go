package view

import (
	"context"
	"database/sql"
	"fmt"
	"strconv"
	"time"

	"gatepost/storage/entry"
)

// A Place is where a device stands, as the hub's operator named it.
type Place struct{ Name, Venue, Area string }

// SetPlaces replaces all places, by device id.
func (v *View) SetPlaces(ctx context.Context, places map[string]Place) error {
	return v.change(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, "DELETE FROM place"); err != nil {
			return err
		}
		for device, p := range places {
			if _, err := tx.ExecContext(ctx, "INSERT INTO place VALUES (?, ?, ?, ?)", device, p.Name, p.Venue, p.Area); err != nil {
				return err
			}
		}
		return nil
	})
}

// A Count is numbers of passages, those undone left out. Only admitted people count in In and Out.
type Count struct {
	In, Out    int
	Look       int
	Refuse     int
	Unreadable int
	Fault      int // the gate was broken; nobody's scan
	Unsure     int // of all these: the clock was not trusted, so the day may be another
}

// Scans returns how many times somebody showed a code.
func (c Count) Scans() int { return c.In + c.Out + c.Look + c.Refuse + c.Unreadable }

func (c *Count) add(direction entry.Direction, verdict entry.Verdict, n, unsure int) {
	c.Unsure += unsure
	switch {
	case verdict == entry.Admit && direction == entry.Out:
		c.Out += n
	case verdict == entry.Admit:
		c.In += n
	case verdict == entry.Look:
		c.Look += n
	case verdict == entry.Refuse:
		c.Refuse += n
	case verdict == entry.Failed:
		c.Fault += n
	default: // also a verdict that a later kiosk may know
		c.Unreadable += n
	}
}

// A Gate is one device, known by its key, by its entries, or both.
type Gate struct {
	Device string
	Place
	Known       bool      // its key is in the hub's devices folder
	First, Last time.Time // of its entries, by its own clock; zero when there are none
	Begins      uint64    // sequence of its first entry here; over 1 when the hub was not given the start
	Entries     int
	Day         Count // of the day that was asked for
}

// Gates returns every gate with its figures of day ("2021-10-21"), sorted by area, venue and name.
func (v *View) Gates(ctx context.Context, day string) ([]Gate, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT d.device, coalesce(p.name, ''), coalesce(p.venue, ''), coalesce(p.area, ''),
			p.device IS NOT NULL, g.first_seen, g.last_seen, coalesce(g.first_seq, 0), coalesce(g.entries, 0)
		FROM (SELECT device FROM place UNION SELECT device FROM gate) d
		LEFT JOIN place p USING (device) LEFT JOIN gate g USING (device)
		ORDER BY 4, 3, 2, 1`)
	if err != nil {
		return nil, fmt.Errorf("read gates: %w", err)
	}
	defer rows.Close()
	var gates []Gate
	place := map[string]int{}
	for rows.Next() {
		var g Gate
		var first, last sql.NullInt64
		var begins int64 // SQLite's integers have a sign; a sequence has none
		if err := rows.Scan(&g.Device, &g.Name, &g.Venue, &g.Area, &g.Known, &first, &last, &begins, &g.Entries); err != nil {
			return nil, fmt.Errorf("read gates: %w", err)
		}
		g.Begins = uint64(begins)
		if first.Valid {
			g.First, g.Last = time.UnixMilli(first.Int64).In(v.zone), time.UnixMilli(last.Int64).In(v.zone)
		}
		place[g.Device] = len(gates)
		gates = append(gates, g)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read gates: %w", err)
	}
	return gates, v.tally(ctx, day, day, func(_, device, _ string, d entry.Direction, k entry.Verdict, n, unsure int) {
		if i, ok := place[device]; ok {
			gates[i].Day.add(d, k, n, unsure)
		}
	})
}

// GatesWithScan returns at how many gates somebody showed a code on day. A passage that was undone, and one
// that only says that the gate is broken, is no scan.
func (v *View) GatesWithScan(ctx context.Context, day string) (n int, err error) {
	err = v.db.QueryRowContext(ctx, "SELECT count(DISTINCT device) FROM tally WHERE day = ? AND n > 0 AND verdict != ?",
		day, int(entry.Failed)).Scan(&n)
	if err != nil {
		return 0, fmt.Errorf("count gates with a scan: %w", err)
	}
	return n, nil
}

// An AreaDay is the passages of one area on one day.
type AreaDay struct {
	Area, Day string
	Count
}

// Passages returns the passages from day first to day last, both included, by area and day. Areas and days
// without any are left out; a device that no place names has the area "".
func (v *View) Passages(ctx context.Context, first, last string) ([]AreaDay, error) {
	var all []AreaDay
	err := v.tally(ctx, first, last, func(day, _, area string, d entry.Direction, k entry.Verdict, n, unsure int) {
		if len(all) == 0 || all[len(all)-1].Area != area || all[len(all)-1].Day != day {
			all = append(all, AreaDay{Area: area, Day: day})
		}
		all[len(all)-1].add(d, k, n, unsure)
	})
	return all, err
}

// tally calls each with what was counted from day first to day last, sorted by area and day.
func (v *View) tally(ctx context.Context, first, last string,
	each func(day, device, area string, d entry.Direction, k entry.Verdict, n, unsure int),
) error {
	rows, err := v.db.QueryContext(ctx, `SELECT t.day, t.device, coalesce(p.area, ''), t.direction, t.verdict, t.n, t.unsure
		FROM tally t LEFT JOIN place p USING (device)
		WHERE t.day BETWEEN ? AND ? AND t.n > 0 ORDER BY 3, 1`, first, last)
	if err != nil {
		return fmt.Errorf("read passages: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var day, device, area string
		var d entry.Direction
		var k entry.Verdict
		var n, unsure int
		if err := rows.Scan(&day, &device, &area, &d, &k, &n, &unsure); err != nil {
			return fmt.Errorf("read passages: %w", err)
		}
		each(day, device, area, d, k, n, unsure)
	}
	return rows.Err()
}

// Alarms returns up to most alarms, the newest first.
func (v *View) Alarms(ctx context.Context, most int) ([]Alarm, error) {
	rows, err := v.db.QueryContext(ctx, "SELECT at, device, seq, ours, theirs, kind FROM alarm ORDER BY record DESC LIMIT ?", most)
	if err != nil {
		return nil, fmt.Errorf("read alarms: %w", err)
	}
	defer rows.Close()
	var alarms []Alarm
	for rows.Next() {
		var a Alarm
		var at, seq int64
		if err := rows.Scan(&at, &a.Device, &seq, &a.Ours, &a.Theirs, &a.Kind); err != nil {
			return nil, fmt.Errorf("read alarms: %w", err)
		}
		a.Seq = uint64(seq)
		a.At = time.UnixMilli(at).In(v.zone)
		alarms = append(alarms, a)
	}
	return alarms, rows.Err()
}

// Releases returns up to most releases, the newest first.
func (v *View) Releases(ctx context.Context, most int) ([]Release, error) {
	rows, err := v.db.QueryContext(ctx, `SELECT record, at, for_case, search, token, entries, devices, since, until
		FROM release ORDER BY record DESC LIMIT ?`, most)
	if err != nil {
		return nil, fmt.Errorf("read releases: %w", err)
	}
	defer rows.Close()
	var all []Release
	for rows.Next() {
		var r Release
		var record, at, from, to int64
		if err := rows.Scan(&record, &at, &r.Case, &r.By, &r.Token, &r.Entries, &r.Devices, &from, &to); err != nil {
			return nil, fmt.Errorf("read releases: %w", err)
		}
		r.Record, r.At = uint64(record), time.UnixMilli(at).In(v.zone)
		r.From, r.To = time.UnixMilli(from).In(v.zone), time.UnixMilli(to).In(v.zone)
		all = append(all, r)
	}
	return all, rows.Err()
}

// A Total is what the view holds altogether.
type Total struct {
	Entries  int       // of every kind, undone ones too
	Passages Count     // of all days
	Dateless int       // of these: the clock showed no possible year, so they stand in no day
	AsOf     time.Time // when the hub stored the newest record that is counted; zero when there is none
}

// Total returns the sums over all gates and days.
func (v *View) Total(ctx context.Context) (t Total, err error) {
	if err := v.db.QueryRowContext(ctx, "SELECT coalesce(sum(entries), 0) FROM gate").Scan(&t.Entries); err != nil {
		return t, fmt.Errorf("read totals: %w", err)
	}
	s, err := meta(ctx, v.db, "as-of")
	if err != nil {
		return t, fmt.Errorf("read totals: %w", err)
	}
	if ms, err := strconv.ParseInt(s, 10, 64); err == nil {
		t.AsOf = time.UnixMilli(ms).In(v.zone)
	}
	return t, v.tally(ctx, "", "9999", func(day, _, _ string, d entry.Direction, k entry.Verdict, n, unsure int) {
		t.Passages.add(d, k, n, unsure)
		if day == "" {
			t.Dateless += n
		}
	})
}
