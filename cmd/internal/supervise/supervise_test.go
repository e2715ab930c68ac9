package supervise

import (
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
		Run(t.Context(), slog.New(slog.DiscardHandler), "part", func(context.Context) error {
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
		if len(reports) != 2 || reports[0] != "gone" || !strings.HasPrefix(reports[1], "panic: mad") {
			t.Errorf("reports %q", reports)
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
