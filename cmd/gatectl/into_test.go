package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"

	"github.com/jackc/pgx/v5"
)

const (
	seqs = "SELECT count(*), count(DISTINCT seq), min(seq), max(seq) FROM gatepost_entry"
	took = "SELECT sum(entries)::bigint FROM gatepost_cursor"
)

func TestInto(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	into := []string{"-into", address, "-consumer", "ministry", "-devices", w.path("devices")}
	for _, c := range []struct{ more, stored int }{{0, 3}, {0, 0}, {4, 4}} {
		if c.more > 0 {
			w.send(t, c.more)
		}
		code, out, errs := w.pull(t.Context(), into...)
		if code != exitOK || out != fmt.Sprintf("%d entries stored, 0 were there, 0 contradict them\n", c.stored) {
			t.Fatalf("status %d, %s, %s", code, out, errs)
		}
	}
	if got := ask(t, db, seqs); got != "7 7 1 7" {
		t.Errorf("entries: %s", got)
	}
	if got := ask(t, db, "SELECT count(*) FROM gatepost_entry WHERE personal IS NOT NULL"); got != "0" {
		t.Errorf("%s entries were opened without a key", got)
	}
	cursor := ask(t, db, "SELECT cursor FROM gatepost_cursor WHERE consumer = 'ministry'")
	if place, ok := w.consumers.Kept("ministry"); !ok || place != 2 || cursor != w.hub.Epoch()+".2.4" {
		t.Errorf("cursor %s, the hub was told %d", cursor, place)
	}
	// Another consumer takes the same entries, opened, and finds that they are there.
	code, out, errs := w.pull(t.Context(), "-into", address, "-key", w.path("authority.key"))
	if code != exitOK || !strings.HasPrefix(out, "0 entries stored, 7 were there") {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	if got := ask(t, db, took); got != "14" {
		t.Errorf("both took %s entries", got)
	}
}

// What a device may sign and a visitor may show is stored, whatever it is.
func TestIntoTakesAnything(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	odd := w.gate(t, "odd")
	head := entry.Head{Seq: 1<<63 + 6}
	p := w.passage(t, entry.Personal{Family: "cccd", Name: "Lê An", Address: "a\x00b\\u0000", Answers: map[string]any{"x\x00": true}})
	p.Lane, p.Tag = "nor\x00th", []byte{7}
	late := entry.Stamp{Wall: time.Date(12021, 1, 1, 0, 0, 0, 0, time.UTC), Trust: 9}
	fatal(t, w.put(t.Context(), odd, &head, late, p, entry.Undo{Seq: 1<<63 + 7}, entry.Fault{Part: "clock"}))
	normal := entry.Stamp{Wall: time.Date(2021, 10, 21, 7, 30, 0, 0, time.UTC), Trust: entry.TrustClock}
	fatal(t, w.put(t.Context(), w.device, &w.head, normal, w.passage(t, entry.Personal{Family: "cccd", Name: "Trần Thị Bích"})))
	code, out, errs := w.pull(t.Context(), "-into", address, "-key", w.path("authority.key"), "-devices", w.path("devices"))
	if code != exitOK || !strings.HasPrefix(out, "7 entries stored") {
		t.Fatalf("status %d, %s, %s", code, out, errs)
	}
	const columns = `SELECT seq + 9223372036854775807, kind, wall IS NULL, trust, lane, direction, encode(tag, 'hex'),
		personal->>'address', personal->'answers'->>E'x\ufffd', encode(hash, 'hex') = encode(sha256(entry), 'hex')
		FROM gatepost_entry WHERE seq < 0 AND kind = 'passage'`
	if got := ask(t, db, columns); got != `6 passage true trust-9 nor�th in 07 a�b\u0000 true true` {
		t.Errorf("a passage: %q", got)
	}
	if got := ask(t, db, "SELECT undoes + 9223372036854775807, lane IS NULL FROM gatepost_entry WHERE kind = 'undo'"); got != "6 true" {
		t.Errorf("an undo: %s", got)
	}
	if got := ask(t, db, "SELECT personal->>'name', to_char(wall AT TIME ZONE 'UTC', 'HH24:MI') FROM gatepost_entry WHERE seq = 4"); got != "Trần Thị Bích 07:30" {
		t.Errorf("an ordinary passage: %q", got)
	}
}

// follower is a gatectl of its own that follows.
type follower struct {
	cmd  *exec.Cmd
	errs bytes.Buffer
}

func (w *pullWorld) follow(t *testing.T, address string) *follower {
	t.Helper()
	f := &follower{cmd: exec.Command("gatectl", "pull", "-hub", w.url, "-token", w.path("token"), "-ca", w.path("ca.pem"),
		"-into", address, "-consumer", "ministry", "-devices", w.path("devices"), "-follow")}
	f.cmd.Stderr = &f.errs
	fatal(t, f.cmd.Start())
	t.Cleanup(func() { f.cmd.Process.Kill() })
	return f
}

// end sends a signal, and returns the exit status.
func (f *follower) end(t *testing.T, signal os.Signal) int {
	t.Helper()
	fatal(t, f.cmd.Process.Signal(signal))
	f.cmd.Wait()
	return f.cmd.ProcessState.ExitCode()
}

// sending puts batches of random sizes into the hub until stop is called, which returns when the last one is there.
func (w *pullWorld) sending(t *testing.T, r *rand.Rand) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var sender sync.WaitGroup
	sender.Go(func() {
		for ctx.Err() == nil {
			bodies := make([]entry.Body, 1+r.IntN(7))
			for i := range bodies {
				bodies[i] = entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit}
			}
			if err := w.put(context.WithoutCancel(ctx), w.device, &w.head, entry.Stamp{}, bodies...); err != nil {
				t.Error(err)
				return
			}
			pause(ctx, postgresTry/2)
		}
	})
	return func() { cancel(); sender.Wait() }
}

// until asks db until it has that many entries.
func until(t *testing.T, db *pgx.Conn, entries int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for n := -1; n < entries; {
		err := db.QueryRow(ctx, "SELECT coalesce(sum(entries), 0) FROM gatepost_cursor").Scan(&n)
		if err != nil && !strings.Contains(err.Error(), "does not exist") { // the tables are about to be made
			t.Fatalf("%d of %d entries: %v", n, entries, err)
		}
		pause(ctx, postgresTry/10)
	}
}

// whole checks that the database holds every entry of the hub's log once, and that the hub knows.
func (w *pullWorld) whole(t *testing.T, address string, db *pgx.Conn) {
	t.Helper()
	if code, _, errs := w.pull(t.Context(), "-into", address, "-consumer", "ministry", "-devices", w.path("devices")); code != exitOK {
		t.Fatalf("status %d, %s", code, errs)
	}
	n := w.head.Seq
	if got, want := ask(t, db, seqs), fmt.Sprintf("%d %d 1 %d", n, n, n); got != want {
		t.Errorf("entries %s, want %s", got, want)
	}
	if got := ask(t, db, took); got != fmt.Sprint(n) {
		t.Errorf("%s entries were taken of %d: some twice or never", got, n)
	}
	if got := ask(t, db, "SELECT seq, encode(hash, 'hex'), forked FROM gatepost_chain"); got != fmt.Sprintf("%d %v false", n, w.head.Hash) {
		t.Errorf("the chain stands at %s, the device at %v", got, w.head)
	}
	_, last, err := w.hub.Read(t.Context(), 0, 0)
	if place, ok := w.consumers.Kept("ministry"); err != nil || !ok || place != last {
		t.Errorf("the hub was told %d of %d, %v", place, last, err)
	}
}

// Whenever a puller is killed, the next one goes on where the last commit is: nothing is lost, nothing comes twice, and the
// hub is never told more than is stored.
func TestKilledPuller(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	r := rand.New(rand.NewPCG(1, 2))
	stop := w.sending(t, rand.New(rand.NewPCG(3, 4)))
	defer stop()
	taken := 0
	for range 8 {
		f := w.follow(t, address)
		until(t, db, taken+1+r.IntN(60))
		f.end(t, syscall.SIGKILL)
		taken = 0
		fatal(t, db.QueryRow(t.Context(), took).Scan(&taken))
		stored, err := pull.ParseCursor(ask(t, db, "SELECT cursor FROM gatepost_cursor"))
		fatal(t, err)
		if place, ok := w.consumers.Kept("ministry"); ok && place > stored.Seq {
			t.Errorf("the hub was told %d, and %d is stored", place, stored.Seq)
		}
	}
	stop()
	w.whole(t, address, db)
}

// Two pullers of one consumer take turns: what one has taken the other does not take again.
func TestTwoPullersOfOneConsumer(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	stop := w.sending(t, rand.New(rand.NewPCG(7, 8)))
	defer stop()
	one, other := w.follow(t, address), w.follow(t, address)
	until(t, db, 120)
	for _, f := range []*follower{one, other} {
		if code := f.end(t, os.Interrupt); code != exitOK {
			t.Errorf("status %d: %s", code, &f.errs)
		}
	}
	stop()
	w.whole(t, address, db)
}

// A follower outlives its database: a server that dies at once and comes back, twice.
func TestDatabaseComesBack(t *testing.T) {
	p, address, db := newPostgres(t)
	w := newPullWorld(t)
	stop := w.sending(t, rand.New(rand.NewPCG(5, 6)))
	defer stop()
	f := w.follow(t, address)
	for i := range 2 {
		until(t, db, 30*(i+1))
		p.stop("QUIT")
		fatal(t, p.start())
		db = dial(t, address)
	}
	until(t, db, 100)
	if code := f.end(t, os.Interrupt); code != exitOK {
		t.Errorf("interrupted: status %d", code)
	}
	if said := f.errs.String(); !strings.Contains(said, "trying again") || strings.Contains(said, secretWord) || strings.Contains(said, url.QueryEscape(secretWord)) {
		t.Errorf("said %q", said)
	}
	stop()
	w.whole(t, address, db)
}

// A hub that lost its log tells a follower so. What the gates send again is no double; what is new is added.
func TestIntoAfterTheHubLostItsLog(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	old, before := records(t, w), w.hub.Epoch()
	f := w.follow(t, address)
	until(t, db, 3)
	w.anew(t)
	for _, raw := range old {
		_, err := w.hub.Put(t.Context(), raw)
		fatal(t, err)
	}
	w.send(t, 2)
	w.server.CloseClientConnections()
	until(t, db, 8)
	if code := f.end(t, os.Interrupt); code != exitOK || !strings.Contains(f.errs.String(), "its log is a new one") {
		t.Errorf("status %d, said %q", code, &f.errs)
	}
	if got := ask(t, db, seqs); got != "5 5 1 5" {
		t.Errorf("entries: %s", got)
	}
	if got := ask(t, db, "SELECT string_agg(epoch || ' ' || entries, ', ' ORDER BY moved) FROM gatepost_cursor"); got != before+" 3, "+w.hub.Epoch()+" 5" {
		t.Errorf("cursors: %s", got)
	}
	if got := ask(t, db, "SELECT count(*) FROM gatepost_fork"); got != "0" {
		t.Errorf("%s forks", got)
	}
}

// records returns the batches of the world's log.
func records(t *testing.T, w *pullWorld) (raws [][]byte) {
	t.Helper()
	all, _, err := w.hub.Read(t.Context(), 0, 1000)
	fatal(t, err)
	for _, r := range all {
		raws = append(raws, r.Raw)
	}
	return raws
}

// anew makes the hub lose its log.
func (w *pullWorld) anew(t *testing.T) {
	t.Helper()
	w.hub.Close()
	fatal(t, os.RemoveAll(w.path("log")))
	w.open(t)
}

// A card that was rolled back signs other entries under sequences that are stored. They are kept beside what is stored, which
// never changes, with all that follows them; the other gates' entries go on.
func TestIntoFork(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	other, otherHead := w.gate(t, "gate-2"), entry.Head{}
	into := []string{"-into", address, "-devices", w.path("devices")}
	if code, _, errs := w.pull(t.Context(), into...); code != exitOK {
		t.Fatal(errs)
	}
	const stored = "SELECT encode(sha256(string_agg(entry, '' ORDER BY seq)), 'hex'), max(seq) FROM gatepost_entry WHERE device = $1"
	device := entry.DeviceID(w.device.Public().(ed25519.PublicKey))
	was := ask(t, db, stored, device)
	w.anew(t)
	w.head = entry.Head{}
	w.send(t, 2)
	fatal(t, w.put(t.Context(), other, &otherHead, entry.Stamp{}, entry.Boot{Program: "1"}))
	code, out, errs := w.pull(t.Context(), into...)
	if code != exitFail || out != "1 entries stored, 0 were there, 2 contradict them\n" || strings.Count(errs, "cloned or rolled back") != 1 {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	w.send(t, 3) // 3 contradicts, 4 and 5 are in no place that is taken, and of the other chain all the same
	code, out, errs = w.pull(t.Context(), into...)
	if code != exitFail || out != "0 entries stored, 0 were there, 3 contradict them\n" {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	w.send(t, 1) // nothing that is stored stands near it: only the database knows that its chain is the other one
	code, out, errs = w.pull(t.Context(), into...)
	if code != exitFail || out != "0 entries stored, 0 were there, 1 contradict them\n" {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	if got := ask(t, db, stored, device); got != was {
		t.Errorf("what was stored became %s from %s", got, was)
	}
	const forks = "SELECT string_agg(seq || CASE WHEN held IS NULL THEN ' alone' ELSE ' held' END, ', ' ORDER BY seq), max(encode(hash, 'hex')) FILTER (WHERE seq = 6) FROM gatepost_fork"
	if got := ask(t, db, forks); got != "1 held, 2 held, 3 held, 4 alone, 5 alone, 6 alone "+w.head.Hash.String() {
		t.Errorf("forks: %s", got)
	}
	if got := ask(t, db, "SELECT count(*) FROM gatepost_entry"); got != "4" {
		t.Errorf("%s entries", got)
	}
	// A chain that goes on from another entry than the one that is stored is of the other kind as well.
	w.anew(t)
	w.head = entry.Head{Seq: 3, Hash: entry.Hash{1}}
	w.send(t, 1)
	if code, out, _ := w.pull(t.Context(), into...); code != exitFail || out != "0 entries stored, 0 were there, 1 contradict them\n" {
		t.Errorf("status %d, %s", code, out)
	}
}

// Where a chain stands is known after a restart: a hub that leaves an entry out is found out.
func TestIntoChecksAcrossRestarts(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	into := []string{"-into", address}
	if code, _, errs := w.pull(t.Context(), into...); code != exitOK {
		t.Fatal(errs)
	}
	w.send(t, 1)
	w.send(t, 1)
	honest := w.handler
	w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		page := httptest.NewRecorder()
		r.Header.Del("Accept-Encoding")
		honest.ServeHTTP(page, r)
		text := page.Body.String()
		if r.URL.Path == wire.PathLog {
			_, text, _ = strings.Cut(text, "\n")
		}
		fmt.Fprint(out, text)
	}))
	if code, _, errs := w.pull(t.Context(), into...); code != exitFail || !strings.Contains(errs, "entry 5 does not follow entry 3") {
		t.Errorf("status %d, %s", code, errs)
	}
	w.serve(honest)
	if code, _, errs := w.pull(t.Context(), into...); code != exitOK || ask(t, db, seqs) != "5 5 1 5" {
		t.Errorf("the honest hub: status %d, %s", code, errs)
	}
}

// A hub that has trimmed its log sends us to what is left of it.
func TestIntoTrimmedLog(t *testing.T) {
	_, address, db := newPostgres(t)
	w := newPullWorld(t)
	if code, _, errs := w.pull(t.Context(), "-into", address); code != exitOK {
		t.Fatal(errs)
	}
	honest, start, said := w.handler, w.hub.Epoch()+".0.0", false
	w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathLog && !said {
			said = true
			wire.Problem{Type: wire.ProblemCursor, Title: "gone", Status: http.StatusGone, Start: start}.Write(out)
			return
		}
		honest.ServeHTTP(out, r)
	}))
	code, out, errs := w.pull(t.Context(), "-into", address)
	if code != exitOK || !strings.Contains(errs, "no longer has what comes behind the cursor") || !strings.HasPrefix(out, "0 entries stored, 3 were there") {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path == wire.PathLog {
			wire.Problem{Type: wire.ProblemCursor, Title: "gone", Status: http.StatusGone, Start: start}.Write(out)
			return
		}
		honest.ServeHTTP(out, r)
	}))
	if code, _, errs := w.pull(t.Context(), "-into", address); code != exitFail || !strings.Contains(errs, "gone (410)") {
		t.Errorf("a hub that has no start: status %d, %s", code, errs)
	}
	if got := ask(t, db, seqs); got != "3 3 1 3" {
		t.Errorf("entries: %s", got)
	}
}

func TestIntoFails(t *testing.T) {
	p, address, db := newPostgres(t)
	w := newPullWorld(t)
	wrong := strings.Replace(address, "@", "x@", 1)
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no such scheme", []string{"-into", "mysql://u:" + secretWord + "@h/d"}, exitUsage, "begins with postgres://"},
		{"no address", []string{"-into", "postgres://u:" + secretWord + "@[::/d"}, exitFail, "-into is no address"},
		{"no port", []string{"-into", "postgres://u:" + url.QueryEscape(secretWord) + "@h:port/d"}, exitFail, "-into is no address"},
		{"after", []string{"-into", address, "-after", "a.1.1"}, exitUsage, "-after does not go with -into"},
		{"consumer", []string{"-into", address, "-consumer", "Ministry"}, exitUsage, "1 to 40 of a-z"},
		{"consumer alone", []string{"-consumer", "ministry"}, exitUsage, "-consumer goes with -into"},
		{"wrong password", []string{"-into", wrong}, exitFail, "password authentication failed"},
		{"wrong password, following", []string{"-into", wrong, "-follow"}, exitFail, "password authentication failed"},
		{"no database", []string{"-into", p.address("none")}, exitFail, `database "none" does not exist`},
		{"nobody there", []string{"-into", "postgres://u:" + url.QueryEscape(secretWord) + "@/d?host=" + t.TempDir()}, exitFail, "no such file"},
		{"no hub", []string{"-into", address, "-hub", "https://127.0.0.1:1"}, exitFail, "hub not reached"},
		{"no key of the device", []string{"-into", address, "-devices", t.TempDir()}, exitFail, "no key of this device"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, out, errs := w.pull(t.Context(), c.args...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("status %d, %q, want %d, %q", code, errs, c.code, c.says)
			}
			for _, secret := range []string{secretWord, url.QueryEscape(secretWord), url.PathEscape(secretWord), "kein"} {
				if strings.Contains(out+errs, secret) {
					t.Errorf("the password is shown: %s%s", out, errs)
				}
			}
		})
	}
	if got := ask(t, db, "SELECT count(*) FROM gatepost_entry"); got != "0" {
		t.Errorf("%s entries were stored unproved", got)
	}
	_, err := db.Exec(t.Context(), "UPDATE gatepost_schema SET version = 2")
	fatal(t, err)
	if code, _, errs := w.pull(t.Context(), "-into", address, "-follow"); code != exitFail || !strings.Contains(errs, "of version 2, this gatectl knows 1") {
		t.Errorf("tables of a later version: status %d, %s", code, errs)
	}
}
