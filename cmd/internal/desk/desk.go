// Package desk is the officer's first page: at how many gates somebody showed a code today, passages by area
// and day, alarms, and as of when. It shows what storage/view counts and says how each figure is counted.
//
// The pages know no person and no password: they show numbers, places and device ids. Whoever lets others
// than the own machine reach them puts a login in front.
package desk

import (
	"bytes"
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"log/slog"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"gatepost/storage/view"
)

//go:embed page
var files embed.FS

const (
	maxListeners = 64               // pages that are open and wait for news
	breath       = time.Second      // between two pieces of news to one page
	heartbeat    = 30 * time.Second // without any: the day may have ended
	writeTime    = 30 * time.Second
)

// Options are what a desk is made of.
type Options struct {
	View  *view.View
	Zone  *time.Location   // the same as the view's
	Now   func() time.Time // says which day is today
	Name  string           // of the authority, at the top of the page
	Areas []string         // in the order of the page; others follow by name
	Log   *slog.Logger
}

// A Desk serves the pages. Its Handler is safe for concurrent use.
type Desk struct {
	opt  Options
	page *template.Template

	mu      sync.Mutex // guards what follows
	cached  *Figures   // nil: the view has changed
	news    chan struct{}
	waiting int
}

// New makes a desk.
func New(opt Options) (*Desk, error) {
	page, err := template.New("desk.html").Funcs(template.FuncMap{
		"number": number, "share": share, "shortDay": shortDay, "longDay": longDay, "moment": moment,
	}).ParseFS(files, "page/desk.html")
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	return &Desk{opt: opt, page: page, news: make(chan struct{})}, nil
}

// Changed says that the view has changed.
func (d *Desk) Changed() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cached = nil
	close(d.news)
	d.news = make(chan struct{})
}

// Handler serves the page at /, its figures as JSON at /figures.json and news of changes at /events.
func (d *Desk) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", d.serve(d.servePage))
	mux.HandleFunc("GET /figures.json", d.serve(d.serveJSON))
	mux.HandleFunc("GET /events", d.serveEvents)
	for name, kind := range map[string]string{
		"desk.css": "text/css; charset=utf-8", "desk.js": "text/javascript; charset=utf-8", "icon.svg": "image/svg+xml",
	} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", kind)
			http.ServeFileFS(w, r, files, "page/"+name)
		})
	}
	return d.guard(mux)
}

// guard sets the headers that every answer carries, and keeps a panic of one request from ending the hub.
func (d *Desk) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			if p := recover(); p != nil {
				d.opt.Log.Error("page failed", "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				http.Error(w, "the page failed", http.StatusInternalServerError)
			}
		}()
		h := w.Header()
		h.Set("Content-Security-Policy", "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// figures returns today's figures. They are read once for each change, whoever asks.
func (d *Desk) figures(ctx context.Context) (*Figures, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.opt.Now().In(d.opt.Zone)
	if d.cached != nil && d.cached.Day == now.Format(time.DateOnly) {
		return d.cached, nil
	}
	f, err := figures(ctx, d.opt.View, now, d.opt.Areas)
	d.cached = f
	return f, err
}

// serve turns an error into an answer that tells nothing but that there is one.
func (d *Desk) serve(f func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := f(w, r); err != nil && r.Context().Err() == nil {
			d.opt.Log.Error("page failed", "path", r.URL.Path, "error", err)
			http.Error(w, "the figures cannot be read", http.StatusServiceUnavailable)
		}
	}
}

func (d *Desk) servePage(w http.ResponseWriter, r *http.Request) error {
	f, err := d.figures(r.Context())
	if err != nil {
		return err
	}
	var b bytes.Buffer
	err = d.page.Execute(&b, struct {
		*Figures
		Name      string
		Chart     chart
		TableDays []Day
	}{f, d.opt.Name, draw(f.Days), f.Days[len(f.Days)-tableDays:]})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write(b.Bytes())
	return err
}

func (d *Desk) serveJSON(w http.ResponseWriter, r *http.Request) error {
	f, err := d.figures(r.Context())
	if err != nil {
		return err
	}
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	_, err = w.Write(append(raw, '\n'))
	return err
}

// serveEvents tells an open page that there are new figures, until the page is closed.
func (d *Desk) serveEvents(w http.ResponseWriter, r *http.Request) {
	if !d.enter() {
		http.Error(w, "too many pages are open", http.StatusServiceUnavailable)
		return
	}
	defer d.leave()
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	for {
		d.mu.Lock()
		news := d.news
		d.mu.Unlock()
		out.SetWriteDeadline(time.Now().Add(writeTime)) // fails only where no deadline exists
		if _, err := fmt.Fprint(w, "event: figures\ndata: new\n\n"); err != nil || out.Flush() != nil {
			return
		}
		if !pause(r.Context(), nil, breath) || !pause(r.Context(), news, heartbeat) {
			return
		}
	}
}

// pause waits for news, but not longer than most; it returns false when ctx has ended.
func pause(ctx context.Context, news <-chan struct{}, most time.Duration) bool {
	t := time.NewTimer(most)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-news:
	case <-t.C:
	}
	return true
}

func (d *Desk) enter() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.waiting >= maxListeners {
		return false
	}
	d.waiting++
	return true
}

func (d *Desk) leave() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.waiting--
}
