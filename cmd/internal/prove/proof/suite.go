// Package proof is what the long proofs have in common: parts that count, a scale, progress and a last line, and the
// planted bugs that a proof must catch.
//
// A proof must be able to fail: every part has a control, and what could not be proved counts as a failure.
package proof

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gatepost/cmd/internal/demo"
)

// A Tally is what a part of a proof counted.
type Tally struct {
	Seeds, Boots, Cuts, Updates, Kills, Damaged, Mutants, Caught, Lost, Doubled, Unnoticed int
}

// Add adds o to t.
func (t *Tally) Add(o Tally) {
	t.Seeds += o.Seeds
	t.Boots += o.Boots
	t.Cuts += o.Cuts
	t.Updates += o.Updates
	t.Kills += o.Kills
	t.Damaged += o.Damaged
	t.Mutants += o.Mutants
	t.Caught += o.Caught
	t.Lost += o.Lost
	t.Doubled += o.Doubled
	t.Unnoticed += o.Unnoticed
}

// Holds reports whether nothing was lost, doubled or overlooked.
func (t Tally) Holds() bool {
	return t.Lost == 0 && t.Doubled == 0 && t.Unnoticed == 0 && t.Caught == t.Mutants
}

// A Run is what every part is given.
type Run struct {
	Root string                        // of the repository
	Work string                        // a folder for this run, removed at its end
	N    int                           // scale: 1 is the full proof, 0 the short form that tests run
	Seed uint64                        // told at the start
	Say  func(format string, a ...any) // progress, one line

	building sync.Mutex // held by the one who builds a program
}

// A Part of a proof returns an error when its own control fails or when it could not do what it is for.
type Part struct {
	Name, About string
	Do          func(context.Context, *Run) (Tally, error)
}

// A Suite is a program that proves something, part by part.
type Suite struct {
	Name  string
	Parts []Part
	Last  func(Tally) string // the last line
}

// The exit statuses.
const (
	holds = 0
	fails = 1
	usage = 2
)

// Main does the parts that args name, all of them when they name none, and returns the exit status.
func (s Suite) Main(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet(s.Name, flag.ContinueOnError)
	flags.SetOutput(errs)
	n := flags.Int("n", 1, "scale: 1 is the full proof, 2 twice as much, 0 takes seconds")
	seed := flags.Uint64("seed", uint64(time.Now().UnixNano()), "of what is random")
	keep := flags.Bool("keep", false, "leave the run's folder")
	flags.Usage = func() {
		fmt.Fprintf(flags.Output(), "usage: %s [flags] [part…]\n", s.Name)
		for _, p := range s.Parts {
			fmt.Fprintf(flags.Output(), "  %-8s %s\n", p.Name, p.About)
		}
		flags.PrintDefaults()
	}
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return holds
	case err != nil:
		return usage
	}
	chosen, err := choose(s.Parts, flags.Args())
	if err == nil && *n < 0 {
		err = fmt.Errorf("no proof has scale %d", *n)
	}
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", s.Name, err)
		return usage
	}
	r, err := NewRun(*n, *seed, out)
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", s.Name, err)
		return fails
	}
	if *keep {
		r.Say("the run's folder stays: %s", r.Work)
	} else {
		defer os.RemoveAll(r.Work)
	}
	return s.all(ctx, r, chosen, out, errs)
}

// choose returns the parts of those names, in their own order.
func choose(all []Part, names []string) (chosen []Part, err error) {
	for _, name := range names {
		if !slices.ContainsFunc(all, func(p Part) bool { return p.Name == name }) {
			return nil, fmt.Errorf("no part %q", name)
		}
	}
	for _, p := range all {
		if len(names) == 0 || slices.Contains(names, p.Name) {
			chosen = append(chosen, p)
		}
	}
	return chosen, nil
}

// NewRun makes a run's folder, which the caller removes.
func NewRun(n int, seed uint64, out io.Writer) (*Run, error) {
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
	return &Run{Root: strings.TrimSpace(string(root)), Work: work, N: n, Seed: seed, Say: func(format string, a ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Fprintf(out, "%7.1fs  %s\n", time.Since(began).Seconds(), fmt.Sprintf(format, a...))
	}}, nil
}

// all does the parts, prints the last line and returns the exit status. A part that cannot be done does not keep
// the others from being done.
func (s Suite) all(ctx context.Context, r *Run, chosen []Part, out, errs io.Writer) int {
	r.Say("seed %d, scale %d", r.Seed, r.N)
	var sum Tally
	var failed []error
	for _, part := range chosen {
		r.Say("%s: %s", part.Name, part.About)
		began := time.Now()
		t, err := part.Do(ctx, r)
		sum.Add(t)
		if ctx.Err() != nil {
			failed = append(failed, fmt.Errorf("%s was broken off: %w", part.Name, ctx.Err()))
			break
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", part.Name, err))
			r.Say("✗ %s: %v", part.Name, err)
			continue
		}
		r.Say("%s ends after %v: %s", part.Name, time.Since(began).Round(100*time.Millisecond), s.Last(t))
	}
	for _, err := range failed {
		fmt.Fprintf(errs, "%s: %v\n", s.Name, err)
	}
	fmt.Fprintln(out, s.Last(sum))
	if len(failed) > 0 || !sum.Holds() {
		return fails
	}
	return holds
}

// Random returns a part's own source of what is random.
func (r *Run) Random(part uint64) *rand.Rand { return rand.New(rand.NewPCG(r.Seed, part)) }

// Scaled returns how often something is done: full times N, or short for N = 0.
func (r *Run) Scaled(short, full int) int {
	if r.N == 0 {
		return short
	}
	return r.N * full
}

// Program builds ./cmd/NAME once and returns its path. It is built as it ships, without the race detector.
func (r *Run) Program(ctx context.Context, name string) (string, error) {
	bin := filepath.Join(r.Work, "bin")
	path := filepath.Join(bin, name)
	r.building.Lock()
	defer r.building.Unlock()
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	return path, demo.Build(ctx, r.Root, bin, name)
}

// OwnGroup lets cmd and all that it starts end with its context, and not with Ctrl-C before that.
func OwnGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
