package main

import (
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"

	"gatepost/storage/journal"

	"go.etcd.io/bbolt"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite"
)

// lite keeps entries in a table of SQLite.
type lite struct {
	*sql.DB
	s      *sample
	n      int
	insert *sql.Stmt
}

func (s *sample) openSQLite(dir string) (store, error) {
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "entry.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	l := &lite{DB: db, s: s}
	_, err = db.Exec("CREATE TABLE IF NOT EXISTS entry (seq INTEGER PRIMARY KEY, raw BLOB NOT NULL)")
	if err == nil {
		err = db.QueryRow("SELECT coalesce(max(seq), 0) FROM entry").Scan(&l.n)
	}
	if err == nil {
		l.insert, err = db.Prepare("INSERT INTO entry VALUES (?, ?)")
	}
	return l, err
}

func (l *lite) count() int { return l.n }

func (l *lite) add(ctx context.Context, n int) error {
	if n == 1 {
		l.n++
		_, err := l.insert.ExecContext(ctx, l.n, l.s.raw(l.n))
		return err
	}
	tx, err := l.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // nothing, after the commit
	insert := tx.StmtContext(ctx, l.insert)
	for range n {
		l.n++
		if _, err := insert.ExecContext(ctx, l.n, l.s.raw(l.n)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// bolt keeps entries in one bucket of a bbolt file.
type bolt struct {
	*bbolt.DB
	s      *sample
	n      int
	file   *os.File
	full   float64 // how far a page is filled before it is split, 0 to 1
	zeros  bool    // keep zeros behind the pages in use
	zeroed int64   // up to here
}

var bucket = []byte("entry")

func (s *sample) openBolt(o bbolt.Options, full float64, zeros bool) func(dir string) (store, error) {
	return func(dir string) (_ store, err error) {
		b := &bolt{s: s, full: full, zeros: zeros}
		o.OpenFile = func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			b.file, err = os.OpenFile(name, flag, mode)
			return b.file, err
		}
		if b.DB, err = bbolt.Open(filepath.Join(dir, "entry.db"), 0o600, &o); err != nil {
			return nil, err
		}
		return b, b.Update(func(tx *bbolt.Tx) error {
			k, err := tx.CreateBucketIfNotExists(bucket)
			if err != nil {
				return err
			}
			if last, _ := k.Cursor().Last(); last != nil {
				b.n = int(binary.BigEndian.Uint64(last))
			}
			return nil
		})
	}
}

func (b *bolt) count() int { return b.n }

func (b *bolt) add(_ context.Context, n int) error {
	var used int64
	err := b.Update(func(tx *bbolt.Tx) error {
		used = tx.Size()
		k := tx.Bucket(bucket)
		k.FillPercent = b.full
		for range n {
			b.n++
			if err := k.Put(binary.BigEndian.AppendUint64(nil, uint64(b.n)), b.s.raw(b.n)); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && b.NoSync {
		err = unix.Fdatasync(int(b.file.Fd()))
	}
	if b.zeros && used > b.zeroed-ahead/2 {
		b.zeroed = used + ahead
		return errors.Join(err, b.ahead())
	}
	return err
}

// ahead zeroes what lies behind the pages in use; bbolt itself grows a file by a hole.
func (b *bolt) ahead() error {
	return b.View(func(tx *bbolt.Tx) error { return zero(b.file, tx.Size()) })
}

// own is the journal of this project.
type own struct {
	*journal.Journal
	s *sample
}

func (s *sample) openJournal(dir string) (store, error) {
	j, err := journal.Open(dir, journal.Options{Device: "bench", MaxSize: 8 << 30})
	return own{j, s}, err
}

func (o own) count() int { return int(o.Head().Seq) }

// add appends many from many sides at once, because callers that wait share a transaction.
func (o own) add(ctx context.Context, n int) error {
	first := o.count() + 1
	if n == 1 {
		_, err := o.Append(ctx, o.s.draft(first))
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(1024)
	for i := range n {
		g.Go(func() error {
			_, err := o.Append(ctx, o.s.draft(first+i))
			return err
		})
	}
	return g.Wait()
}
