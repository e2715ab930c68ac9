package pull

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/wire"

	"github.com/klauspost/compress/zstd"
)

const (
	maxWait   = 60 * time.Second // that a reader may ask to wait for news
	pageRead  = 8                // records in memory at once
	writeTime = 30 * time.Second // for a reader to take what pageRead records hold
)

// Handler serves pages of log at wire.PathLog to whoever shows one of the tokens.
func Handler(log Log, tokens Tokens, out *slog.Logger) http.Handler {
	return &handler{log, tokens, out}
}

type handler struct {
	log    Log
	tokens Tokens
	out    *slog.Logger
}

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		problem(wire.ProblemRequest, http.StatusMethodNotAllowed, "method not served here").Write(w)
		return
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if !ok || !h.tokens.Has(token) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		problem(wire.ProblemToken, http.StatusUnauthorized, "no token that this log knows").Write(w)
		return
	}
	q, err := h.parse(r)
	if err == nil {
		err = h.page(w, r, q)
	}
	if p := (wire.Problem{}); errors.As(err, &p) {
		p.Write(w)
	} else if err != nil {
		h.out.Error("page not served", "error", err)
		w.Header().Set("Retry-After", "5")
		problem(wire.ProblemStore, http.StatusServiceUnavailable, "the log cannot be read").Write(w)
	}
}

// query is what a reader asks for.
type query struct {
	after Cursor
	limit int
	wait  time.Duration
}

func (h *handler) parse(r *http.Request) (q query, err error) {
	form := r.URL.Query()
	q = query{after: Cursor{Epoch: h.log.Epoch()}, limit: DefaultLimit}
	if s := form.Get("after"); s != "" {
		if q.after, err = ParseCursor(s); err != nil {
			return q, problem(wire.ProblemCursor, http.StatusBadRequest, "not a cursor of this kind of log")
		}
	}
	if s := form.Get("limit"); s != "" {
		if q.limit, err = strconv.Atoi(s); err != nil || q.limit < 1 {
			return q, problem(wire.ProblemRequest, http.StatusBadRequest, "limit is not a whole number from 1")
		}
		q.limit = min(q.limit, MaxLimit)
	}
	if s := form.Get("wait"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 0 {
			return q, problem(wire.ProblemRequest, http.StatusBadRequest, "wait is not a whole number of seconds")
		}
		q.wait = min(time.Duration(min(n, 3600))*time.Second, maxWait)
	}
	return q, nil
}

// page writes a page. An error means that nothing was written yet.
func (h *handler) page(w http.ResponseWriter, r *http.Request, q query) error {
	ctl := http.NewResponseController(w)
	f := &feed{log: h.log, at: q.after, left: q.limit}
	ctl.SetWriteDeadline(time.Now().Add(q.wait + writeTime)) // fails only where no deadline exists
	lines, err := f.wait(r.Context(), q.wait)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", TypeLines)
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("Vary", "Accept-Encoding")
	if len(lines) == 0 {
		w.Header().Set(CursorHeader, f.at.String())
		return nil
	}
	out, done := compress(w, r)
	enc := json.NewEncoder(out)
	for len(lines) > 0 && err == nil {
		for _, l := range lines {
			if err = enc.Encode(l); err != nil {
				return nil // the reader has gone; the last whole line it got carries its cursor
			}
		}
		ctl.SetWriteDeadline(time.Now().Add(writeTime))
		lines, err = f.next(r.Context())
	}
	if err != nil {
		h.out.Error("page cut off", "error", err)
		panic(http.ErrAbortHandler) // the reader must see that the page is not whole
	}
	done()
	return nil
}

// compress returns where to write and what to call at the page's end.
func compress(w http.ResponseWriter, r *http.Request) (io.Writer, func()) {
	if !acceptsZstd(r.Header.Get("Accept-Encoding")) {
		return w, func() {}
	}
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(1<<20))
	if err != nil {
		return w, func() {} // cannot be: the options are constants
	}
	w.Header().Set("Content-Encoding", "zstd")
	return z, func() { z.Close() } // an error means that the reader has gone
}

func acceptsZstd(header string) bool {
	for part := range strings.SplitSeq(header, ",") {
		name, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "zstd") {
			q = strings.ReplaceAll(q, " ", "")
			return q != "q=0" && q != "q=0.0" && q != "q=0.00" && q != "q=0.000"
		}
	}
	return false
}

// feed walks the log from a cursor.
type feed struct {
	log  Log
	at   Cursor
	left int // lines that may still be given
}

// wait returns the first lines; when there are none yet, it waits for them that long.
func (f *feed) wait(ctx context.Context, most time.Duration) ([]Line, error) {
	timed, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	for {
		lines, err := f.next(ctx)
		if err != nil || len(lines) > 0 || most == 0 {
			return lines, err
		}
		if f.log.Wait(timed, f.at.Seq) != nil {
			return nil, nil // no news in time
		}
	}
}

// next returns more lines, or none when all that the log holds now has been read.
func (f *feed) next(ctx context.Context) ([]Line, error) {
	var lines []Line
	for len(lines) == 0 && f.left > 0 {
		records, last, err := f.log.Read(ctx, f.at.after(), pageRead)
		if err != nil {
			return nil, err
		}
		if f.at.Epoch != f.log.Epoch() || f.at.Seq > last {
			return nil, gone(f.log.Epoch())
		}
		at := f.at
		for _, r := range records {
			if lines, err = f.take(lines, r); err != nil {
				return nil, err
			}
		}
		if at == f.at {
			break
		}
	}
	return lines, nil
}

// take adds the unread entries of r to lines and moves the cursor behind them.
func (f *feed) take(lines []Line, r wire.Record) ([]Line, error) {
	if r.Seq != f.at.Seq {
		if f.left == 0 {
			return lines, nil
		}
		f.at = Cursor{f.at.Epoch, r.Seq, 0}
	}
	if r.Alarm != nil { // officers see it on their pages
		return lines, nil
	}
	b, err := wire.Parse(r.Raw)
	if err != nil {
		return lines, err
	}
	for f.left > 0 && f.at.Done < len(b.Entries) {
		raw := b.Entries[f.at.Done]
		f.at.Done++
		f.left--
		l, err := line(f.at, b, raw)
		if err != nil {
			return lines, err
		}
		lines = append(lines, l)
	}
	return lines, nil
}

func gone(epoch string) wire.Problem {
	p := problem(wire.ProblemCursor, http.StatusGone, "the log of this cursor is gone")
	p.Start = Cursor{Epoch: epoch}.String()
	return p
}

func problem(kind string, status int, title string) wire.Problem {
	return wire.Problem{Type: kind, Title: title, Status: status}
}
