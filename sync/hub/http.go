package hub

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"

	"gatepost/sync/wire"
)

const (
	maxSlots   = 256              // batches that are read or stored at once, at most wire.MaxBatch each
	lineTime   = 15 * time.Second // for which a batch waits to be read
	retryPanic = 5 * time.Second  // after which somebody whose request failed here may come again
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
				busy(w, retryPanic)
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
	if !h.enter(r.Context()) {
		busy(w, h.opt.Pace.retryAfter())
		return
	}
	defer func() { <-h.slots }()
	raw, err := io.ReadAll(http.MaxBytesReader(w, r.Body, wire.MaxBatch))
	if large := (*http.MaxBytesError)(nil); errors.As(err, &large) {
		problem(wire.ProblemTooLarge, http.StatusRequestEntityTooLarge, "batch too large", err.Error()).Write(w)
		return
	}
	if err != nil { // it broke off, or took too long, and says nothing of the batch
		busy(w, h.opt.Pace.retryAfter())
		return
	}
	s, err := h.put(r.Context(), raw, r.URL.Query().Get("begin") == "1")
	if err == nil {
		h.opt.Pace.stored(len(h.slots) - 1 + int(h.line.Load()))
	}
	h.answer(w, s, err)
}

// enter waits for a slot, in the order of coming: whoever stands here has paid for a handshake already. False: the
// store is slow for longer than that is worth, or the peer has gone.
func (h *Hub) enter(ctx context.Context) bool {
	h.line.Add(1)
	defer h.line.Add(-1)
	timer := time.NewTimer(lineTime)
	defer timer.Stop()
	select {
	case h.slots <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (h *Hub) serveDevice(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, err := h.Known(id); err != nil {
		h.answer(w, wire.State{}, err)
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
	if h.opt.Orders != nil && err == nil {
		s.Orders = h.opt.Orders(id)
	}
	h.answer(w, s, err)
}

// answer writes a state, or the problem that err is.
func (h *Hub) answer(w http.ResponseWriter, s wire.State, err error) {
	p := wire.Problem{}
	switch {
	case err == nil:
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(s) // an error means that the peer has gone
	case errors.As(err, &p) && p.Status != http.StatusServiceUnavailable:
		p.Write(w)
	default:
		busy(w, h.opt.Pace.retryAfter())
	}
}

// busy sends the peer away for a while, in whole seconds.
func busy(w http.ResponseWriter, retry time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(retry.Seconds()))))
	problem(wire.ProblemStore, http.StatusServiceUnavailable, "not stored", "send again later").Write(w)
}
