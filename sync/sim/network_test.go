package sim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"syscall"
	"time"
)

// A link is one client's way to the servers: its http.RoundTripper. It loses, delays, doubles, reorders and cuts as the
// fate wants, and what answers in a hub's place may be a stranger.
type link struct {
	w      *world
	who    string
	up     bool
	loss   float64 // chance of a fault for each exchange
	narrow int     // bytes of a body that a proxy on the way lets through, 0 = all
	to     int     // the server that it was led to last

	// heard sees each answer that reaches the client whole, before the client does. Nil: nobody.
	heard func(r *http.Request, status int, body []byte)
}

var (
	errNoWay   = errors.New("no route to host")
	errSilence = errors.New("no answer in time")
	errCut     = errors.New("connection reset")
)

// RoundTrip carries one request there and its answer back.
func (l *link) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body) // from memory
	}
	what := r.Method + " " + r.URL.Path
	if l.w.exchanges++; l.w.exchanges > maxExchanges || l.w.failed != "" {
		l.w.fail("no rest after %d exchanges", l.w.exchanges)
		return nil, errNoWay
	}
	res, err := l.carry(r, body)
	if gone := r.Context().Err(); gone != nil { // the client has crashed meanwhile
		l.w.say("%s is gone: %s", l.who, what)
		return nil, gone
	}
	if err != nil {
		l.w.say("%s: %s: %v", l.who, what, err)
		return nil, err
	}
	answer, err := io.ReadAll(res.Body)
	l.w.say("%s: %s: %d, %d bytes, %v", l.who, what, res.StatusCode, len(answer), err)
	if err == nil && l.heard != nil {
		l.heard(r, res.StatusCode, answer)
	}
	res.Body = again(answer, err)
	return res, nil
}

// again is a body of bytes that ends with err, if there is one.
func again(raw []byte, err error) io.ReadCloser {
	if err == nil {
		return io.NopCloser(bytes.NewReader(raw))
	}
	return io.NopCloser(io.MultiReader(bytes.NewReader(raw), broken{err}))
}

type broken struct{ error }

func (b broken) Read([]byte) (int, error) { return 0, b.error }

// carry lets one fate befall the exchange.
func (l *link) carry(r *http.Request, body []byte) (*http.Response, error) {
	w := l.w
	if !l.up {
		w.pass(w.upTo(30 * time.Second))
		return nil, errNoWay
	}
	if l.narrow > 0 && len(body) > l.narrow {
		return stranger(http.StatusRequestEntityTooLarge, "too large for this proxy"), nil
	}
	if w.chance(0.3) {
		l.to = w.rng.IntN(len(w.servers))
	}
	if w.calm || !w.chance(l.loss) {
		return l.deliver(r, body, nil)
	}
	w.pass(w.upTo(10 * time.Second))
	switch w.rng.IntN(10) {
	case 0: // the request is lost
		return nil, errSilence
	case 1: // the answer is lost
		l.deliver(r, body, nil)
		return nil, errSilence
	case 2: // the request arrives twice
		l.deliver(r, body, nil)
		return l.deliver(r, body, nil)
	case 3: // and again, much later
		l.late(r, body)
		return l.deliver(r, body, nil)
	case 4: // others overtake it
		l.late(r, body)
		return nil, errSilence
	case 5: // it is cut off on the way
		l.deliver(r, body[:w.rng.IntN(len(body)+1)], errCut)
		return nil, errCut
	case 6: // it is so slow that the hub no longer waits for its end
		return l.deliver(r, body[:w.rng.IntN(len(body)+1)], errSilence)
	case 7: // the answer is cut off
		return l.cutAnswer(l.deliver(r, body, nil))
	case 8: // the answer takes its time
		res, err := l.deliver(r, body, nil)
		w.pass(w.upTo(time.Minute))
		return res, err
	}
	return l.strange(), nil
}

// late delivers a copy of the request when its sender no longer thinks of it.
func (l *link) late(r *http.Request, body []byte) {
	s, r := l.w.servers[l.to], r.Clone(context.Background())
	life := s.life // it is on a connection, which ends with the server
	l.w.after(l.w.upTo(10*time.Minute), func() {
		if s.life == life {
			l.w.say("%s: a late %s %s", l.who, r.Method, r.URL.Path)
			s.serve(r, body, nil)
		}
	})
}

func (l *link) cutAnswer(res *http.Response, err error) (*http.Response, error) {
	if err != nil {
		return nil, err
	}
	raw, _ := io.ReadAll(res.Body) // from memory
	res.Body = again(raw[:l.w.rng.IntN(len(raw)+1)], io.ErrUnexpectedEOF)
	return res, nil
}

// strange is an answer of a proxy, or of a hub that has no time.
func (l *link) strange() *http.Response {
	code := []int{302, 403, 404, 407, 429, 500, 502, 503, 200}[l.w.rng.IntN(9)]
	res := stranger(code, "<html>Welcome to the guests' network</html>")
	if code == http.StatusServiceUnavailable || code == http.StatusTooManyRequests {
		res.Header.Set("Retry-After", []string{"0", "7", "90", "soon"}[l.w.rng.IntN(4)])
	}
	return res
}

func stranger(code int, text string) *http.Response {
	return &http.Response{StatusCode: code, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}
}

// deliver hands the request to the server that the link leads to. The body ends with cut, if that is an error.
func (l *link) deliver(r *http.Request, body []byte, cut error) (*http.Response, error) {
	return l.w.servers[l.to].serve(r, body, cut)
}

// serve lets the hub answer. A hub that crashes meanwhile does not.
func (s *server) serve(r *http.Request, body []byte, cut error) (res *http.Response, err error) {
	if !s.up {
		return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
	}
	post := r.Method == http.MethodPost
	if post && s.posting { // it would wait for the other, and in one thread for ever
		return nil, errSilence
	}
	defer func() {
		if p := recover(); p == http.ErrAbortHandler {
			res, err = nil, errCut
		} else if p != nil {
			panic(p)
		}
	}()
	life := s.life
	if post {
		s.posting = true
		defer func() { s.posting = s.posting && s.life != life }()
	}
	there := r.Clone(context.Background())
	there.Body, there.ContentLength, there.RequestURI = again(body, cut), int64(len(body)), ""
	answer := httptest.NewRecorder()
	s.handler.ServeHTTP(answer, there)
	if s.life != life {
		return nil, errCut
	}
	s.w.truth.answered(s, r, body, answer.Code, answer.Body.Bytes())
	return answer.Result(), nil
}
