package hub

import (
	"context"
	"log/slog"
	"testing"
)

// OpenStore opens the engine alone, for hubtest, which cannot be imported from this package's own tests.
func OpenStore(ctx context.Context, urls, dir string) (s Store, end func(), err error) {
	e, err := openEngine(ctx, urls, dir, "epoch", slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, nil, err
	}
	return e, e.close, nil
}

// Cluster starts a cluster of n nodes and returns how it is reached.
func Cluster(t *testing.T, n int) (urls string) { return cluster(t, n).urls() }

// Forget deletes the log at urls, if there is one.
func Forget(t *testing.T, urls string) {
	t.Helper()
	until(t, "no log", func() bool {
		e, err := openEngine(t.Context(), urls, "", "epoch", slog.New(slog.DiscardHandler))
		if err != nil {
			return false
		}
		defer e.close()
		return e.js.DeleteStream(t.Context(), streamName) == nil
	})
}
