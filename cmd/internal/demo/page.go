package demo

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"time"

	"gatepost/cmd/internal/guard"
)

//go:embed page
var pages embed.FS

// servePage serves the viewer's page until ctx ends: the guard's console and the officer's page side by side,
// and buttons to break things. It returns the page's address.
func (d *demo) servePage(ctx context.Context) (string, error) {
	address := d.Page
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", fmt.Errorf("viewer's page: %w", err)
	}
	static, err := fs.Sub(pages, "page")
	if err != nil {
		return "", err
	}
	index, err := template.ParseFS(static, "index.html")
	if err != nil {
		return "", err
	}
	mux := http.NewServeMux()
	mux.Handle("/", http.FileServerFS(static))
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		if err := index.Execute(w, d.form); err != nil {
			d.say("the viewer's page: %v", err)
		}
	})
	mux.HandleFunc("GET /lines", d.serveLines)
	mux.HandleFunc("POST /break/{what}", d.serveBreak)
	mux.HandleFunc("POST /declare", d.serveDeclare)
	for prefix, to := range map[string]string{"/kiosk/": d.kioskURL, "/desk/": d.deskURL} {
		u, err := url.Parse(to)
		if err != nil {
			return "", err
		}
		mux.Handle(prefix, http.StripPrefix(prefix[:len(prefix)-1], proxy(u)))
	}
	s := &http.Server{Handler: guard.Shield(http.NewCrossOriginProtection().Handler(mux), slog.New(slog.DiscardHandler)), ReadHeaderTimeout: 5 * time.Second}
	go s.Serve(l) // ends with Close
	context.AfterFunc(ctx, func() { s.Close() })
	return "http://" + l.Addr().String() + "/", nil
}

// proxy hands a page on, so that the viewer's page may frame it.
func proxy(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite:       func(r *httputil.ProxyRequest) { r.SetURL(to) },
		FlushInterval: -1, // server-sent events must not wait
		Transport:     local.Transport,
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.Header().Set("Refresh", "1")
			w.WriteHeader(http.StatusBadGateway)
			fmt.Fprint(w, "<p style='font:1.1rem sans-serif;padding:2rem'>Not running yet – this page looks again every second.")
		},
	}
}

// serveLines streams what was told, from the first line on.
func (d *demo) serveLines(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w)
	for sent := 0; ; {
		d.mu.Lock()
		lines, news := d.lines, d.news
		d.mu.Unlock()
		for _, l := range lines[sent:] {
			if _, err := fmt.Fprintf(w, "data: %s\n\n", l); err != nil {
				return
			}
		}
		sent = len(lines)
		if flush.Flush() != nil {
			return
		}
		select {
		case <-r.Context().Done():
			return
		case <-news:
		}
	}
}

// serveBreak breaks or mends something.
func (d *demo) serveBreak(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	d.hand = true
	d.mu.Unlock()
	var err error
	switch what := r.PathValue("what"); what {
	case "network":
		cut := !d.relay.isCut()
		d.relay.setCut(cut)
		d.say("viewer: network %s", map[bool]string{true: "cut", false: "mended"}[cut])
	case "kill":
		d.kiosk.Kill()
		d.say("viewer: kiosk killed (-9), starting it again")
		err = d.kiosk.Start()
	case "disk":
		full := r.FormValue("full") == "true"
		if err = d.kiosk.Fill(full); err == nil {
			d.say("viewer: disk %s", map[bool]string{true: "full", false: "has room again"}[full])
		}
	default:
		err = errors.New("nothing to break here")
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// serveDeclare signs the viewer's own declaration and holds its code before the simulated camera.
func (d *demo) serveDeclare(w http.ResponseWriter, r *http.Request) {
	who := person{name: r.FormValue("name"), birth: r.FormValue("year"), number: r.FormValue("tail")}
	answers := healthy(d.form)
	for id := range answers {
		answers[id] = r.FormValue(id) == "yes"
	}
	text, err := d.declare(who, answers, time.Now())
	if err == nil {
		d.mu.Lock()
		d.self = append(d.self, who.name)
		d.mu.Unlock()
		err = d.show(laneSelf, text)
	}
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	d.say("viewer: shows a declaration of their own")
	w.WriteHeader(http.StatusNoContent)
}
