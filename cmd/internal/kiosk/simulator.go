package kiosk

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"gatepost/device/sim"
)

//go:embed people.txt
var people string

const (
	stroll   = 4 * time.Second // from one invented person to the next
	maxShow  = 64 << 10        // bytes of one request
	maxHold  = 10 * time.Second
	codeHold = 1200 * time.Millisecond // how long a code is held up when the request does not say
)

// A Simulator holds the simulated lanes and, over HTTP, lets somebody walk up to them:
// POST /sim {"lane": …, "texts": […], "hold_ms": …} queues one showing of the codes of those texts,
// GET /sim tells how many wait or are in view by lane.
type Simulator struct {
	mu    sync.Mutex
	lanes map[string]*sim.Camera
}

// Handler returns what serves /sim, or nil when no lane is simulated.
func (s *Simulator) Handler() http.Handler {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.lanes) == 0 {
		return nil
	}
	return s
}

// open registers lane and returns how to start it; with stroll, invented people come by themselves.
func (s *Simulator) open(lane string, strolling bool) func(context.Context) (Source, error) {
	s.put(lane, nil)
	return func(ctx context.Context) (Source, error) {
		cam := sim.New(sim.Options{})
		s.put(lane, cam)
		ctx, cancel := context.WithCancel(ctx)
		var crowd sync.WaitGroup
		if strolling {
			crowd.Go(func() { strollBy(ctx, cam) })
		}
		return newEye(cam, func() error {
			cancel()
			crowd.Wait()
			return cam.Close()
		}), nil
	}
}

// strollBy sends the invented people past cam until ctx ends.
func strollBy(ctx context.Context, cam *sim.Camera) {
	texts := strings.Split(strings.TrimSpace(people), "\n")
	tick := time.NewTicker(stroll)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if cam.Show([]string{texts[i%len(texts)]}, codeHold) != nil {
			continue // the queue is full of the viewer's own people
		}
	}
}

func (s *Simulator) put(lane string, cam *sim.Camera) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lanes == nil {
		s.lanes = map[string]*sim.Camera{}
	}
	s.lanes[lane] = cam
}

func (s *Simulator) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	lanes := maps.Clone(s.lanes)
	s.mu.Unlock()
	switch r.Method {
	case http.MethodGet:
		waiting := map[string]int{}
		for name, cam := range lanes {
			if cam != nil {
				waiting[name] = cam.Waiting()
			}
		}
		w.Header().Set("Content-Type", "application/json")
		if json.NewEncoder(w).Encode(waiting) != nil {
			return // the caller has gone
		}
	case http.MethodPost:
		if err := show(http.MaxBytesReader(w, r.Body, maxShow), lanes); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func show(body io.Reader, lanes map[string]*sim.Camera) error {
	var q struct {
		Lane  string   `json:"lane"`
		Texts []string `json:"texts"`
		Hold  int      `json:"hold_ms"`
	}
	if err := json.NewDecoder(body).Decode(&q); err != nil {
		return fmt.Errorf("not a showing: %w", err)
	}
	cam := lanes[q.Lane]
	if cam == nil {
		return fmt.Errorf("no simulated lane %q", q.Lane)
	}
	if len(q.Texts) == 0 {
		return errors.New("no texts to show")
	}
	hold := codeHold
	if q.Hold > 0 {
		hold = min(time.Duration(q.Hold)*time.Millisecond, maxHold)
	}
	return cam.Show(q.Texts, hold)
}
