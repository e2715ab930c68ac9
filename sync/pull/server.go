package pull

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/wire"
)

// Options are what New serves. Log, Tokens and Out are needed.
type Options struct {
	Log    Log
	Tokens Tokens
	// Area tells where a device stands; nil: nowhere, so that a token with areas sees no entry.
	Area func(device string) string
	// Consumers keep their cursors here; nil: nobody can.
	Consumers *Consumers
	// Fleet tells how every device stands; nil: the status names none.
	Fleet func(context.Context) ([]Device, error)
	// Release records durably that seals are about to be opened, and returns the record's place; nil: nobody may.
	Release func(context.Context, wire.Release) (place uint64, err error)
	// Known tells of whom no token is asked, because something else has proved who they are; nil: of nobody. They share
	// one rate and see everything.
	Known func(*http.Request) bool
	Now   func() time.Time // for rates and the times of cursors; nil: time.Now
	Out   *slog.Logger
}

// New serves wire.PathLog, and below wire.PathConsumers, at wire.PathStatus and at wire.PathReleases what o has for them, to whoever shows
// one of the tokens.
func New(o Options) http.Handler {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Area == nil {
		o.Area = func(string) string { return "" }
	}
	s := &server{Options: o, rates: make([]bucket, len(o.Tokens)+1)}
	mux := http.NewServeMux()
	mux.Handle(wire.PathLog, s.only(s.page, http.MethodGet))
	mux.Handle(wire.PathStatus, s.only(s.status, http.MethodGet))
	if o.Consumers != nil {
		mux.Handle(wire.PathConsumers+"{name}/cursor", s.only(s.consumer, http.MethodGet, http.MethodPut))
	}
	if o.Release != nil {
		mux.Handle(wire.PathReleases, s.only(s.release, http.MethodPost))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) {
		problem(wire.ProblemRequest, http.StatusNotFound, "no such page").Write(w)
	})
	return mux
}

type server struct {
	Options
	rates []bucket // one a token, and one for those who are known
}

// only lets requests with these methods and a token through to serve, as often as a token may come. serve returns an
// error only when it has written nothing yet.
func (s *server) only(serve func(http.ResponseWriter, *http.Request, Token) error, methods ...string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !slices.Contains(methods, r.Method) {
			w.Header().Set("Allow", strings.Join(methods, ", "))
			problem(wire.ProblemRequest, http.StatusMethodNotAllowed, "method not served here").Write(w)
			return
		}
		i, token := s.who(r)
		if i < 0 {
			w.Header().Set("WWW-Authenticate", "Bearer")
			problem(wire.ProblemToken, http.StatusUnauthorized, "no token that this log knows").Write(w)
			return
		}
		if wait := s.rates[i].take(s.Now()); wait > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(wait))
			problem(wire.ProblemRate, http.StatusTooManyRequests, "too many requests with this token").Write(w)
			return
		}
		s.fail(w, serve(w, r, token))
	})
}

// who returns whose rate counts, or -1 for nobody that this log knows, and what they may see.
func (s *server) who(r *http.Request) (i int, t Token) {
	if s.Known != nil && s.Known(r) {
		return len(s.Tokens), Token{}
	}
	word, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if i = s.Tokens.find(word); !ok || i < 0 {
		return -1, t
	}
	return i, s.Tokens[i]
}

// fail answers with the problem that err is, if it is an error at all.
func (s *server) fail(w http.ResponseWriter, err error) {
	if p := (wire.Problem{}); errors.As(err, &p) {
		p.Write(w)
	} else if err != nil {
		s.Out.Error("request not served", "error", err)
		w.Header().Set("Retry-After", "5")
		problem(wire.ProblemStore, http.StatusServiceUnavailable, "the log cannot be read").Write(w)
	}
}

func problem(kind string, status int, title string) wire.Problem {
	return wire.Problem{Type: kind, Title: title, Status: status}
}
