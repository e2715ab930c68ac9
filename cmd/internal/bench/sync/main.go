// Bench-sync measures what a hub takes in when the network is back, over the store that it ships with and over others: a
// store that forgets, PostgreSQL and single messages. Every hub runs in a process of its own; the kiosks are real TLS 1.3
// clients on loopback with batches that were signed before the clock starts. All stores take turns, so the ratios hold on
// a machine whose absolute times drift.
//
// It also measures the pull beside the bare check of what is pulled, the replay of the log into the view, and what
// one connection costs with other keys. Hubs and kiosks share the machine: a hub that has it to itself is faster.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/report"
)

// A plan says how much is measured.
type plan struct {
	scale    int      // every load has one kiosk, or one batch, of so many; 1: the real size
	rounds   int      // of each load; 0: as many as the load names
	pieces   int      // NATS an entry gets one of so many kiosks, since it would take hours
	loads    []string // names; none: all
	stores   []string // names; none: all
	connects int      // connections that are made for each kind of key
	say      func(format string, a ...any)
}

// A bench is where it all happens.
type bench struct {
	plan
	program string // this one, which is also the hub
	profile string // prefix of the hubs' CPU profiles, "" = none
	work    string
	pg      *cluster
	without error // why there is no PostgreSQL
}

func main() {
	dir := flag.String("dir", os.TempDir(), "`folder` on a disk; all happens in a new folder in it")
	page := flag.String("update", "", "put the result into this Markdown `file`")
	date := flag.String("date", time.Now().UTC().Format(time.DateOnly), "the day that the report names")
	scale := flag.Int("scale", 1, "measure one kiosk of so many, for a quick look")
	rounds := flag.Int("rounds", 0, "how often, 0 = as each load names it")
	loads := flag.String("loads", "", "only these loads, divided by commas: factory, a, a ahead, b, b kept, connect")
	some := flag.String("stores", "", "only these stores, divided by commas")
	profile := flag.String("profile", "", "write CPU profiles of the hubs to files whose names begin so")
	store := flag.String("child", "", "be the hub over this store, in the folder -dir")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *store != "" {
		exit(child{*store, *dir, *profile}.run(ctx, os.Stdin, os.Stdout))
	}
	b := &bench{profile: *profile, plan: plan{
		scale: max(1, *scale), rounds: *rounds, pieces: 64, loads: list(*loads), stores: list(*some), connects: 2000 / max(1, *scale), say: say,
	}}
	exit(b.report(ctx, *dir, *page, *date))
}

func list(s string) []string {
	return strings.FieldsFunc(s, func(r rune) bool { return r == ',' })
}

func exit(err error) {
	if err != nil {
		say("bench-sync: %v", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// report measures and writes what came out.
func (b *bench) report(ctx context.Context, dir, page, date string) (err error) {
	if b.program, err = os.Executable(); err != nil {
		return err
	}
	if b.work, err = os.MkdirTemp(dir, "bench-sync-"); err != nil {
		return err
	}
	defer os.RemoveAll(b.work)
	if err := os.Chmod(b.work, 0o711); err != nil { // the database runs as another user
		return err
	}
	if b.pg, b.without = startCluster(ctx, filepath.Join(b.work, "pg")); b.without == nil {
		defer func() { err = errors.Join(err, b.pg.stop()) }()
	}
	p := paper{where: fmt.Sprintf("%d CPUs (%s), %s", runtime.NumCPU(), runtime.GOARCH, runtime.Version()), date: date, plan: b.plan, without: b.without}
	if p.results, p.reads, err = b.measure(ctx); err != nil {
		return err
	}
	if p.connects, err = b.connect(ctx); err != nil {
		return err
	}
	text := p.section()
	fmt.Print(text)
	if page == "" {
		return nil
	}
	return report.Update(page, "bench-sync", text)
}

// database is the address of the cluster, if there is one.
func (b *bench) database() string {
	if b.pg == nil {
		return ""
	}
	return b.pg.address
}
