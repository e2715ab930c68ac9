package hub

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"

	"gatepost/sync/wire"
)

const (
	maxSlots   = 64  // batches that are read or stored at once, at most wire.MaxBatch each
	retryAfter = "5" // seconds
)

// Handler serves wire.PathBatches and wire.PathDevice. It answers every other path, and every failure,
// with a wire.Problem.
func (h *Hub) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc(wire.PathBatches, only(http.MethodPost, h.serveBatch))
	mux.HandleFunc(wire.PathDevice+"{id}", only(http.MethodGet, h.serveDevice))
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(wire.ProblemRequest, http.StatusNotFound, "no such page", "").Write(w)
	})
	return Guard(h.opt.Log, mux)
}

// Guard keeps a panic of one request from ending the hub; the request is answered with a problem.
func Guard(log *slog.Logger, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler:
				panic(p) // net/http's own way to cut a connection
			default:
				log.Error("request failed", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				busy(w)
			}
		}()
		next.ServeHTTP(w, r)
	})
}

func only(method string, next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Method != method {
			w.Header().Set("Allow", method)
			problem(wire.ProblemRequest, http.StatusMethodNotAllowed, "method not served here", "").Write(w)
			return
		}
		next(w, r)
	}
}

func (h *Hub) serveBatch(w http.ResponseWriter, r *http.Request) {
	select {
	case h.slots <- struct{}{}:
		defer func() { <-h.slots }()
	default:
		busy(w)
		return
	}
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBatch))
	if err != nil {
		unreadable(err).Write(w)
		return
	}
	s, err := h.Put(r.Context(), raw)
	answer(w, s, err)
}

// unreadable tells a body that is too large from one that broke off.
func unreadable(err error) wire.Problem {
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		return problem(wire.ProblemTooLarge, http.StatusRequestEntityTooLarge, "batch too large", err.Error())
	}
	return problem(wire.ProblemBatch, http.StatusBadRequest, "batch cannot be read", err.Error())
}

func (h *Hub) serveDevice(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, ok := h.opt.Devices(id); !ok {
		unknownDevice().Write(w)
		return
	}
	nonce := r.URL.Query().Get("nonce")
	if nonce != "" {
		if err := wire.ParseNonce(nonce); err != nil {
			problem(wire.ProblemRequest, http.StatusBadRequest, "not a nonce", err.Error()).Write(w)
			return
		}
	}
	s, err := h.State(r.Context(), id)
	if err != nil {
		err = h.notStored(id, err)
	} else if nonce != "" {
		t := wire.NewTime(h.opt.ReceiptKey, id, nonce, h.opt.Now())
		s.Time = &t
	}
	answer(w, s, err)
}

// answer writes a state, or the problem that err is.
func answer(w http.ResponseWriter, s wire.State, err error) {
	p := wire.Problem{}
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s) // an error means that the peer has gone
	case errors.As(err, &p) && p.Status != http.StatusServiceUnavailable:
		p.Write(w)
	default:
		busy(w)
	}
}

func busy(w http.ResponseWriter) {
	w.Header().Set("Retry-After", retryAfter)
	problem(wire.ProblemStore, http.StatusServiceUnavailable, "not stored", "send again later").Write(w)
}
