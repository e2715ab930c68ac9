package sim

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// A server is a gatehub: a hub over the world's log, and the pull beside it.
type server struct {
	w    *world
	n    int
	up   bool
	life int // counts starts

	hub       *hub.Hub
	consumers *pull.Consumers
	handler   http.Handler
	keeper    string // as it was configured at the start
	posting   bool   // a batch is being stored: the next one would wait
}

var receiptKey = key(200)

func (w *world) addServer() {
	s := &server{w: w, n: len(w.servers)}
	w.servers = append(w.servers, s)
	s.start()
}

func (s *server) path() string { return filepath.Join(s.w.dir, fmt.Sprint("consumers", s.n)) }

// start starts the program, again and again while the log does not answer.
func (s *server) start() {
	s.life++
	s.up, s.posting, s.keeper = false, false, s.w.keeper
	if err := s.open(s.life); err != nil {
		s.w.say("server %d does not start: %v", s.n, err)
		life := s.life
		s.w.after(10*time.Second, func() {
			if s.life == life {
				s.start()
			}
		})
		return
	}
	s.up = true
	s.w.say("server %d is up", s.n)
}

func (s *server) open(life int) (err error) {
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			err = fmt.Errorf("it crashed")
		} else if p != nil {
			panic(p)
		}
	}()
	w := s.w
	if s.consumers, err = pull.OpenConsumers(s.path()); err != nil {
		return err
	}
	out := slog.New(slog.NewTextHandler(io.Discard, nil))
	o := hub.Options{
		Devices: w.device, ReceiptKey: receiptKey, Now: w.clock, Log: out,
		Pace: hub.NewPace(w.clock, w.rng.Float64),
	}
	if s.keeper != "" {
		consumers, name := s.consumers, s.keeper
		o.Kept = func() (uint64, bool) { place, _ := consumers.Kept(name); return place, true }
	}
	store := &writer{log: w.log, before: s.before(life), after: s.after(life)}
	if s.hub, err = hub.New(context.Background(), store, w.log.epoch, w.fate.servers > 1, o); err != nil {
		return err
	}
	if err = s.consumers.Attach(context.Background(), s.hub); err != nil {
		return err
	}
	puller := pull.New(pull.Options{Log: s.hub, Tokens: w.tokens, Consumers: s.consumers, Now: w.clock, Out: out})
	mux := http.NewServeMux()
	mux.Handle(wire.PathLog, puller)
	mux.Handle(wire.PathConsumers, puller)
	mux.Handle("/", s.picky(s.hub.Handler()))
	s.handler = mux
	return nil
}

// crash ends the program, wherever it is, and starts it again later.
func (s *server) crash(down time.Duration) {
	s.w.say("server %d crashes for %v", s.n, down.Round(time.Second))
	s.up = false
	s.life++
	life := s.life
	s.w.after(down, func() {
		if s.life == life {
			s.start()
		}
	})
}

// saw tells the hubs of a message, each a little later, or much: following is a convenience that may break down.
// A hub that has its log for itself follows nobody.
func (w *world) saw(m hub.Message) {
	if w.fate.servers == 1 {
		return
	}
	for _, s := range w.servers {
		life := s.life
		w.after(w.upTo(oneOf(w, 2*time.Second, 2*time.Second, 20*time.Minute)), func() {
			if s.up && s.life == life {
				s.hub.Saw(m.Subject, m.Place)
			}
		})
	}
}

// loseLog begins an empty log in the place of the one that is.
func (w *world) loseLog() {
	w.truth.lostLog()
	w.log = newMemory(w.truth.epoch().name, w.clock)
	w.log.stored = w.truth.stored
	w.say("the log is lost, %s begins", w.log.epoch)
	forget := w.chance(0.5)
	for _, s := range w.servers {
		if forget {
			os.Remove(s.path())
		}
		s.crash(w.upTo(time.Minute))
	}
}

// picky refuses the batches that hold a poisoned entry, as a hub of another version might; a gap it takes.
func (s *server) picky(next http.Handler) http.Handler {
	return http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && len(s.w.poison) > 0 {
			raw, err := io.ReadAll(r.Body)
			r.Body = again(raw, err)
			if b, parseErr := wire.Parse(raw); err == nil && parseErr == nil && s.w.truth.poisoned(b) {
				s.w.say("server %d refuses entry %d of %s", s.n, s.w.poison[b.Device], short(b.Device))
				wire.Problem{Type: wire.ProblemBatch, Title: "not a batch", Status: http.StatusBadRequest}.Write(a)
				return
			}
		}
		next.ServeHTTP(a, r)
	})
}

// device tells a hub who may send.
func (w *world) device(id string) (ed25519.PublicKey, bool) {
	for _, k := range w.kiosks {
		if k.id == id && !w.revoked[id] {
			return k.public, true
		}
	}
	return nil, false
}
