package proof

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// A Mutation is a bug to plant: in File, Old becomes New. The tests of at least one of the packages that Pkgs names
// must fail with it.
type Mutation struct {
	Name, File string
	Old, New   string
	Pkgs       []string // as "./storage/journal"
	Run        string   // the tests that are run, as of go test -run; empty: all
}

// atOnce is how many bugs are hunted at once: the tests that catch them wait more than they work.
const atOnce = 2

// Mutate plants every bug of the list, each in an overlay of its own: the tree itself is never touched.
func (r *Run) Mutate(ctx context.Context, list []Mutation) (t Tally, err error) {
	if err := r.controls(ctx, list); err != nil {
		return t, err
	}
	var mu sync.Mutex // guards t
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for i, m := range list {
		g.Go(func() error {
			dir := filepath.Join(r.Work, fmt.Sprintf("mutant-%d", i))
			overlay, err := m.Plant(r.Root, dir)
			if err != nil {
				return err
			}
			caught, how, err := r.hunt(ctx, m, dir, overlay)
			if err != nil {
				return fmt.Errorf("mutant %q: %w", m.Name, err)
			}
			mu.Lock()
			defer mu.Unlock()
			t.Mutants++
			if caught {
				t.Caught++
				r.Say("caught: %s (%s)", m.Name, how)
			} else {
				r.Say("✗ NOT CAUGHT: %s", m.Name)
			}
			return nil
		})
	}
	err = g.Wait()
	return t, err
}

// Plant writes the mutated file and the overlay that puts it in the place of the real one, and returns the overlay.
func (m Mutation) Plant(root, dir string) (overlay string, err error) {
	real := filepath.Join(root, m.File)
	text, err := os.ReadFile(real)
	if err != nil {
		return "", err
	}
	if n := strings.Count(string(text), m.Old); n != 1 {
		return "", fmt.Errorf("mutant does not fit the code any more: %s (its old text stands %d times in %s)", m.Name, n, m.File)
	}
	mutated := filepath.Join(dir, filepath.Base(m.File))
	overlay = filepath.Join(dir, "overlay.json")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{real: mutated}})
	return overlay, errors.Join(err,
		os.MkdirAll(dir, 0o755),
		os.WriteFile(mutated, []byte(strings.Replace(string(text), m.Old, m.New, 1)), 0o644),
		os.WriteFile(overlay, list, 0o644))
}

// controls runs the tests of the list without its bugs, in the same way: they must pass, or their failing would catch
// nothing.
func (r *Run) controls(ctx context.Context, list []Mutation) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	known := map[string]bool{}
	for _, m := range list {
		for _, pkg := range m.Pkgs {
			key := pkg + " " + m.Run
			if known[key] {
				continue
			}
			known[key] = true
			dir := filepath.Join(r.Work, fmt.Sprintf("sound-%d", len(known)))
			g.Go(func() error {
				if err := os.MkdirAll(dir, 0o755); err != nil {
					return err
				}
				failed, how, err := r.test(ctx, dir, "", pkg, m.Run)
				if err == nil && failed {
					err = fmt.Errorf("the tests of %s fail without any mutant: %s", pkg, how)
				}
				return err
			})
		}
	}
	return g.Wait()
}

// hunt runs the tests with m planted, until some fail.
func (r *Run) hunt(ctx context.Context, m Mutation, dir, overlay string) (caught bool, how string, err error) {
	for _, pkg := range m.Pkgs {
		if caught, how, err = r.test(ctx, dir, overlay, pkg, m.Run); caught || err != nil {
			return caught, how, err
		}
	}
	return false, "", nil
}

// test compiles the tests of pkg with the overlay, which must succeed, and runs them. How tells what failed.
func (r *Run) test(ctx context.Context, dir, overlay, pkg, run string) (failed bool, how string, err error) {
	program := filepath.Join(dir, "tests")
	args := []string{"test", "-c", "-vet=off", "-o", program}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	build := exec.CommandContext(ctx, "go", append(args, pkg)...)
	build.Dir = r.Root
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	OwnGroup(build)
	if out, err := build.CombinedOutput(); err != nil {
		return false, "", fmt.Errorf("it does not compile: %w\n%s", err, out)
	}
	if run == "" {
		run = "."
	}
	tests := exec.CommandContext(ctx, program, "-test.count=1", "-test.failfast", "-test.timeout=5m", "-test.run="+run)
	tests.Dir = filepath.Join(r.Root, pkg)
	tests.Env = append(os.Environ(), "TMPDIR="+dir)
	if overlay != "" { // for the programs that the tests build
		tests.Env = append(tests.Env, "GOFLAGS="+os.Getenv("GOFLAGS")+" -overlay="+overlay)
	}
	OwnGroup(tests)
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

var failure = regexp.MustCompile(`(?m)^\s*--- FAIL: (\S+).*(?:\n\s+(\S.*))?|^(panic: .*)|^(fatal error: .*)`)

// reason returns what out says of the last failure: a test inside another one is told behind it.
func reason(out []byte) string {
	all := failure.FindAllSubmatch(out, -1)
	if len(all) == 0 {
		return strings.TrimSpace(string(out[max(0, len(out)-200):]))
	}
	text := string(bytes.Join(all[len(all)-1][1:], []byte(" ")))
	return strings.TrimSpace(text[:min(len(text), 200)])
}
