package hub_test

import (
	"testing"

	"gatepost/sync/hub"
	"gatepost/sync/hub/hubtest"
)

// engine opens the log at urls, or in dir.
type engine struct{ urls, dir string }

func (e engine) Open(t *testing.T) (hub.Store, func()) {
	t.Helper()
	s, end, err := hub.OpenStore(t.Context(), e.urls, e.dir)
	if err != nil {
		t.Fatal(err)
	}
	return s, end
}

// single opens its log once, however often it is asked.
type single struct {
	engine
	store hub.Store
	end   func()
	users int
}

func (s *single) Open(t *testing.T) (hub.Store, func()) {
	t.Helper()
	if s.users == 0 {
		s.store, s.end = s.engine.Open(t)
	}
	s.users++
	return s.store, func() {
		if s.users--; s.users == 0 {
			s.end()
		}
	}
}

func TestEmbeddedStore(t *testing.T) {
	t.Parallel()
	hubtest.Run(t, false, func(t *testing.T) hubtest.Log { return &single{engine: engine{dir: t.TempDir()}} })
}

func TestClusterStore(t *testing.T) {
	t.Parallel()
	urls := hub.Cluster(t, 3)
	hubtest.Run(t, true, func(t *testing.T) hubtest.Log {
		hub.Forget(t, urls)
		return engine{urls: urls}
	})
}
