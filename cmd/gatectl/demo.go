package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/device/v4l"
)

// runDemo shows the whole gate on this machine. DEMO_FOR and DEMO_CAMERA stand in for the flags, for make run.
func runDemo(ctx context.Context, e env, args []string) int {
	flags := flag.NewFlagSet("gatectl demo", flag.ContinueOnError)
	flags.SetOutput(e.err)
	limit := flags.String("for", os.Getenv("DEMO_FOR"), "how long people come, as in \"20s\"; empty: until Ctrl-C (DEMO_FOR)")
	camera := flags.String("camera", os.Getenv("DEMO_CAMERA"), "a `SOURCE` beside the simulated people, as in v4l:/dev/video0 (DEMO_CAMERA)")
	page := flags.String("page", "", "where the viewer's page listens, as in 127.0.0.1:8079; empty: a free port")
	keep := flags.Bool("keep", false, "leave the run's folder")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return exitOK
	} else if err != nil || flags.NArg() > 0 {
		return exitUsage
	}
	o := demo.Options{Camera: *camera, Page: *page, Keep: *keep, Out: e.out}
	if *limit != "" {
		var err error
		if o.For, err = time.ParseDuration(*limit); err != nil || o.For <= 0 {
			fmt.Fprintf(e.err, "gatectl demo: -for %q is not a duration such as \"20s\"\n", *limit)
			return exitUsage
		}
	} else if path, ok := v4l.Find(); ok && o.Camera == "" {
		o.Camera = "v4l:" + path
	}
	if err := demo.Run(ctx, o); err != nil {
		fmt.Fprintf(e.err, "gatectl demo: %v\n", err)
		return exitFail
	}
	return exitOK
}
