// Bench-herd measures how long a hub takes to let in gates that all come at the same moment, beside what it can do
// when they come one after the other: a real gatehub in a process of its own, and real TLS 1.3 clients on loopback
// that behave as sync/uplink does. Then it computes a herd that is too large for one machine, with the model's
// prediction for a herd that was measured beside it.
//
// Hub and clients share the machine, so its rates are lower than those of a hub that has it to itself, but the ratio
// holds. Loopback has no distance, and no line here is slow. Clients speak through sync/uplink's transport and wait by its
// rule. A try that is turned away before TLS, or with a Retry-After, and comes again later is no failure: that is how a hub
// says "not yet". Any other end of a try is one, and so is a kiosk that is not in when the time is over.
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
	"strconv"
	"syscall"
	"time"

	"gatepost/cmd/internal/bench/report"
)

// A plan says how much is measured.
type plan struct {
	n      int // kiosks of the herd before the hub as it ships
	nation int // kiosks of the herd that is computed; an eighth of them meet a hub of an eighth the size
	loops  int // kiosks at a time where they come one after the other
	rounds int
	limit  time.Duration // for one herd
	say    func(format string, a ...any)
}

const (
	shipped = 8192 // the hub's queue, see hub.DoorOptions
	scale   = 8
	small   = shipped / scale
	shakes  = 256 // handshakes that the hub has under way at most
)

func main() {
	dir := flag.String("dir", os.TempDir(), "`folder` on a disk; all happens in a new folder in it")
	page := flag.String("update", "", "put the result into this Markdown `file`")
	date := flag.String("date", time.Now().UTC().Format(time.DateOnly), "the day that the report names")
	n := flag.Int("n", 2000, "kiosks that come at the same moment")
	rounds := flag.Int("rounds", 3, "how often; the report shows all, and names the median")
	nation := flag.Int("nation", 38_181, "kiosks of the herd that is computed, 0 = none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	p := plan{n: *n, nation: *nation, loops: 128, rounds: *rounds, limit: 5 * time.Minute, say: say}
	err := p.report(ctx, *dir, *page, *date)
	stop()
	if err != nil {
		say("bench-herd: %v", err)
		os.Exit(1)
	}
}

func say(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }

// report measures and writes what came out.
func (p plan) report(ctx context.Context, dir, page, date string) error {
	if err := p.room(); err != nil {
		return err
	}
	work, err := os.MkdirTemp(dir, "bench-herd-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	binary, err := build(ctx, work)
	if err != nil {
		return err
	}
	var all []result
	for i := range p.rounds {
		p.say("round %d of %d", i+1, p.rounds)
		r, err := p.round(ctx, binary, filepath.Join(work, strconv.Itoa(i)))
		if err != nil {
			return err
		}
		all = append(all, r)
	}
	text := paper{fmt.Sprintf("%d CPUs (%s), %s", runtime.NumCPU(), runtime.GOARCH, runtime.Version()), date, p, all}.section()
	fmt.Print(text)
	if page != "" {
		if err := report.Update(page, "bench-herd", text); err != nil {
			return err
		}
	}
	return verdict(all)
}

// room checks that this process may open as many sockets as the herds need. The language's start has raised the limit
// as far as it goes.
func (p plan) room() error {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil {
		return err
	}
	if need := uint64(max(p.n, p.nation/scale) + 500); l.Cur < need {
		return fmt.Errorf("%d files may be open, %d are needed: raise the hard limit (ulimit -Hn)", l.Cur, need)
	}
	return nil
}

// verdict is an error when a kiosk did not come in or an entry is not in the log exactly once.
func verdict(all []result) error {
	var err error
	for _, r := range all {
		for _, h := range []herd{r.shipped, r.small} {
			if h.in != h.n || h.faults > 0 || h.missing > 0 || h.doubled > 0 {
				err = errors.Join(err, fmt.Errorf("of %d kiosks %d came in, %d tries failed (%w), %d entries are missing and %d doubled", h.n, h.in, h.faults, h.fault, h.missing, h.doubled))
			}
		}
	}
	return err
}
