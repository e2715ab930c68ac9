// Gatectl is the technician's and the officer's tool: keys, declarations, checks, pulls and the demo.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	_ "time/tzdata" // dates are Vietnamese on any machine
)

// A command is one subcommand. Its run returns the exit status; it writes errors to e.err itself.
type command struct {
	name, args, about string
	run               func(ctx context.Context, e env, args []string) int
}

// env is the world that a command speaks to, so that tests can be that world.
type env struct {
	in       io.Reader
	out, err io.Writer
}

// Exit statuses that every command shares.
const (
	exitOK    = 0
	exitFail  = 1
	exitUsage = 2
)

func commands() []command {
	return []command{
		{"keygen", "-kind KIND -out DIR [-name NAME]", "makes a key", keygen},
		{"declare", "-form ID -key FILE -name … -year … …", "signs a declaration and prints its code", declare},
		{"verify", "[-trust DIR] [-policy FILE] [-at TIME] [-hex]", "judges texts of codes, one a line, in JSON", verify},
		{"explain", "[-policy FILE] [-at TIME] [-direction in|out] FILE…", "says in words why a gate would admit a code or not", explainCommand},
		{"form", "check FILE… | sign -key FILE FILE…", "explains forms and their faults, or signs them", formCommand},
		{"read", "[-reps N] [-manifest M.tsv | -explain PNG] FILE…", "reads the codes in pictures, and what that costs", read},
		{"check", "[-receipt-key FILE] DIR", "reads a kiosk's whole journal and tells whether it is sound", check},
		{"salvage", "DIR NEW", "copies what can be read of a damaged journal", salvage},
		{"demo", "[-for 20s] [-camera SOURCE] [-page ADDRESS]", "shows the whole gate on this machine", runDemo},
		{"pull", "-hub URL -token FILE [-ca FILE] [-into URL] …", "fetches entries from a hub, as lines of JSON or into PostgreSQL", pullCommand},
		{"trace", "-hub URL -token FILE -key FILE -case NUMBER …", "opens seals for a case: who passed, or where somebody did", traceCommand},
		{"order", "sign … FILE | show ORDER… | put STICK ORDER…", "signs, explains and carries orders to kiosks", orderCommand},
		{"roster", "build -out ROSTER FILE.csv", "makes a roster of who is expected or barred", rosterCommand},
		{"trust", "build -key FILE -out BUNDLE FILE… | show BUNDLE", "makes or explains the bundle of trusted keys", trustCommand},
		{"selftest", "[-gate URL]", "has a gate on this machine test itself", selftest},
		{"export", "-journal DIR -key FILE [-dead] STICK", "puts a card's unsent entries onto a USB stick", exportCommand},
		{"enrol", "-key FILE -hub URL … -out DIR | show FILE…", "makes or explains the codes that make a gate of a unit", enrolCommand},
		{"badge", "-key FILE -number NUMBER [-role ROLE] -out PNG", "makes the badge of a guard or a supervisor", badgeCommand},
		{"flash", "-key FILE IMAGE DISK… | map -key FILE IMAGE", "writes an image to cards and reads it back", flashCommand},
		{"import", "-hub URL [-ca FILE] [-anew] STICK", "hands a USB stick's entries to a hub, and brings receipts back", importCommand},
	}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	code := run(ctx, env{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:])
	stop()
	os.Exit(code)
}

func run(ctx context.Context, e env, args []string) int {
	if len(args) > 0 {
		for _, c := range commands() {
			if c.name == args[0] {
				return c.run(ctx, e, args[1:])
			}
		}
	}
	help := len(args) > 0 && (args[0] == "help" || args[0] == "-h" || args[0] == "-help" || args[0] == "--help")
	w := e.err
	if help {
		w = e.out
	} else if len(args) > 0 {
		fmt.Fprintf(w, "gatectl: no command %q\n", args[0])
	}
	fmt.Fprintln(w, "usage: gatectl COMMAND …   (gatectl COMMAND -h tells more)")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %-8s %-42s %s\n", c.name, c.args, c.about)
	}
	if help {
		return exitOK
	}
	return exitUsage
}
