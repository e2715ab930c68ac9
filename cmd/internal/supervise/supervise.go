// Package supervise keeps a part of the gate running: a part that fails or panics is started again after a
// wait that grows, and its state is told. "Gone" is a state of the part, never the end of the program.
package supervise

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"runtime/debug"
	"time"
)

// Waits between two starts of a part. A run that lasted longer than Steady counts as healthy again.
const (
	FirstWait = 250 * time.Millisecond
	LastWait  = 5 * time.Second
	Steady    = 10 * time.Second
)

// Run runs part again and again until ctx ends, and returns then. It calls report with each error that part
// returned or panicked with; a part that returns nil has nothing more to do and ends Run.
func Run(ctx context.Context, log *slog.Logger, name string, part func(context.Context) error, report func(error)) {
	wait := FirstWait
	for ctx.Err() == nil {
		began := time.Now()
		err := guard(ctx, log, name, part)
		if err == nil || ctx.Err() != nil {
			return
		}
		report(err)
		if time.Since(began) > Steady {
			wait = FirstWait
		}
		log.Warn("part failed, starting it again", "part", name, "error", err, "wait", wait)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		wait = min(2*wait, LastWait)
	}
}

// errPanic is all that is told of a panic outside the log: its value and its stack are for engineers.
var errPanic = errors.New("internal error, see the log")

// Describe says what a panic was, for the log. Of its values only the runtime's own are told in full: any other may
// hold what somebody showed.
func Describe(p any) string {
	if r, ok := p.(runtime.Error); ok {
		return r.Error()
	}
	return fmt.Sprintf("%T", p)
}

// guard turns a panic of part into an error, so that one lane cannot take the gate down.
func guard(ctx context.Context, log *slog.Logger, name string, part func(context.Context) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			log.Error("part panicked", "part", name, "panic", Describe(p), "stack", string(debug.Stack()))
			err = errPanic
		}
	}()
	return part(ctx)
}
