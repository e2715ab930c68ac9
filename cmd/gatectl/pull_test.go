package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"log/slog"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
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
	hub      *hub.Hub
	device   ed25519.PrivateKey
	head     entry.Head
}

func newPullWorld(t *testing.T) *pullWorld {
	t.Helper()
	w := &pullWorld{dir: t.TempDir()}
	fatal(t, keyfile.Create(filepath.Join(w.dir, "keys"), "gate-1", "device"))
	fatal(t, keyfile.Create(w.dir, "authority", keyfile.Authority))
	fatal(t, os.Mkdir(w.path("devices"), 0o700))
	fatal(t, os.Rename(w.path("keys/gate-1.pub.pem"), w.path("devices/gate-1.pub.pem")))
	var err error
	w.device, err = keyfile.Private(w.path("keys/gate-1.key"))
	fatal(t, err)
	fatal(t, os.WriteFile(w.path("token"), []byte("0123456789abcdef\n"), 0o600))
	tokens, err := pull.ReadTokens(w.path("token"))
	fatal(t, err)
	w.hub, err = hub.Open(t.Context(), hub.Options{
		Dir: w.path("log"), ReceiptKey: w.device, Now: time.Now,
		Devices: func(string) (ed25519.PublicKey, bool) { return w.device.Public().(ed25519.PublicKey), true },
	})
	fatal(t, err)
	t.Cleanup(w.hub.Close)
	s := httptest.NewTLSServer(pull.Handler(w.hub, tokens, slog.New(slog.DiscardHandler)))
	t.Cleanup(s.Close)
	w.url = s.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	fatal(t, os.WriteFile(w.path("ca.pem"), ca, 0o600))
	w.send(t, 3)
	return w
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
	authority, err := keyfile.SealPublic(w.path("authority.pub.pem"))
	fatal(t, err)
	sealer, err := entry.NewSealer(authority)
	fatal(t, err)
	var raws [][]byte
	for range n {
		sealed, err := sealer.Seal(entry.Personal{Family: "cccd", Name: "Trần Thị Bích", Reason: entry.ReasonDeclared})
		fatal(t, err)
		d, err := entry.NewDraft(entry.Stamp{}, entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit, Sealed: sealed})
		fatal(t, err)
		raw, err := entry.Entry{Kind: d.Kind, Seq: w.head.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: w.head.Hash, Body: d.Body}.Marshal()
		fatal(t, err)
		raws, w.head = append(raws, raw), entry.Head{Seq: w.head.Seq + 1, Hash: entry.HashOf(raw)}
	}
	b, err := wire.Sign(w.device, raws)
	fatal(t, err)
	raw, err := b.Marshal()
	fatal(t, err)
	_, err = w.hub.Put(t.Context(), raw)
	fatal(t, err)
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
