// Gatekiosk runs one gate: it reads the codes that people show, decides, keeps every entry durably and hands
// them on whenever the hub can be reached.
//
//	gatekiosk [-config FILE] [-print-config]
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
	"path/filepath"
	"syscall"

	"gatepost/cmd/internal/config"
)

const (
	exitOK    = 0
	exitFault = 1
	exitUsage = 2
)

func main() {
	// A file that may not grow is an error of the journal, not the end of the program.
	signal.Ignore(syscall.SIGXFSZ)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

func run(ctx context.Context, args []string, out, errs io.Writer) int {
	flags := flag.NewFlagSet("gatekiosk", flag.ContinueOnError)
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
		fmt.Fprintf(errs, "gatekiosk: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *show {
		fmt.Fprint(out, config.DefaultKiosk)
		return exitOK
	}
	c, err := load(*file)
	if err != nil {
		fmt.Fprintf(errs, "gatekiosk: %v\n", err)
		return exitUsage
	}
	level := slog.LevelInfo
	if *verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(errs, &slog.HandlerOptions{Level: level}))
	if err := serve(ctx, c, log); err != nil {
		log.Error("gate ends", "error", err)
		return exitFault
	}
	return exitOK
}

// load reads the configuration, and the defaults when file is empty.
func load(file string) (*config.Kiosk, error) {
	text, dir := []byte("schema = 1\n"), ""
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return nil, fmt.Errorf("read configuration: %w", err)
		}
		dir = filepath.Dir(file)
	}
	c, err := config.ParseKiosk(text)
	if err != nil {
		return nil, fmt.Errorf("configuration %s:\n%w", file, err)
	}
	c.Resolve(dir)
	return c, nil
}
