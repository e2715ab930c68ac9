// Prove tries to make the journal lose an entry that it acknowledged, keep one twice, or not notice damage. Nothing in
// it is a stand-in where the real thing can be had: the real programs are killed, real system calls fail, a real file
// system loses its power. A proof must be able to fail, so every part has a control, and planted bugs must be caught.
//
//	prove [-n N] [-seed N] [part…]
//	prove image [-n N] [-seed N] [part…]
//
// The second proves the image in a virtual machine.
//
// It ends with status 0 when everything holds, 1 when something does not or could not be proved, 2 on wrong words.
// It does not promise anything of disks that lie about what they have written.
package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"syscall"

	"gatepost/cmd/internal/prove/proof"
)

func suite() proof.Suite {
	return proof.Suite{Name: "prove", Last: last, Parts: []proof.Part{
		{Name: "kill", About: "SIGKILL of the real gatekiosk at random moments, its hub beside it", Do: kill},
		{Name: "fault", About: "an error at each system call of an append, a rotation, a receipt and a deletion", Do: fault},
		{Name: "damage", About: "broken pages, sectors and bits in the files of a journal", Do: damage},
		{Name: "cut", About: "power cuts, live and replayed, of a machine and its disk", Do: cut},
		{Name: "mutant", About: "planted bugs, which the tests must catch", Do: mutant},
	}}
}

func last(t proof.Tally) string {
	return fmt.Sprintf("prove: cuts=%d kills=%d damaged=%d mutants=%d/%d lost=%d doubled=%d unnoticed=%d",
		t.Cuts, t.Kills, t.Damaged, t.Caught, t.Mutants, t.Lost, t.Doubled, t.Unnoticed)
}

func main() {
	if dir := os.Getenv(childVar); dir != "" {
		os.Exit(child(dir))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s, args := suite(), os.Args[1:]
	if len(args) > 0 && args[0] == "image" {
		s, args = imageSuite(), args[1:]
	}
	code := s.Main(ctx, args, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// mutant plants the list of bugs, one at a time.
func mutant(ctx context.Context, p *proof.Run) (proof.Tally, error) { return p.Mutate(ctx, mutations) }

// tool returns the path of a program of the system. As root on Debian it installs what is missing.
func tool(ctx context.Context, p *proof.Run, name, debian string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	apt, aptErr := exec.LookPath("apt-get")
	if aptErr != nil || os.Getuid() != 0 {
		return "", fmt.Errorf("%w; on Debian: apt-get install %s", err, debian)
	}
	p.Say("installing %s", debian)
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
