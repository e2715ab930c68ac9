package guard

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"log/slog"
	"mime"
	"net"
	"net/http"
	"runtime/debug"
	"strings"
	"sync"
	"time"

	"gatepost/cmd/internal/supervise"
)

//go:embed page
var pages embed.FS

const (
	maxAction = 16 << 10        // bytes of one action
	beat      = 5 * time.Second // a live page hears from the gate at least this often
)

// Options of a Console. What is nil is not there, but for Log, which is needed.
type Options struct {
	Log  *slog.Logger
	Sim  http.Handler // is handed what comes to /sim
	Roll func() Roll  // who is inside
	Door *Door        // lets in who may use the page; nil: whoever reaches it may
}

// Console returns the guard's page and what it speaks: GET /state.json, GET /events (the same as server-sent
// events, at each change), POST /act (an Action as JSON; 204, or 4xx with a sentence), GET /roll.json where the policy lets
// the guard see that (else 404), GET /slip.png, the code of the last self-test. It takes requests from pages of its own
// origin alone, and only by a loopback or literal address, so that no web page that the guard happens to visit can reach it.
func Console(gate Gate, o Options) http.Handler {
	mux := http.NewServeMux()
	static, err := fs.Sub(pages, "page")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux.Handle("GET /", http.FileServerFS(static))
	mux.HandleFunc("GET /state.json", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		writeJSON(w, gate.State())
	})
	mux.HandleFunc("GET /events", func(w http.ResponseWriter, r *http.Request) { events(w, r, gate) })
	mux.HandleFunc("GET /slip.png", func(w http.ResponseWriter, _ *http.Request) { slip(w, gate) })
	mux.HandleFunc("POST /act", func(w http.ResponseWriter, r *http.Request) { act(w, r, gate) })
	if o.Sim != nil {
		mux.Handle("GET /sim", o.Sim)
		mux.Handle("POST /sim", o.Sim)
	}
	if o.Roll != nil {
		mux.HandleFunc("GET /roll.json", func(w http.ResponseWriter, r *http.Request) {
			if !gate.State().RollCall {
				http.Error(w, "the policy shows nobody", http.StatusNotFound)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			writeJSON(w, o.Roll())
		})
	}
	h := http.Handler(http.NewCrossOriginProtection().Handler(mux))
	if o.Door != nil {
		h = o.Door.Guard(h)
	}
	return Shield(h, o.Log)
}

// Shield keeps foreign pages out and turns a panic into a 500.
func Shield(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			p := recover()
			if p == http.ErrAbortHandler {
				panic(p) // net/http's own way to cut a connection
			}
			if p != nil {
				log.Error("console request failed", "path", r.URL.Path, "panic", supervise.Describe(p), "stack", string(debug.Stack()))
				http.Error(w, "internal error", http.StatusInternalServerError)
			}
		}()
		host := r.Host
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if host != "localhost" && net.ParseIP(strings.Trim(host, "[]")) == nil {
			http.Error(w, "ask for this page by its address", http.StatusForbidden)
			return
		}
		w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'self'")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Cache-Control", "no-store")
		h.ServeHTTP(w, r)
	})
}

func events(w http.ResponseWriter, r *http.Request, gate Gate) {
	flush := http.NewResponseController(w)
	w.Header().Set("Content-Type", "text/event-stream")
	for {
		changed := gate.Changed() // before the state, so that no change falls between
		b, err := json.Marshal(gate.State())
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(w, "data: %s\n\n", b); err != nil || flush.Flush() != nil {
			return
		}
		beat := time.NewTimer(beat)
		select {
		case <-r.Context().Done():
			beat.Stop()
			return
		case <-changed:
		case <-beat.C:
		}
		beat.Stop()
	}
}

func act(w http.ResponseWriter, r *http.Request, gate Gate) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		http.Error(w, "an action is application/json", http.StatusUnsupportedMediaType)
		return
	}
	d := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAction))
	d.DisallowUnknownFields()
	var a Action
	if err := d.Decode(&a); err != nil {
		http.Error(w, "not an action: "+err.Error(), http.StatusBadRequest)
		return
	}
	if err := gate.Do(r.Context(), a); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func writeJSON(w http.ResponseWriter, v any) {
	if err := json.NewEncoder(w).Encode(v); err != nil {
		return // the page has gone
	}
}

// Serve serves h on listener until ctx ends.
func Serve(ctx context.Context, listener net.Listener, h http.Handler) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	s := &http.Server{
		Handler: h, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, IdleTimeout: time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(io.Discard, "", 0), // strangers cause these, and telephones that do not know the certificate yet
	}
	var ended sync.WaitGroup
	ended.Go(func() {
		<-ctx.Done()
		soon, cancel := context.WithTimeout(context.Background(), 2*time.Second)
		defer cancel()
		if s.Shutdown(soon) != nil { // an action that is under way is finished first
			s.Close()
		}
	})
	defer ended.Wait()
	err := s.Serve(listener)
	if ctx.Err() != nil {
		return nil
	}
	cancel() // nobody else will
	return fmt.Errorf("serve console: %w", err)
}
