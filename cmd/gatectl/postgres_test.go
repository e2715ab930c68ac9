package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	postgresBin = "/usr/lib/postgresql/15/bin"
	postgresTry = 20 * time.Millisecond
	secretWord  = "kein:Wort/für@andere" // of the database; no message may show it
)

// A postgres is a real server on a socket in a folder of its own, which ends with this process.
type postgres struct {
	dir  string
	run  *exec.Cmd
	end  io.WriteCloser // a signal's name ends the server, and so does its end
	made int            // databases
}

// shared is the one server of all tests of this program; dir is empty until the first of them needs it.
var shared postgres

var startShared = sync.OnceValue(func() (err error) {
	p := &shared
	if p.dir, err = os.MkdirTemp("", "gatectl-postgres"); err != nil {
		return err
	}
	dir := p.dir
	if err := os.WriteFile(filepath.Join(dir, "password"), []byte(secretWord), 0o644); err != nil {
		return err
	}
	who, err := asPostgres(dir)
	if err != nil {
		return err
	}
	initdb := exec.Command(postgresBin+"/initdb", "--no-sync", "--locale=C", "--encoding=UTF8", "--username=postgres",
		"--auth=scram-sha-256", "--pwfile="+filepath.Join(dir, "password"), "--pgdata="+filepath.Join(dir, "data"))
	initdb.SysProcAttr, initdb.Dir = who, dir
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w: %s", err, out)
	}
	return p.start()
})

// asPostgres gives the folder to the user postgres: the server does not run as root.
func asPostgres(dir string) (*syscall.SysProcAttr, error) {
	if os.Getuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, err
	}
	uid, err1 := strconv.Atoi(u.Uid)
	gid, err2 := strconv.Atoi(u.Gid)
	if err := errors.Join(err1, err2); err != nil {
		return nil, err
	}
	return &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}}, os.Chown(dir, uid, gid)
}

// start starts the server and waits until it answers.
func (p *postgres) start() error {
	// Here the server dies and the machine does not, so that what the system has taken is safe.
	const script = `"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off >>"$2/log" 2>&1 & read how || how=QUIT; kill -$how $!; wait $!`
	p.run = exec.Command("/bin/sh", "-c", script, "sh", postgresBin, p.dir)
	p.run.Dir = p.dir
	var err error
	if p.run.SysProcAttr, err = asPostgres(p.dir); err != nil {
		return err
	}
	if p.end, err = p.run.StdinPipe(); err != nil {
		return err
	}
	if err := p.run.Start(); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, p.address("postgres"))
		if err == nil {
			return conn.Close(ctx)
		}
		if !pause(ctx, postgresTry) {
			return err
		}
	}
}

// stop ends the server: QUIT means at once, without writing anything more.
func (p *postgres) stop(signal string) {
	fmt.Fprintln(p.end, signal)
	p.run.Wait() // its status is that of a process that was killed
}

// address is what -into takes.
func (p *postgres) address(database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", secretWord), Path: "/" + database, RawQuery: "host=" + p.dir}
	return u.String()
}

// endPostgres ends the shared server, at the end of all tests.
func endPostgres() {
	if shared.run != nil {
		shared.stop("QUIT")
	}
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
}

// newPostgres returns the server, the address of an empty database there, and a connection to it.
func newPostgres(t *testing.T) (*postgres, string, *pgx.Conn) {
	t.Helper()
	if _, err := os.Stat(postgresBin + "/postgres"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no PostgreSQL 15 on this machine: make deps installs it on Debian")
	}
	fatal(t, startShared())
	p := &shared
	admin, err := pgx.Connect(t.Context(), p.address("postgres"))
	fatal(t, err)
	defer admin.Close(t.Context())
	p.made++
	name := fmt.Sprintf("test%d", p.made)
	_, err = admin.Exec(t.Context(), "CREATE DATABASE "+name)
	fatal(t, err)
	return p, p.address(name), dial(t, p.address(name))
}

func dial(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	fatal(t, err)
	t.Cleanup(func() { conn.Close(context.Background()) })
	return conn
}

// ask returns the one row that a query gives, as text.
func ask(t *testing.T, db *pgx.Conn, query string, args ...any) string {
	t.Helper()
	rows, err := db.Query(t.Context(), query, args...)
	fatal(t, err)
	row, err := pgx.CollectExactlyOneRow(rows, func(r pgx.CollectableRow) (string, error) {
		values, err := r.Values()
		return strings.TrimSpace(fmt.Sprintln(values...)), err
	})
	fatal(t, err)
	return row
}
