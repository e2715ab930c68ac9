// Prove tries to make the journal lose an entry that it acknowledged, keep one twice, or not notice damage. Nothing in
// it is a stand-in where the real thing can be had: the real programs are killed, real system calls fail, a real file
// system loses its power. A proof must be able to fail, so every part has a control, and planted bugs must be caught.
//
//	prove [-n N] [-seed N] [part…]
//
// It ends with status 0 when everything holds, 1 when something does not or could not be proved, 2 on wrong words.
// It does not promise anything of disks that lie about what they have written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatepost/cmd/internal/demo"
)

// A tally is what a part of the proof counted.
type tally struct {
	Cuts, Kills, Damaged, Mutants, Caught, Lost, Doubled, Unnoticed int
}

func (t tally) String() string {
	return fmt.Sprintf("prove: cuts=%d kills=%d damaged=%d mutants=%d/%d lost=%d doubled=%d unnoticed=%d",
		t.Cuts, t.Kills, t.Damaged, t.Caught, t.Mutants, t.Lost, t.Doubled, t.Unnoticed)
}

func (t *tally) add(o tally) {
	t.Cuts += o.Cuts
	t.Kills += o.Kills
	t.Damaged += o.Damaged
	t.Mutants += o.Mutants
	t.Caught += o.Caught
	t.Lost += o.Lost
	t.Doubled += o.Doubled
	t.Unnoticed += o.Unnoticed
}

// holds reports whether nothing was lost, doubled or overlooked.
func (t tally) holds() bool {
	return t.Lost == 0 && t.Doubled == 0 && t.Unnoticed == 0 && t.Caught == t.Mutants
}

// A proof is what every part is given.
type proof struct {
	root string                        // of the repository
	work string                        // a folder for this run, removed at its end
	n    int                           // scale: 1 is the full proof, 0 the short form that tests run
	seed uint64                        // told at the start
	say  func(format string, a ...any) // progress, one line
}

// A part of the proof returns an error when its own control fails or when it could not do what it is for.
type part struct {
	name, about string
	run         func(context.Context, *proof) (tally, error)
}

func parts() []part {
	return []part{
		{"kill", "SIGKILL of the real gatekiosk at random moments, its hub beside it", kill},
		{"fault", "an error at each system call of an append, a rotation, a receipt and a deletion", fault},
		{"damage", "broken pages, sectors and bits in the files of a journal", damage},
		{"cut", "power cuts, live and replayed, of a machine and its disk", cut},
		{"mutant", "planted bugs, which the tests must catch", mutant},
	}
}

func main() {
	if dir := os.Getenv(childVar); dir != "" {
		os.Exit(child(dir))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, parts(), os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// The exit statuses.
const (
	holds = 0
	fails = 1
	usage = 2
)

// run does the parts that args name, all of them when they name none, and returns the exit status.
func run(ctx context.Context, all []part, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("prove", flag.ContinueOnError)
	flags.SetOutput(errs)
	n := flags.Int("n", 1, "scale: 1 is the full proof, 2 twice as much, 0 takes seconds")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	keep := flags.Bool("keep", false, "leave the run's folder")
	flags.Usage = func() {
		fmt.Fprintln(flags.Output(), "usage: prove [flags] [part…]")
		for _, p := range all {
			fmt.Fprintf(flags.Output(), "  %-8s %s\n", p.name, p.about)
		}
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return holds
	case err != nil:
		return usage
	}
	chosen, err := choose(all, flags.Args())
	if err == nil && *n < 0 {
		err = fmt.Errorf("no proof has scale %d", *n)
	}
	if err != nil {
		fmt.Fprintln(errs, "prove:", err)
		return usage
	}
	p, err := newProof(*n, *seed, out)
	if err != nil {
		fmt.Fprintln(errs, "prove:", err)
		return fails
	}
	if *keep {
		p.say("the run's folder stays: %s", p.work)
	} else {
		defer os.RemoveAll(p.work)
	}
	return p.all(ctx, chosen, out, errs)
}

// choose returns the parts of those names, in their own order.
func choose(all []part, names []string) (chosen []part, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p part) bool { return p.name == name }) {
			return nil, fmt.Errorf("no part %q", name)
		}
	}
	for _, p := range all {
		if len(names) == 0 || slices.Contains(names, p.name) {
			chosen = append(chosen, p)
		}
	}
	return chosen, nil
}

func newProof(n int, seed uint64, out io.Writer) (*proof, error) {
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		return nil, fmt.Errorf("find the source tree: %w", err)
	}
	work, err := os.MkdirTemp("", "gatepost-prove-")
	if err == nil {
		err = os.Chmod(work, 0o755) // for tests that become another user
	}
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	began := time.Now()
	return &proof{root: strings.TrimSpace(string(root)), work: work, n: n, seed: seed, say: func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%7.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, a...))
	}}, nil
}

// all does the parts, prints the last line and returns the exit status. A part that cannot be done does not keep
// the others from being done.
func (p *proof) all(ctx context.Context, chosen []part, out, errs io.Writer) int {
	p.say("seed %d, scale %d", p.seed, p.n)
	var sum tally
	var failed []error
	for _, part := range chosen {
		p.say("%s: %s", part.name, part.about)
		began := time.Now()
		t, err := part.run(ctx, p)
		sum.add(t)
		if ctx.Err() != nil {
			failed = append(failed, fmt.Errorf("%s was broken off: %w", part.name, ctx.Err()))
			break
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", part.name, err))
			p.say("✗ %s: %v", part.name, err)
			continue
		}
		p.say("%s ends after %v: %v", part.name, time.Since(began).Round(100*time.Millisecond), t)
	}
	for _, err := range failed {
		fmt.Fprintln(errs, "prove:", err)
	}
	fmt.Fprintln(out, sum)
	if len(failed) > 0 || !sum.holds() {
		return fails
	}
	return holds
}

// random returns the part's own source of what is random.
func (p *proof) random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(p.seed, part)) }

// scaled returns how often something is done: full times n, or short for n = 0.
func (p *proof) scaled(short, full int) int {
	if p.n == 0 {
		return short
	}
	return p.n * full
}

// program builds ./cmd/NAME once and returns its path. It is built as it ships, without the race detector.
func (p *proof) program(ctx context.Context, name string) (string, error) {
	bin := filepath.Join(p.work, "bin")
	path := filepath.Join(bin, name)
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, demo.Build(ctx, p.root, bin, name)
}

// tool returns the path of a program of the system. As root on Debian it installs what is missing.
func (p *proof) tool(ctx context.Context, name, debian string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	apt, aptErr := exec.LookPath("apt-get")
	if aptErr != nil || os.Getuid() != 0 {
		return "", fmt.Errorf("%w; on Debian: apt-get install %s", err, debian)
	}
	p.say("installing %s", debian)
	for _, args := range [][]string{{"-q", "update"}, {"-o", "DPkg::Lock::Timeout=600", "-qq", "install", "-y", "--no-install-recommends", debian}} {
		cmd := exec.CommandContext(ctx, apt, args...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		var out []byte
		if out, aptErr = cmd.CombinedOutput(); aptErr != nil {
			aptErr = fmt.Errorf("apt-get install %s: %w: %s", debian, aptErr, out) // a stale index may still do
		}
	}
	if aptErr != nil {
		return "", aptErr
	}
	return exec.LookPath(name)
}
