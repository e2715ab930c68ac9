package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"gatepost/sync/hub"

	"github.com/jackc/pgx/v5"
)

// databaseVariable hands the database's address to the child.
const databaseVariable = "BENCH_SYNC_DATABASE"

// maxTogether is the most messages of one transaction, as many as the shipped hub stores together.
const maxTogether = 256

const tables = `
	DROP TABLE IF EXISTS message, head;
	CREATE TABLE message (place bigint PRIMARY KEY, subject text NOT NULL, at timestamptz NOT NULL, data bytea NOT NULL);
	CREATE TABLE head (subject text PRIMARY KEY, place bigint NOT NULL)`

// move moves the heads of $1 to the places $2, where they stand at $3, 0 for none.
const move = `
	WITH new AS (SELECT * FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS t (subject, place, prev))
	INSERT INTO head SELECT subject, place FROM new
	ON CONFLICT (subject) DO UPDATE SET place = excluded.place
	WHERE head.place = (SELECT prev FROM new WHERE new.subject = excluded.subject)`

// A database is a hub.Store in PostgreSQL with group commit: one connection stores what has gathered since its last
// transaction, another one reads.
type database struct {
	write *pgx.Conn
	queue chan *message
	owned sync.WaitGroup
	place int64 // of the newest message; the writer's

	mu   sync.Mutex // guards read
	read *pgx.Conn
}

// A message waits for its transaction.
type message struct {
	subject string
	data    []byte
	prev    uint64
	place   int64
	err     error
	done    chan struct{} // closed when place or err is set
}

// openDatabase makes empty tables.
func openDatabase(ctx context.Context, address string) (*database, error) {
	d := &database{queue: make(chan *message, maxTogether)}
	var err error
	if d.write, err = pgx.Connect(ctx, address); err != nil {
		return nil, err
	}
	if d.read, err = pgx.Connect(ctx, address); err != nil {
		return nil, err
	}
	if _, err := d.write.Exec(ctx, tables); err != nil {
		return nil, err
	}
	d.owned.Go(d.store)
	return d, nil
}

func (d *database) close() {
	close(d.queue)
	d.owned.Wait()
	d.write.Close(context.Background())
	d.read.Close(context.Background())
}

// Append implements hub.Store.
func (d *database) Append(_ context.Context, subject string, data []byte, prev uint64) (uint64, error) {
	m := &message{subject: subject, data: data, prev: prev, done: make(chan struct{})}
	d.queue <- m
	<-m.done
	return uint64(m.place), m.err
}

// store stores what waits, in one transaction after the other, until close.
func (d *database) store() {
	for first := range d.queue {
		all := []*message{first}
		for len(d.queue) > 0 && len(all) < maxTogether {
			all = append(all, <-d.queue)
		}
		err := pgx.BeginFunc(context.Background(), d.write, func(tx pgx.Tx) error { return d.transact(tx, all) })
		if err == nil {
			d.place += int64(len(all))
		}
		for _, m := range all {
			m.err = err
			close(m.done)
		}
	}
}

func (d *database) transact(tx pgx.Tx, all []*message) error {
	subjects, places, prevs := make([]string, len(all)), make([]int64, len(all)), make([]int64, len(all))
	for i, m := range all {
		m.place = d.place + 1 + int64(i)
		subjects[i], places[i], prevs[i] = m.subject, m.place, int64(m.prev)
	}
	moved, err := tx.Exec(context.Background(), move, subjects, places, prevs)
	if err != nil {
		return err
	}
	if n := moved.RowsAffected(); n != int64(len(all)) {
		return fmt.Errorf("%d of %d heads stand where they should", n, len(all))
	}
	at := time.Now()
	_, err = tx.CopyFrom(context.Background(), pgx.Identifier{"message"}, []string{"place", "subject", "at", "data"},
		pgx.CopyFromSlice(len(all), func(i int) ([]any, error) {
			return []any{all[i].place, all[i].subject, at, all[i].data}, nil
		}))
	return err
}

// First implements hub.Store.
func (d *database) First(ctx context.Context, place uint64, subject string) (hub.Message, error) {
	return d.find(ctx, "SELECT * FROM message WHERE place >= $1 AND ($2 = '*.*' OR subject = $2) ORDER BY place LIMIT 1", int64(place), subject)
}

// Last implements hub.Store.
func (d *database) Last(ctx context.Context, subject string) (hub.Message, error) {
	if subject == "*.*" {
		return d.find(ctx, "SELECT * FROM message ORDER BY place DESC LIMIT 1")
	}
	return d.find(ctx, "SELECT message.* FROM head JOIN message USING (place) WHERE head.subject = $1", subject)
}

func (d *database) find(ctx context.Context, query string, args ...any) (m hub.Message, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	err = d.read.QueryRow(ctx, query, args...).Scan(&m.Place, &m.Subject, &m.At, &m.Data)
	if errors.Is(err, pgx.ErrNoRows) {
		return m, hub.ErrEmpty
	}
	return m, err
}
