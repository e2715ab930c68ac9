package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
)

// newFlags returns the flags of a command; help stands before their list.
func newFlags(name, help string) *flag.FlagSet {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // parse writes the fault and the help once, where they belong
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), help)
		fs.PrintDefaults()
	}
	return fs
}

// parse reads args into fs. When ok is false the command ends with code: -h was asked for, or the words are off.
func parse(e env, fs *flag.FlagSet, args []string) (code int, ok bool) {
	err := fs.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		fs.SetOutput(e.out)
		fs.Usage()
		return exitOK, false
	case err != nil:
		return misused(e, fs, err.Error()), false
	}
	return exitOK, true
}

// misused tells what is off about a command's words and how it is used.
func misused(e env, fs *flag.FlagSet, why string) int {
	fmt.Fprintf(e.err, "gatectl %s: %s\n", fs.Name(), why)
	fs.SetOutput(e.err)
	fs.Usage()
	return exitUsage
}

// fail tells why a command could not do its work.
func fail(e env, name string, err error) int {
	fmt.Fprintf(e.err, "gatectl %s: %v\n", name, err)
	return exitFail
}
