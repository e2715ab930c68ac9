package main

import (
	"context"
	_ "embed" // the schema
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

//go:embed postgres.sql
var postgresSchema string

const (
	schemaVersion = 1
	schemaLock    = 0x6761_7465_706f_7374 // "gatepost": the advisory lock of whoever writes
	reachTime     = 10 * time.Second      // to connect
	storeTime     = time.Minute           // for one transaction
)

var (
	errAway  = errors.New("database does not take it now")                   // later it may
	errMoved = errors.New("another gatectl takes entries for this consumer") // read again where it stands
)

// A database keeps entries in PostgreSQL, and with them how far one consumer has taken one log: both in one transaction, so
// that what it says after any failure is true. After an error load must be called. It is not safe for concurrent use.
type database struct {
	config   *pgx.ConnConfig
	conn     *pgx.Conn // nil: not connected
	consumer string

	loaded bool // what follows is what the database holds
	epoch  string
	cursor string
	chains map[string]strand
}

// A strand is where a device's chain stands in the log that is taken.
type strand struct {
	entry.Head
	forked bool // it contradicts what is stored of the device
}

// newDatabase reads an address. No error repeats any of it, for it may hold a password.
func newDatabase(address, consumer string) (*database, error) {
	config, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, errors.New("-into is no address such as postgres://USER@HOST/DATABASE")
	}
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = reachTime
	}
	return &database{config: config, consumer: consumer}, nil
}

// connect reaches the database and makes the tables where there are none.
func (d *database) connect(ctx context.Context) error {
	if d.conn != nil {
		return nil
	}
	conn, err := pgx.ConnectConfig(ctx, d.config)
	if err != nil {
		return d.failed(fmt.Errorf("connect: %w", err))
	}
	d.conn = conn
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	if err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return migrate(ctx, tx) }); err != nil {
		return d.failed(fmt.Errorf("make tables: %w", err))
	}
	return nil
}

func migrate(ctx context.Context, tx pgx.Tx) error {
	var made bool
	if err := lock(ctx, tx); err != nil {
		return err
	}
	if err := tx.QueryRow(ctx, "SELECT to_regclass('gatepost_schema') IS NOT NULL").Scan(&made); err != nil {
		return err
	}
	if !made {
		_, err := tx.Exec(ctx, postgresSchema)
		return err
	}
	var version int
	if err := tx.QueryRow(ctx, "SELECT max(version) FROM gatepost_schema").Scan(&version); err != nil {
		return err
	}
	if version != schemaVersion {
		return fmt.Errorf("they are of version %d, this gatectl knows %d", version, schemaVersion)
	}
	return nil
}

// lock lets one transaction write at a time: what it has read stays true until its end.
func lock(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, "SELECT pg_advisory_xact_lock($1)", int64(schemaLock))
	return err
}

// failed forgets the connection and what was known through it, and tells errors that may go away from others.
func (d *database) failed(err error) error {
	away := d.conn == nil || d.conn.IsClosed()
	d.loaded = false
	d.close()
	if refused := (*pgconn.PgError)(nil); errors.As(err, &refused) {
		away = mayPass(refused.Code)
	}
	if away || errors.Is(err, errMoved) {
		return fmt.Errorf("%w: %w", errAway, err)
	}
	return fmt.Errorf("database: %w", err)
}

// mayPass tells by its class (PostgreSQL's Appendix A) whether an error may be gone later: broken connections, conflicts
// with others, a lack of resources, an operator's hand. What is wrong with a word, a table or a right is not.
func mayPass(code string) bool {
	for _, class := range []string{"08", "40", "53", "55", "57", "58"} {
		if strings.HasPrefix(code, class) {
			return true
		}
	}
	return false
}

func (d *database) close() {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second) // to say goodbye; the caller's may have ended
	defer cancel()
	d.conn.Close(ctx) // an error means that it is closed already
	d.conn = nil
}

// load reads how far this log has been taken; found is false when it never was.
func (d *database) load(ctx context.Context, epoch string) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	options := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly} // cursor and chains of one moment
	err = pgx.BeginTxFunc(ctx, d.conn, options, func(tx pgx.Tx) error {
		err := tx.QueryRow(ctx, "SELECT cursor FROM gatepost_cursor WHERE epoch = $1 AND consumer = $2", epoch, d.consumer).Scan(&d.cursor)
		if found = err == nil; errors.Is(err, pgx.ErrNoRows) {
			return nil
		} else if err != nil {
			return err
		}
		d.epoch = epoch
		d.chains, err = readChains(ctx, tx, epoch, d.consumer)
		return err
	})
	if err != nil {
		return false, d.failed(fmt.Errorf("read the cursor: %w", err))
	}
	d.loaded = found
	return found, nil
}

func readChains(ctx context.Context, tx pgx.Tx, epoch, consumer string) (map[string]strand, error) {
	rows, err := tx.Query(ctx, "SELECT device, seq, hash, forked FROM gatepost_chain WHERE epoch = $1 AND consumer = $2", epoch, consumer)
	if err != nil {
		return nil, err
	}
	chains := map[string]strand{}
	var device string
	var seq int64
	var hash []byte
	var forked bool
	_, err = pgx.ForEachRow(rows, []any{&device, &seq, &hash, &forked}, func() error {
		at := strand{entry.Head{Seq: uint64(seq)}, forked}
		if copy(at.Hash[:], hash) != len(at.Hash) {
			return errors.New("a hash in gatepost_chain is cut off")
		}
		chains[device] = at
		return nil
	})
	return chains, err
}

// begin begins a log at a cursor, unless it was begun before: then it goes on where it stands. Of the log that is being taken,
// it sets the cursor to there, whatever was taken, for the hub no longer has what comes behind it.
func (d *database) begin(ctx context.Context, epoch, cursor string) error {
	timed, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err := pgx.BeginFunc(timed, d.conn, func(tx pgx.Tx) error {
		if !d.loaded || d.epoch != epoch {
			_, err := tx.Exec(timed, `INSERT INTO gatepost_cursor (epoch, consumer, cursor) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING`,
				epoch, d.consumer, cursor)
			return err
		}
		if err := d.move(timed, tx, cursor, 0); err != nil {
			return err
		}
		_, err := tx.Exec(timed, "DELETE FROM gatepost_chain WHERE epoch = $1 AND consumer = $2", epoch, d.consumer)
		return err
	})
	if err != nil {
		return d.failed(fmt.Errorf("begin a log: %w", err))
	}
	_, err = d.load(ctx, epoch)
	return err
}

// put stores whole batches and moves the cursor behind them, both or neither. The caller checked that they follow one another.
func (d *database) put(ctx context.Context, lines []pull.Line, cursor string) (s *sorting, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err = pgx.BeginFunc(ctx, d.conn, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL synchronous_commit TO on"); err != nil { // a commit means: on the disk
			return err
		}
		if err := lock(ctx, tx); err != nil {
			return err
		}
		if err := d.move(ctx, tx, cursor, len(lines)); err != nil || len(lines) == 0 {
			return err
		}
		held, err := readHeld(ctx, tx, lines)
		if err != nil {
			return err
		}
		if s, err = sortLines(lines, d.chains, held); err != nil {
			return err
		}
		return s.write(ctx, tx, d.epoch, d.consumer)
	})
	if err != nil {
		return nil, d.failed(fmt.Errorf("store entries: %w", err))
	}
	d.cursor = cursor
	if s != nil {
		maps.Copy(d.chains, s.chains)
	}
	return s, nil
}

// move takes the cursor from where this program believes it to be.
func (d *database) move(ctx context.Context, tx pgx.Tx, to string, n int) error {
	tag, err := tx.Exec(ctx, `UPDATE gatepost_cursor SET cursor = $4, entries = entries + $5, moved = now()
		WHERE epoch = $1 AND consumer = $2 AND cursor = $3`, d.epoch, d.consumer, d.cursor, to, n)
	if err == nil && tag.RowsAffected() != 1 {
		err = errMoved
	}
	return err
}
