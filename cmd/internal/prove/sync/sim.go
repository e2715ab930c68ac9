package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"gatepost/cmd/internal/prove/proof"
)

const simSeeds = 10_000

var simLine = regexp.MustCompile(`(?m)sim: seeds=(\d+) mutants=(\d+)/(\d+) lost=(\d+) doubled=(\d+)`)

// sim runs the simulation of the protocol, whose short form is a test of its own.
func sim(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	if p.N == 0 {
		return t, nil
	}
	program := filepath.Join(p.Work, "sim.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-o", program, "./sync/sim")
	build.Dir = p.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	proof.OwnGroup(build)
	if out, err := build.CombinedOutput(); err != nil {
		return t, fmt.Errorf("build the simulation: %w\n%s", err, out)
	}
	seeds := p.N * simSeeds
	tests := exec.CommandContext(ctx, program, "-test.v", "-test.timeout=30m", "-test.run=^TestSeeds$", "-seeds", strconv.Itoa(seeds))
	tests.Dir = filepath.Join(p.Root, "sync/sim")
	proof.OwnGroup(tests)
	out, failed := tests.CombinedOutput()
	if t, err = simulated(out); err != nil {
		return t, fmt.Errorf("%w:\n%s", err, out)
	}
	if failed != nil {
		return t, fmt.Errorf("simulation: %w\n%s", failed, out)
	}
	if t.Seeds < seeds {
		return t, fmt.Errorf("only %d of %d seeds were simulated", t.Seeds, seeds)
	}
	return t, nil
}

// simulated reads what the simulation says that it counted.
func simulated(out []byte) (t proof.Tally, err error) {
	m := simLine.FindSubmatch(out)
	if m == nil {
		return t, errors.New("the simulation says nothing of its seeds")
	}
	for i, n := range []*int{&t.Seeds, &t.Caught, &t.Mutants, &t.Lost, &t.Doubled} {
		if *n, err = strconv.Atoi(string(m[i+1])); err != nil {
			return t, err
		}
	}
	return t, nil
}
