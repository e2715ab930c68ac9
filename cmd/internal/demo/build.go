package demo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
)

// A builder brings the programs: from the tree when there is one, else from beside this program.
type builder struct {
	tree string // the module's root, or empty
	bin  string // where the programs are put, or lie already
}

// findBuilder looks for the module above the working folder.
func findBuilder(bin string) (builder, error) {
	dir, err := os.Getwd()
	if err != nil {
		return builder{}, err
	}
	for ; ; dir = filepath.Dir(dir) {
		mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && bytes.HasPrefix(mod, []byte("module gatepost\n")) {
			return builder{dir, bin}, os.MkdirAll(bin, 0o755)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	self, err := os.Executable()
	if err != nil {
		return builder{}, err
	}
	b := builder{bin: filepath.Dir(self)}
	for _, name := range []string{"gatekiosk", "gatehub"} {
		if _, err := os.Stat(b.path(name)); err != nil {
			return b, errors.New("the demo needs gatepost's source tree, or gatekiosk and gatehub beside gatectl")
		}
	}
	return b, nil
}

func (b builder) path(name string) string { return filepath.Join(b.bin, name) }

// Build compiles ./cmd/NAME of the module at tree into bin, as it ships.
func Build(ctx context.Context, tree, bin, name string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	return builder{tree, bin}.build(ctx, name)
}

// build compiles a program, unless it is there already.
func (b builder) build(ctx context.Context, name string) error {
	if b.tree == "" {
		return nil
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-o", b.path(name), "./cmd/"+name)
	cmd.Dir = b.tree
	// Its compilers end with it, and what they leave behind goes with the run's folder.
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "TMPDIR="+b.bin, "GOTMPDIR="+b.bin)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", name, err, out)
	}
	return nil
}
