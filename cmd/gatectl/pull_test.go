package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/sync/hub"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// pullWorld is a hub with three entries, and the files that a puller needs: token, ca.pem, devices, authority.key.
type pullWorld struct {
	dir, url string
	device   ed25519.PrivateKey
	head     entry.Head
	server   *httptest.Server
	places   []pull.Device // what the status names

	mu        sync.Mutex // guards what follows, which begins anew when the hub does
	hub       *hub.Hub
	consumers *pull.Consumers
	handler   http.Handler
}

func newPullWorld(t *testing.T) *pullWorld {
	t.Helper()
	w := &pullWorld{dir: t.TempDir()}
	fatal(t, keyfile.Create(w.dir, "authority", keyfile.Authority))
	fatal(t, os.Mkdir(w.path("devices"), 0o700))
	w.device = w.gate(t, "gate-1")
	fatal(t, os.WriteFile(w.path("token"), []byte("0123456789abcdef\n"), 0o600))
	w.server = httptest.NewTLSServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		w.mu.Lock()
		handler := w.handler
		w.mu.Unlock()
		handler.ServeHTTP(out, r)
	}))
	t.Cleanup(w.server.Close)
	w.url = w.server.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.server.Certificate().Raw})
	fatal(t, os.WriteFile(w.path("ca.pem"), ca, 0o600))
	w.open(t)
	t.Cleanup(func() { w.hub.Close() })
	w.send(t, 3)
	return w
}

// serve puts a handler in the hub's place.
func (w *pullWorld) serve(h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.handler = h
}

// gate makes a device's key, which the hub knows from then on.
func (w *pullWorld) gate(t *testing.T, name string) ed25519.PrivateKey {
	t.Helper()
	fatal(t, keyfile.Create(w.path("keys"), name, "device"))
	fatal(t, os.Rename(w.path("keys/"+name+".pub.pem"), w.path("devices/"+name+".pub.pem")))
	key, err := keyfile.Private(w.path("keys/" + name + ".key"))
	fatal(t, err)
	return key
}

// open opens the hub over its folder.
func (w *pullWorld) open(t *testing.T) {
	t.Helper()
	tokens, err := pull.ReadTokens(w.path("token"))
	fatal(t, err)
	consumers, err := pull.OpenConsumers(w.path("consumers.json"))
	fatal(t, err)
	h, err := hub.Open(t.Context(), hub.Options{
		Dir: w.path("log"), ReceiptKey: w.device, Now: time.Now,
		Devices: func(id string) (ed25519.PublicKey, bool) {
			keys, err := keyfile.Dir(w.path("devices"))
			for _, k := range keys {
				if err == nil && entry.DeviceID(k) == id {
					return k, true
				}
			}
			return nil, false
		},
	})
	fatal(t, err)
	fatal(t, consumers.Attach(t.Context(), h))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hub, w.consumers = h, consumers
	w.handler = pull.New(pull.Options{
		Log: h, Tokens: tokens, Consumers: consumers, Release: h.Release, Out: slog.New(slog.DiscardHandler),
		Fleet: func(context.Context) ([]pull.Device, error) { return w.places, nil },
	})
}

func fatal(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *pullWorld) path(name string) string { return filepath.Join(w.dir, filepath.FromSlash(name)) }

// send puts a batch of n passages into the hub's log.
func (w *pullWorld) send(t *testing.T, n int) {
	t.Helper()
	bodies := make([]entry.Body, n)
	for i := range bodies {
		bodies[i] = w.passage(t, entry.Personal{Family: "cccd", Name: "Trần Thị Bích", Reason: entry.ReasonDeclared})
	}
	fatal(t, w.put(t.Context(), w.device, &w.head, entry.Stamp{}, bodies...))
}

// passage is somebody who was admitted.
func (w *pullWorld) passage(t *testing.T, p entry.Personal) entry.Passage {
	t.Helper()
	authority, err := keyfile.SealPublic(w.path("authority.pub.pem"))
	fatal(t, err)
	sealer, err := entry.NewSealer(authority)
	fatal(t, err)
	sealed, err := sealer.Seal(p)
	fatal(t, err)
	return entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit, Sealed: sealed}
}

// put sends a batch that goes on behind head, and moves it.
func (w *pullWorld) put(ctx context.Context, device ed25519.PrivateKey, head *entry.Head, stamp entry.Stamp, bodies ...entry.Body) error {
	var raws [][]byte
	at := *head
	for _, body := range bodies {
		d, err := entry.NewDraft(stamp, body)
		if err != nil {
			return err
		}
		raw, err := entry.Entry{Kind: d.Kind, Seq: at.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: at.Hash, Body: d.Body}.Marshal()
		if err != nil {
			return err
		}
		raws, at = append(raws, raw), entry.Head{Seq: at.Seq + 1, Hash: entry.HashOf(raw)}
	}
	b, err := wire.Sign(device, raws)
	if err != nil {
		return err
	}
	raw, err := b.Marshal()
	if err == nil {
		_, err = w.hub.Begin(ctx, raw) // a test may begin anywhere
	}
	if err == nil {
		*head = at
	}
	return err
}

// pull runs the command with the world's hub, token and certificate.
func (w *pullWorld) pull(ctx context.Context, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	args = append([]string{"pull", "-hub", w.url, "-token", w.path("token"), "-ca", w.path("ca.pem")}, args...)
	code = run(ctx, env{strings.NewReader(""), &o, &e}, args)
	return code, o.String(), e.String()
}

func TestPull(t *testing.T) {
	w := newPullWorld(t)
	code, out, errs := w.pull(t.Context(), "-devices", w.path("devices"))
	if code != exitOK || strings.Count(out, "\n") != 3 || strings.Contains(out, "Bích") {
		t.Fatalf("status %d, %s, %s", code, out, errs)
	}
	cursor, ok := strings.CutPrefix(strings.TrimSpace(errs), "cursor ")
	if !ok || cursor != w.hub.Epoch()+".1.3" {
		t.Errorf("last cursor %q", errs)
	}
	if code, out, errs = w.pull(t.Context(), "-after", cursor); code != exitOK || out != "" || strings.TrimSpace(errs) != "cursor "+cursor {
		t.Errorf("nothing new: status %d, %s, %s", code, out, errs)
	}
	w.send(t, 2)
	code, out, _ = w.pull(t.Context(), "-after", cursor, "-key", w.path("authority.key"))
	var seqs []uint64
	for line := range strings.Lines(out) {
		var l pull.Line
		fatal(t, json.Unmarshal([]byte(line), &l))
		seqs = append(seqs, l.Seq)
		if l.Personal == nil || l.Personal.Name != "Trần Thị Bích" {
			t.Errorf("entry %d was not opened: %s", l.Seq, line)
		}
	}
	if code != exitOK || fmt.Sprint(seqs) != "[4 5]" {
		t.Errorf("status %d, entries %v, want 4 and 5", code, seqs)
	}
}

func TestPullFails(t *testing.T) {
	w := newPullWorld(t)
	empty := t.TempDir()
	fatal(t, os.WriteFile(w.path("other"), []byte("fedcba9876543210\n"), 0o600))
	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no hub", []string{"-hub", ""}, exitUsage, "-hub and -token are needed"},
		{"more words", []string{"more"}, exitUsage, "-hub and -token are needed"},
		{"unknown flag", []string{"-colour"}, exitUsage, "-colour"},
		{"old cursor", []string{"-after", "gone.4.2"}, exitFail, "begins anew at " + w.hub.Epoch() + ".0.0"},
		{"no cursor", []string{"-after", "?"}, exitFail, "not a cursor"},
		{"wrong token", []string{"-token", w.path("other")}, exitFail, "token"},
		{"no token file", []string{"-token", w.path("none")}, exitFail, "read token"},
		{"no such authority", []string{"-ca", w.path("token")}, exitFail, "holds no certificate"},
		{"other authority", []string{"-ca", ""}, exitFail, "certificate"},
		{"unknown device", []string{"-devices", empty}, exitFail, "no key of this device"},
		{"signing key as authority", []string{"-key", w.path("keys/gate-1.key")}, exitFail, "gate-1.key"},
		{"nobody there", []string{"-hub", "https://127.0.0.1:1"}, exitFail, "hub not reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			code, _, errs := w.pull(t.Context(), c.args...)
			if code != c.code || !strings.Contains(errs, c.says) {
				t.Errorf("status %d, %q, want %d, %q", code, errs, c.code, c.says)
			}
		})
	}
	if code, out, _ := w.pull(t.Context(), "-h"); code != exitOK || !strings.Contains(out, "-follow") {
		t.Errorf("-h: status %d, %q", code, out)
	}
}

// cutInside lets the hub lose the last entry of its log, and with it the signature of the batch.
func (w *pullWorld) cutInside() {
	hub := w.handler
	w.serve(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathLog {
			hub.ServeHTTP(out, r)
		} else if r.URL.Query().Get("after") == "" {
			page := httptest.NewRecorder()
			r.Header.Del("Accept-Encoding")
			hub.ServeHTTP(page, r)
			lines := bytes.SplitAfter(page.Body.Bytes(), []byte("\n"))
			out.Write(bytes.Join(lines[:len(lines)-2], nil)) // an empty one follows the last
		}
	}))
}

// A log that ends inside a batch is an error: nobody has signed its last entries.
func TestPullOfACutLog(t *testing.T) {
	w := newPullWorld(t)
	w.cutInside()
	code, out, errs := w.pull(t.Context(), "-devices", w.path("devices"))
	if code != exitFail || strings.Count(out, "\n") != 2 || !strings.Contains(errs, "the log ends inside a batch of device "+entry.DeviceID(w.device.Public().(ed25519.PublicKey))) {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
}

// The token goes to the hub and nowhere else, whoever is named by a redirection.
func TestPullFollowsNoRedirection(t *testing.T) {
	w := newPullWorld(t)
	var words []string
	other := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		words = append(words, r.Header.Get("Authorization"))
	}))
	defer other.Close() // its certificate is the hub's
	w.serve(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	code, _, errs := w.pull(t.Context())
	other.Close() // waits for its requests
	if code != exitFail || len(words) != 0 {
		t.Errorf("status %d, %s; the other address got %q", code, errs, words)
	}
}

// A token's line may name the areas that it opens, as in the hub's own file.
func TestPullTakesATokenWithAreas(t *testing.T) {
	w := newPullWorld(t)
	fatal(t, os.WriteFile(w.path("areas"), []byte("0123456789abcdef Quang Minh, Mê Linh\n"), 0o600))
	if code, out, errs := w.pull(t.Context(), "-token", w.path("areas")); code != exitOK || strings.Count(out, "\n") != 3 {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
}

// A follower gets what comes later, and ends well when it is interrupted.
func TestPullFollows(t *testing.T) {
	w := newPullWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	var errs bytes.Buffer
	out := &countingLines{want: 5, reached: cancel}
	done := make(chan int)
	go func() {
		done <- run(ctx, env{strings.NewReader(""), out, &errs}, []string{
			"pull", "-hub", w.url, "-token", w.path("token"), "-ca", w.path("ca.pem"), "-follow",
		})
	}()
	w.send(t, 2)
	if code := <-done; code != exitOK || !strings.Contains(errs.String(), "cursor "+w.hub.Epoch()+".2.2") {
		t.Errorf("status %d, %s", code, &errs)
	}
}

// countingLines calls reached when it has been written so many lines.
type countingLines struct {
	n, want int
	reached func()
}

func (c *countingLines) Write(p []byte) (int, error) {
	if c.n += bytes.Count(p, []byte("\n")); c.n >= c.want {
		c.reached()
	}
	return len(p), nil
}
