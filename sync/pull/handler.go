package pull

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	"gatepost/sync/wire"

	"github.com/klauspost/compress/zstd"
)

const (
	maxWait   = 60 * time.Second // that a reader may ask to wait for news
	writeTime = 30 * time.Second // for a reader to take what pageRead records hold
	maxHeld   = 4 << 20          // bytes of entries read before the first is written, to learn whether the page is closed
)

// query is what a reader asks for.
type query struct {
	after Cursor
	limit int
	wait  time.Duration
}

func (s *server) parse(r *http.Request) (q query, err error) {
	form := r.URL.Query()
	q.limit = DefaultLimit
	if text := form.Get("after"); text == "" {
		q.after, err = start(r.Context(), s.Log)
	} else if q.after, err = ParseCursor(text); err != nil {
		err = problem(wire.ProblemCursor, http.StatusBadRequest, "not a cursor of this kind of log")
	}
	if err != nil {
		return q, err
	}
	if text := form.Get("limit"); text != "" {
		if q.limit, err = strconv.Atoi(text); err != nil || q.limit < 1 {
			return q, problem(wire.ProblemRequest, http.StatusBadRequest, "limit is not a whole number from 1")
		}
		q.limit = min(q.limit, MaxLimit)
	}
	if text := form.Get("wait"); text != "" {
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return q, problem(wire.ProblemRequest, http.StatusBadRequest, "wait is not a whole number of seconds")
		}
		q.wait = min(time.Duration(min(n, 3600))*time.Second, maxWait)
	}
	return q, nil
}

// page writes a page. An error means that nothing was written yet.
func (s *server) page(w http.ResponseWriter, r *http.Request, token Token) error {
	q, err := s.parse(r)
	if err != nil {
		return err
	}
	sees := func(device string) bool { return token.everything() || token.sees(s.Area(device)) }
	f := &feed{log: s.Log, sees: sees, at: q.after, left: q.limit}
	http.NewResponseController(w).SetWriteDeadline(time.Now().Add(q.wait + writeTime)) // fails only where no deadline exists
	pieces, whole, err := f.hold(r.Context(), q.wait)
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", TypeLines)
	h.Set("Cache-Control", "no-store")
	h.Set("Vary", "Accept-Encoding, Authorization")
	if len(pieces) == 0 {
		h.Set(CursorHeader, f.at.String())
		return nil
	}
	packed := acceptsZstd(r.Header.Get("Accept-Encoding"))
	if f.left == 0 && whole { // closed: nothing can be added to it
		tag := etag(f.at.Epoch, pieces, packed)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "private, no-cache")
		if matches(r.Header.Values("If-None-Match"), tag) {
			h.Del("Content-Type")
			w.WriteHeader(http.StatusNotModified)
			return nil
		}
	}
	s.write(r.Context(), w, f, pieces, whole, packed)
	return nil
}

// hold reads a page up to maxHeld bytes of entries; whole tells that this is all of it. While the page has none, it
// waits that long for the first one.
func (f *feed) hold(ctx context.Context, wait time.Duration) (held []piece, whole bool, err error) {
	more, err := f.wait(ctx, wait)
	for size := 0; err == nil && len(more) > 0; more, err = f.next(ctx) {
		held = append(held, more...)
		for _, p := range more {
			size += p.size()
		}
		if size >= maxHeld && f.left > 0 {
			return held, false, nil
		}
	}
	return held, true, err
}

// write writes the pieces and, unless they are the whole page, what comes behind them.
func (s *server) write(ctx context.Context, w http.ResponseWriter, f *feed, pieces []piece, whole, packed bool) {
	out, done := io.Writer(w), func() {}
	if packed {
		out, done = compress(w)
	}
	var buf []byte
	ctl := http.NewResponseController(w)
	for len(pieces) > 0 {
		ctl.SetWriteDeadline(time.Now().Add(writeTime))
		for _, p := range pieces {
			var err error
			if buf, err = p.lines(buf[:0], f.at.Epoch); err == nil {
				_, err = out.Write(buf)
			}
			if err != nil {
				return // the reader has gone; the last whole line it got carries its cursor
			}
		}
		if pieces = nil; !whole {
			var err error
			if pieces, err = f.next(ctx); err != nil {
				s.Out.Error("page cut off", "error", err)
				panic(http.ErrAbortHandler) // the reader must see that the page is not whole
			}
		}
	}
	done()
}

// lines appends the lines of p.
func (p piece) lines(b []byte, epoch string) ([]byte, error) {
	for i := p.from; i < p.to; i++ {
		l, err := line(Cursor{epoch, p.seq, i + 1}, p.Batch, p.Entries[i])
		if err != nil {
			return b, err
		}
		b = l.append(b)
	}
	return b, nil
}

// etag names the very bytes of a page: its lines follow from which entries of which records it shows, and a batch's
// heads and signature stand for each byte of them. The number after "page" changes with the lines' form.
func etag(epoch string, pieces []piece, packed bool) string {
	sum := sha256.New()
	fmt.Fprintf(sum, "page 2 %s\n", epoch)
	for _, p := range pieces {
		fmt.Fprintf(sum, "%d %d %d %s %v %v %x\n", p.seq, p.from, p.to, p.Device, p.Before(), p.After(), p.Sig)
	}
	suffix := ""
	if packed {
		suffix = "-zstd"
	}
	return fmt.Sprintf(`"%x%s"`, sum.Sum(nil)[:16], suffix)
}

// matches tells whether an If-None-Match names tag. Our tags hold no comma.
func matches(headers []string, tag string) bool {
	for _, h := range headers {
		for t := range strings.SplitSeq(h, ",") {
			if t = strings.TrimPrefix(strings.TrimSpace(t), "W/"); t == tag || t == "*" {
				return true
			}
		}
	}
	return false
}

// compress returns where to write and what to call at the page's end.
func compress(w http.ResponseWriter) (io.Writer, func()) {
	z, err := zstd.NewWriter(w, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(1<<20))
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
