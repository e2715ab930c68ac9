package journal

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// Some tests need a process of their own, to kill it, to limit it or to break its system calls: this
// test binary again, with the name of one of these in its environment. Each returns the words it ends with.
var children = map[string]func(t child, dir string) error{
	"append":   childAppend,
	"limit":    childLimit,
	"full":     childFull,
	"readonly": childReadOnly,
	"sync":     childSync,
}

const childVar = "GATEPOST_JOURNAL_CHILD"

func TestMain(m *testing.M) {
	name, dir, _ := strings.Cut(os.Getenv(childVar), ":")
	if name == "" {
		os.Exit(m.Run())
	}
	if err := children[name](child{}, dir); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// command prepares a child that works in dir.
func command(name, dir string) *exec.Cmd {
	c := exec.Command(os.Args[0])
	c.Env = append(os.Environ(), childVar+"="+name+":"+dir)
	c.Stderr = os.Stderr
	return c
}

// runChild runs a child to its end.
func runChild(t *testing.T, name, dir string) {
	t.Helper()
	if out, err := command(name, dir).Output(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

// needs skips a test that cannot run here; where CI is set that is a failure.
func needs(t *testing.T, what string, err error) {
	t.Helper()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s: %v", what, err)
	default:
		t.Skipf("%s: %v", what, err)
	}
}

// A child is a testing.TB for the helpers; a failure ends the process.
type child struct{ testing.TB }

func (child) Helper()        {}
func (child) Cleanup(func()) {}
func (child) Fatal(a ...any) { fmt.Println(a...); os.Exit(1) }

func (child) Fatalf(format string, a ...any) { fmt.Printf(format+"\n", a...); os.Exit(1) }
