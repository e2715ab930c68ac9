// Gatehub is the authority's server: it takes signed batches from gates, keeps them in its log, answers with
// signed receipts, serves the log to whoever may pull, and shows the officer's page.
//
//	gatehub [-config FILE] [-print-config]
//
// It ends with status 0 on SIGTERM or SIGINT, 1 on a fault, 2 on wrong flags or a wrong configuration.
package main

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

const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("gatehub", flag.ContinueOnError)
	flags.SetOutput(errs)
	file := flags.String("config", "", "configuration `FILE` (TOML); left out: loopback defaults")
	show := flags.Bool("print-config", false, "write a commented configuration and exit")
	verbose := flags.Bool("v", false, "log more")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitOK
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(errs, "gatehub: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *show {
		fmt.Fprint(out, defaults)
		return exitOK
	}
	c, err := loadConfig(*file)
	if err != nil {
		fmt.Fprintf(errs, "gatehub: %v\n", err)
		return exitUsage
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))
	if err := serve(ctx, c, log); err != nil {
		log.Error("hub ends", "error", err)
		return exitFault
	}
	return exitOK
}
