package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"gatepost/cmd/internal/prove/proof"

	"golang.org/x/sync/errgroup"
)

const (
	simSeeds   = 10_000
	simHunt    = 500 // seeds within which each planted bug must be found
	simProcess = 2   // that play at once: one process has one seed at a time
)

var (
	simLine   = regexp.MustCompile(`(?m)^sim: seeds=(\d+) lost=(\d+) doubled=(\d+)`)
	simPlayed = regexp.MustCompile(`played \d+ seeds from \d+ on`)
	simFail   = regexp.MustCompile(`seed \d+: .*`)
)

// sim plays the simulation of the protocol, and then again with each of its planted bugs. Its short form is a test of its own.
func sim(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	if p.N == 0 {
		return t, nil
	}
	t, found, err := play(ctx, p, filepath.Join(p.Work, "sim"), "", p.N*simSeeds)
	if err == nil && found != "" {
		err = errors.New(found)
	}
	if err != nil {
		return t, fmt.Errorf("simulation: %w", err)
	}
	bugs, err := simHunts(ctx, p, simMutations)
	t.Add(bugs)
	return t, err
}

// simHunts plants each bug in an overlay and looks for it by simulation.
func simHunts(ctx context.Context, p *proof.Run, list []proof.Mutation) (t proof.Tally, err error) {
	for i, m := range list {
		dir := filepath.Join(p.Work, fmt.Sprintf("sim-mutant-%d", i))
		overlay, err := m.Plant(p.Root, dir)
		if err != nil {
			return t, err
		}
		_, found, err := play(ctx, p, dir, overlay, simHunt)
		if err != nil {
			return t, fmt.Errorf("mutant %q: %w", m.Name, err)
		}
		t.Mutants++
		if found == "" {
			p.Say("✗ NOT CAUGHT within %d seeds: %s", simHunt, m.Name)
			continue
		}
		t.Caught++
		p.Say("caught: %s (%s)", m.Name, simFail.FindString(found))
	}
	return t, nil
}

// play builds the simulation, with an overlay if there is one, and plays seeds from 1 on in several processes. Found is what a
// seed that fails says.
func play(ctx context.Context, p *proof.Run, dir, overlay string, seeds int) (t proof.Tally, found string, err error) {
	program := filepath.Join(dir, "sim.test")
	args := []string{"test", "-c", "-vet=off", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, "./sync/sim")...)
	build.Dir = p.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	proof.OwnGroup(build)
	if out, err := build.CombinedOutput(); err != nil {
		return t, "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	each := (seeds + simProcess - 1) / simProcess
	tallies := make([]proof.Tally, simProcess)
	g, first := errgroup.WithContext(ctx) // ends with the first seed that fails
	for i := range simProcess {
		g.Go(func() (err error) {
			tallies[i], err = playFrom(first, p, program, 1+i*each, each)
			return err
		})
	}
	err = g.Wait()
	if f := failed(""); errors.As(err, &f) && ctx.Err() == nil {
		return t, string(f), nil
	}
	for _, one := range tallies {
		t.Add(one)
	}
	return t, "", err
}

// failed is what a seed that fails says.
type failed string

func (f failed) Error() string { return string(f) }

// playFrom plays n seeds in a process of its own.
func playFrom(ctx context.Context, p *proof.Run, program string, from, n int) (t proof.Tally, err error) {
	tests := exec.CommandContext(ctx, program, "-test.timeout=60m", "-test.run=^TestSeeds$", "-from", strconv.Itoa(from), "-seeds", strconv.Itoa(n))
	tests.Dir = filepath.Join(p.Root, "sync/sim")
	proof.OwnGroup(tests)
	var out bytes.Buffer
	said := io.MultiWriter(&out, progress{p})
	tests.Stdout, tests.Stderr = said, said // one writer: they would race for out
	if err := tests.Run(); err != nil {
		return t, failed(strings.TrimSpace(out.String()))
	}
	if t, err = simulated(out.Bytes()); err != nil {
		err = fmt.Errorf("%w:\n%s", err, out.Bytes())
	}
	return t, err
}

// progress hands on what a simulation says of how far it has come.
type progress struct{ *proof.Run }

func (p progress) Write(b []byte) (int, error) {
	if m := simPlayed.Find(b); m != nil {
		p.Say("sim: %s", m)
	}
	return len(b), nil
}

// simulated reads what a simulation says that it counted.
func simulated(out []byte) (t proof.Tally, err error) {
	m := simLine.FindSubmatch(out)
	if m == nil {
		return t, errors.New("the simulation says nothing of its seeds")
	}
	for i, n := range []*int{&t.Seeds, &t.Lost, &t.Doubled} {
		if *n, err = strconv.Atoi(string(m[i+1])); err != nil {
			return t, err
		}
	}
	return t, nil
}
