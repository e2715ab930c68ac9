package supervise

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var starts []time.Duration
		var reports []string
		began := time.Now()
		var log bytes.Buffer
		Run(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "part", func(context.Context) error {
			starts = append(starts, time.Since(began))
			switch len(starts) {
			case 1:
				return errors.New("gone")
			case 2:
				panic("mad")
			}
			return nil
		}, func(err error) { reports = append(reports, err.Error()) })
		want := []time.Duration{0, FirstWait, 3 * FirstWait}
		if len(starts) != 3 || starts[1] != want[1] || starts[2] != want[2] {
			t.Errorf("starts at %v, want %v", starts, want)
		}
		if len(reports) != 2 || reports[0] != "gone" || reports[1] != errPanic.Error() {
			t.Errorf("reports %q", reports)
		}
		if !strings.Contains(log.String(), "part panicked") || strings.Contains(log.String(), "mad") {
			t.Errorf("the log tells no panic, or its value:\n%s", log.String())
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			Run(ctx, slog.New(slog.DiscardHandler), "part", func(context.Context) error { return errors.New("gone") }, func(error) {})
		}()
		time.Sleep(time.Minute)
		cancel()
		<-done
	})
}
