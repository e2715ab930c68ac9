// Package view is the hub's picture of its log in SQLite: gates, passages by day, alarms, releases. It is made from the
// log alone and may be thrown away at any time; whoever opens it replays from its position, and a view that
// was replayed at once equals one that grew record by record. A passage whose clock was not trusted is dated by the first
// trusted time of the same boot, also by one that comes later (entry.Anchor).
//
// It trusts its input: batches were verified when the log took them. It promises no durability, and its days
// are those of the kiosks' clocks in the zone that was named when it was opened.
package view

import (
	"context"
	"database/sql"
	_ "embed" // the schema
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	_ "modernc.org/sqlite" // the engine, as database/sql wants it named
)

//go:embed schema.sql
var schema string

// version names the schema and the meaning of what stands in it; a view of another version is rebuilt.
const version = "3"

// A Record is one message of the log: a batch, an alarm or a release, the others nil; a record with none of them moves the
// position only.
type Record struct {
	Seq     uint64    // place in the log, from 1
	At      time.Time // when the hub stored it
	Batch   *Batch
	Alarm   *Alarm
	Release *Release
}

// A Batch is consecutive entries of one device in their own bytes.
type Batch struct {
	Device  string
	Entries [][]byte
}

// An Alarm is a device that signed two entries with one sequence.
type Alarm struct {
	At           time.Time
	Device       string
	Seq          uint64
	Ours, Theirs string // hashes, hexadecimal
	Kind         string // "replaced": another device has taken its place; "": it was cloned or rolled back
}

// A Release says that seals were about to be opened for a case.
type Release struct {
	At       time.Time
	Record   uint64 // place in the log
	Case     string
	By       string // "place": all of it was shown; "person": one person was searched
	Token    string // fingerprint of who asked
	Entries  int
	Devices  int
	From, To time.Time // the window
}

// A View is safe for concurrent use; Apply is for one caller at a time.
type View struct {
	db   *sql.DB
	zone *time.Location
}

// Open opens the view in the file path. A file that is damaged, or was made for another zone or version, is
// thrown away and the view begins empty.
func Open(ctx context.Context, path string, zone *time.Location) (*View, error) {
	v := &View{zone: zone}
	err := v.open(ctx, path)
	if err != nil {
		if err = discard(path); err == nil {
			err = v.open(ctx, path)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open view: %w", err)
	}
	return v, nil
}

func (v *View) open(ctx context.Context, path string) (err error) {
	// 64 MiB hold the pages to which the next batches of tens of thousands of gates will come.
	const pragmas = "?_pragma=journal_mode(WAL)&_pragma=synchronous(OFF)&_pragma=busy_timeout(5000)&_pragma=cache_size(-65536)"
	if v.db, err = sql.Open("sqlite", "file:"+path+pragmas); err != nil {
		return err
	}
	v.db.SetMaxOpenConns(4)
	if err = v.check(ctx); err != nil {
		v.db.Close()
	}
	return err
}

// check makes the tables where there are none, and refuses a file that cannot be used.
func (v *View) check(ctx context.Context) error {
	var sound string
	if err := v.db.QueryRowContext(ctx, "PRAGMA quick_check(1)").Scan(&sound); err != nil {
		return err
	}
	if sound != "ok" {
		return fmt.Errorf("damaged: %s", sound)
	}
	if _, err := v.db.ExecContext(ctx, schema); err != nil {
		return err
	}
	want := version + " " + v.zone.String()
	got, err := meta(ctx, v.db, "made-for")
	if got == "" && err == nil {
		return setMeta(ctx, v.db, "made-for", want)
	}
	if err == nil && got != want {
		err = fmt.Errorf("made for %q, want %q", got, want)
	}
	return err
}

func discard(path string) error {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Close closes the file.
func (v *View) Close() error { return v.db.Close() }

// Resume returns the place behind which the log of this epoch must be applied. A view of another log, or of
// one that was longer than last, empties itself first.
func (v *View) Resume(ctx context.Context, epoch string, last uint64) (after uint64, err error) {
	seen, err := meta(ctx, v.db, "epoch")
	if err != nil {
		return 0, fmt.Errorf("read the view's position: %w", err)
	}
	if after, err = v.Position(ctx); err != nil {
		return 0, err
	}
	if seen == epoch && after <= last {
		return after, nil
	}
	err = v.change(ctx, func(tx *sql.Tx) error {
		const empty = `DELETE FROM gate; DELETE FROM passage; DELETE FROM tally; DELETE FROM alarm; DELETE FROM release;
			DELETE FROM meta WHERE key IN ('position', 'as-of')`
		if _, err := tx.ExecContext(ctx, empty); err != nil {
			return err
		}
		return setMeta(ctx, tx, "epoch", epoch)
	})
	if err != nil {
		return 0, fmt.Errorf("empty the view: %w", err)
	}
	return 0, nil
}

// Position returns the place in the log of the newest record that was applied.
func (v *View) Position(ctx context.Context) (uint64, error) {
	s, err := meta(ctx, v.db, "position")
	if err != nil || s == "" {
		return 0, err
	}
	return strconv.ParseUint(s, 10, 64)
}

// Apply adds records, which must go on right behind the position, all or none.
func (v *View) Apply(ctx context.Context, records ...Record) error {
	if len(records) == 0 {
		return nil
	}
	at, err := v.Position(ctx)
	if err != nil {
		return err
	}
	if records[0].Seq != at+1 {
		return fmt.Errorf("record %d does not follow record %d", records[0].Seq, at)
	}
	return v.change(ctx, func(tx *sql.Tx) error {
		s := newStep(tx, v.Day)
		for i, r := range records {
			if r.Seq != records[0].Seq+uint64(i) {
				return fmt.Errorf("record %d stands where %d belongs", r.Seq, records[0].Seq+uint64(i))
			}
			if err := s.take(ctx, r); err != nil {
				return fmt.Errorf("apply record %d: %w", r.Seq, err)
			}
		}
		if err := s.flush(ctx); err != nil {
			return err
		}
		newest := records[len(records)-1]
		if err := setMeta(ctx, tx, "as-of", strconv.FormatInt(newest.At.UnixMilli(), 10)); err != nil {
			return err
		}
		return setMeta(ctx, tx, "position", strconv.FormatUint(newest.Seq, 10))
	})
}

// Day returns the day of t in the view's zone, "2021-10-21"; a year that no clock at a gate can show is "".
func (v *View) Day(t time.Time) string {
	t = t.In(v.zone)
	if y := t.Year(); y < 2000 || y > 2199 {
		return ""
	}
	return t.Format(time.DateOnly)
}

// change runs f in one transaction.
func (v *View) change(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := v.db.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("change the view: %w", err)
	}
	if err := f(tx); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

// querier is a *sql.DB or a *sql.Tx.
type querier interface {
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// meta returns a value of the view about itself, or "".
func meta(ctx context.Context, q querier, key string) (value string, err error) {
	err = q.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}

func setMeta(ctx context.Context, q querier, key, value string) error {
	_, err := q.ExecContext(ctx, "INSERT OR REPLACE INTO meta VALUES (?, ?)", key, value)
	return err
}
