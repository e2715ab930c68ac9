// Package daemon is what gatekiosk and gatehub have in common: their flags, signals, exit statuses and log.
package daemon

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
)

// The exit statuses.
const (
	OK    = 0 // ended by SIGTERM or SIGINT
	Fault = 1
	Usage = 2 // wrong flags or a wrong configuration
)

// A Program runs with a configuration of type C until it is told to end.
type Program[C any] struct {
	Name     string
	Defaults string                       // the commented configuration of -print-config
	Load     func(file string) (C, error) // reads a configuration; file "" means the defaults
	Serve    func(context.Context, C, *slog.Logger) error
}

// Main runs the program on this process's words and signals, and ends the process.
func (p Program[C]) Main() {
	signal.Ignore(syscall.SIGXFSZ) // a file that may not grow is an error of its writer, not the end of everything
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := p.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// Run runs the program until ctx ends and returns its exit status. Its log goes to errs.
func (p Program[C]) Run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet(p.Name, flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", "", "configuration `FILE` (TOML); left out: loopback defaults")
	show := flags.Bool("print-config", false, "write a commented configuration and exit")
	verbose := flags.Bool("v", false, "log more")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return OK
	case err != nil:
		return Usage
	case flags.NArg() > 0:
		fmt.Fprintf(errs, "%s: unexpected argument %q\n", p.Name, flags.Arg(0))
		return Usage
	}
	if *show {
		fmt.Fprint(out, p.Defaults)
		return OK
	}
	c, err := p.Load(*file)
	if err != nil {
		fmt.Fprintf(errs, "%s: %v\n", p.Name, err)
		return Usage
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))
	if err := p.Serve(ctx, c, log); err != nil {
		log.Error(p.Name+" ends", "error", err)
		return Fault
	}
	return OK
}
