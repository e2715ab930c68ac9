package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
)

// A mutation is a bug to plant: in file, old becomes new. The tests of at least one of the packages that run names
// must fail with it.
type mutation struct {
	name, file string
	old, new   string
	pkgs       []string // as "./storage/journal"
	run        string   // the tests that are run, as of go test -run; empty: all
}

// mutant plants every bug of the list, one at a time, in an overlay: the tree itself is never touched.
func mutant(ctx context.Context, p *proof) (tally, error) { return p.mutate(ctx, mutations) }

func (p *proof) mutate(ctx context.Context, list []mutation) (t tally, err error) {
	sound := map[string]bool{}
	for i, m := range list {
		dir := filepath.Join(p.work, fmt.Sprintf("mutant-%d", i))
		overlay, err := m.plant(p.root, dir)
		if err != nil {
			return t, err
		}
		if err := p.control(ctx, m, sound); err != nil {
			return t, err
		}
		t.Mutants++
		caught, how, err := p.hunt(ctx, m, dir, overlay)
		switch {
		case err != nil:
			return t, fmt.Errorf("mutant %q: %w", m.name, err)
		case caught:
			t.Caught++
			p.say("caught: %s (%s)", m.name, how)
		default:
			p.say("✗ NOT CAUGHT: %s", m.name)
		}
	}
	return t, nil
}

// plant writes the mutated file and the overlay that puts it in the place of the real one, and returns the overlay.
func (m mutation) plant(root, dir string) (overlay string, err error) {
	real := filepath.Join(root, m.file)
	text, err := os.ReadFile(real)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.old); n != 1 {
		return "", fmt.Errorf("mutant does not fit the code any more: %s (its old text stands %d times in %s)", m.name, n, m.file)
	}
	mutated := filepath.Join(dir, filepath.Base(m.file))
	overlay = filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{real: mutated}})
	return overlay, errors.Join(err,
		os.MkdirAll(dir, 0o755),
		os.WriteFile(mutated, []byte(strings.Replace(string(text), m.old, m.new, 1)), 0o644),
		os.WriteFile(overlay, list, 0o644))
}

// control runs the tests of m without it, unless that was done for another one: they must pass, or their failing
// would catch nothing.
func (p *proof) control(ctx context.Context, m mutation, sound map[string]bool) error {
	for _, pkg := range m.pkgs {
		key := pkg + " " + m.run
		if sound[key] {
			continue
		}
		dir := filepath.Join(p.work, "sound")
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		failed, how, err := p.test(ctx, dir, "", pkg, m.run)
		if err == nil && failed {
			err = fmt.Errorf("the tests of %s fail without any mutant: %s", pkg, how)
		}
		if err != nil {
			return err
		}
		sound[key] = true
	}
	return nil
}

// hunt runs the tests with m planted, until some fail.
func (p *proof) hunt(ctx context.Context, m mutation, dir, overlay string) (caught bool, how string, err error) {
	for _, pkg := range m.pkgs {
		if caught, how, err = p.test(ctx, dir, overlay, pkg, m.run); caught || err != nil {
			return caught, how, err
		}
	}
	return false, "", nil
}

// test compiles the tests of pkg with the overlay, which must succeed, and runs them. How tells what failed.
func (p *proof) test(ctx context.Context, dir, overlay, pkg, run string) (failed bool, how string, err error) {
	program := filepath.Join(dir, "tests")
	args := []string{"test", "-c", "-vet=off", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, pkg)...)
	build.Dir = p.root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	ownGroup(build)
	if out, err := build.CombinedOutput(); err != nil {
		return false, "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	if run == "" {
		run = "."
	}
	tests := exec.CommandContext(ctx, program, "-test.count=1", "-test.failfast", "-test.timeout=5m", "-test.run="+run)
	tests.Dir = filepath.Join(p.root, pkg)
	tests.Env = append(os.Environ(), "TMPDIR="+dir)
	ownGroup(tests)
	out, err := tests.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case errors.As(err, &exit):
		return true, reason(out), nil
	}
	return false, "", err
}

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+)|^panic: (.*)|^(fatal error: .*)`)

// reason returns what out says of the first failure.
func reason(out []byte) string {
	if m := failure.FindSubmatch(out); m != nil {
		return string(m[1]) + string(m[2]) + string(m[3])
	}
	return strings.TrimSpace(string(out[max(0, len(out)-200):]))
}

// ownGroup lets cmd and all that it starts end with its context, and not with Ctrl-C before that.
func ownGroup(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}
