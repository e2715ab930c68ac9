package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"

	"gatepost/cmd/internal/prove/proof"
)

// damage breaks journals in every way in which a card does. The journal's own test does the breaking and the judging, for
// it knows every page; that it can fail is proved by the planted bugs, which it has to catch.
func damage(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	n := p.Scaled(40, 600)
	program := filepath.Join(p.Work, "damage.test")
	build := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-o", program, "./storage/journal")
	build.Dir = p.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	proof.OwnGroup(build)
	if out, err := build.CombinedOutput(); err != nil {
		return t, fmt.Errorf("build the journal's tests: %w\n%s", err, out)
	}
	tests := exec.CommandContext(ctx, program, "-test.run=^(TestDamage|TestAimedDamage|TestMissingFiles|TestDamageWhileRunning)$",
		"-damaged="+strconv.Itoa(n), "-seed="+strconv.FormatUint(p.Seed, 10))
	tests.Dir = filepath.Join(p.Root, "storage/journal")
	tests.Env = append(os.Environ(), "TMPDIR="+p.Work)
	proof.OwnGroup(tests)
	out, failed := tests.CombinedOutput()
	found := damagedLine.FindSubmatch(out)
	if found != nil {
		t.Damaged, _ = strconv.Atoi(string(found[1]))
		p.Say("%s", found[0])
	}
	switch {
	case ctx.Err() != nil:
		return t, ctx.Err()
	case failed != nil:
		t.Unnoticed++
		p.Say("✗ %s", out)
	case t.Damaged != n:
		return t, fmt.Errorf("%d of %d journals were damaged:\n%s", t.Damaged, n, out)
	}
	return t, nil
}

var damagedLine = regexp.MustCompile(`damaged=(\d+) repaired=\d+ entries-lost=\d+`)
