package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/hub"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

// A stickWorld is two gates that have no network, a hub that knows both, and the stick that goes between them.
type stickWorld struct {
	t          *testing.T
	dir, stick string
	hub        *hub.Hub
	receipts   ed25519.PublicKey
	url        string
	devices    map[string]ed25519.PublicKey
	handler    http.Handler
}

func newStickWorld(t *testing.T) *stickWorld {
	t.Helper()
	w := &stickWorld{t: t, dir: t.TempDir(), stick: t.TempDir(), devices: map[string]ed25519.PublicKey{}}
	fatal(t, keyfile.Create(w.dir, "authority", keyfile.Authority))
	w.begin("log")
	s := httptest.NewTLSServer(http.HandlerFunc(func(a http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(a, r) }))
	t.Cleanup(s.Close)
	w.url = s.URL
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw})
	fatal(t, os.WriteFile(w.path("ca.pem"), ca, 0o600))
	return w
}

// begin gives the hub an empty log.
func (w *stickWorld) begin(log string) {
	w.t.Helper()
	if w.hub != nil {
		w.hub.Close()
	}
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	w.receipts = key.Public().(ed25519.PublicKey)
	var err error
	w.hub, err = hub.Open(w.t.Context(), hub.Options{
		Dir: w.path(log), ReceiptKey: key, Now: time.Now,
		Devices: func(id string) (ed25519.PublicKey, bool) { k, ok := w.devices[id]; return k, ok },
	})
	fatal(w.t, err)
	w.t.Cleanup(w.hub.Close)
	w.handler = w.hub.Handler()
}

func (w *stickWorld) path(name string) string { return filepath.Join(w.dir, name) }

// A gate is a journal and its key.
type gate struct {
	w    *stickWorld
	name string
	id   string
	key  ed25519.PrivateKey
	*journal.Journal
}

func (w *stickWorld) gate(name string) *gate {
	w.t.Helper()
	fatal(w.t, keyfile.Create(w.dir, name, "device"))
	key, err := keyfile.Private(w.path(name + ".key"))
	fatal(w.t, err)
	g := &gate{w: w, name: name, id: entry.DeviceID(key.Public().(ed25519.PublicKey)), key: key}
	w.devices[g.id] = key.Public().(ed25519.PublicKey)
	g.open()
	return g
}

func (g *gate) open() {
	g.w.t.Helper()
	var err error
	g.Journal, err = journal.Open(g.w.path(g.name+".journal"), journal.Options{Device: g.id})
	fatal(g.w.t, err)
	g.w.t.Cleanup(func() { g.Close() })
}

// pass lets n people through.
func (g *gate) pass(n int) {
	t := g.w.t
	t.Helper()
	authority, err := keyfile.SealPublic(g.w.path("authority.pub.pem"))
	fatal(t, err)
	sealer, err := entry.NewSealer(authority)
	fatal(t, err)
	for range n {
		sealed, err := sealer.Seal(entry.Personal{Family: "cccd", Name: "Trần Thị Bích", Reason: entry.ReasonDeclared})
		fatal(t, err)
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Now()}, entry.Passage{Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Sealed: sealed})
		fatal(t, err)
		_, err = g.Append(t.Context(), d)
		fatal(t, err)
	}
}

// export is what the kiosk does when the stick is put in.
func (g *gate) export() {
	t := g.w.t
	t.Helper()
	fatal(t, uplink.TakeReceipts(g.Journal, g.w.receipts, g.id, g.w.stick))
	fatal(t, uplink.Export(t.Context(), g.Journal, g.key, "", g.w.stick, func(_, _ uint64) {}))
}

// holds checks that the hub has the whole chain.
func (g *gate) holds() {
	t := g.w.t
	t.Helper()
	s, err := g.w.hub.State(t.Context(), g.id)
	fatal(t, err)
	if head := g.Head(); s.Seq != head.Seq || s.Hash != head.Hash.String() {
		t.Errorf("%s: the hub stands at %d, the journal at %d", g.name, s.Seq, head.Seq)
	}
}

// run runs a subcommand on the stick.
func (w *stickWorld) run(command string, args ...string) (code int, out, errs string) {
	var o, e bytes.Buffer
	if command == "import" {
		args = append([]string{"-hub", w.url, "-ca", w.path("ca.pem")}, args...)
	}
	code = run(w.t.Context(), env{strings.NewReader(""), &o, &e}, append(append([]string{command}, args...), w.stick))
	return code, o.String(), e.String()
}

// files returns what lies on the stick.
func (w *stickWorld) files() map[string]string {
	w.t.Helper()
	found := map[string]string{}
	fatal(w.t, filepath.WalkDir(w.stick, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		raw, err := os.ReadFile(path)
		found[strings.TrimPrefix(path, w.stick+"/")] = string(raw)
		return err
	}))
	return found
}

func (g *gate) file(first, last uint64) string {
	return filepath.Join(g.w.stick, "GATEPOST", g.id, uplink.Span{First: first, Last: last}.String())
}

// Two gates without a network, one stick: journal, export, import, receipt, and the journal says receipted.
func TestStickThereAndBack(t *testing.T) {
	w := newStickWorld(t)
	a, b := w.gate("gate-1"), w.gate("gate-2")
	a.pass(520)
	b.pass(7)
	a.export()
	b.export()
	for name, raw := range w.files() {
		for _, secret := range []string{"Trần", "Bích", "Thị", "cccd"} {
			if strings.Contains(raw, secret) {
				t.Errorf("%s shows %q", name, secret)
			}
		}
	}
	code, out, errs := w.run("import")
	if code != exitOK || errs != "" ||
		!strings.Contains(out, a.id+": 520 entries taken, 0 already there, 0 files refused, the hub holds up to 520\n") ||
		!strings.Contains(out, b.id+": 7 entries taken, 0 already there, 0 files refused, the hub holds up to 7\n") {
		t.Fatalf("status %d, %s, %s", code, out, errs)
	}
	a.holds()
	b.holds()
	want := w.files()
	code, out, errs = w.run("import")
	if code != exitOK || !strings.Contains(out, a.id+": 0 entries taken, 520 already there, 0 files refused") {
		t.Errorf("the second time: status %d, %s, %s", code, out, errs)
	}
	got := w.files()
	for _, m := range []map[string]string{want, got} { // receipts are signed anew, with the time
		maps.DeleteFunc(m, func(name, _ string) bool { return strings.HasSuffix(name, "receipt.json") })
	}
	if !maps.Equal(got, want) {
		t.Error("the second import changed the stick")
	}
	a.pass(1)
	a.export()
	b.export()
	if a.Receipted() != 520 || b.Receipted() != 7 {
		t.Errorf("receipted %d and %d", a.Receipted(), b.Receipted())
	}
	if n := len(w.files()); n != 3 { // two receipts and a batch
		t.Errorf("%d files: what is receipted must go", n)
	}
	if code, out, errs = w.run("import"); code != exitOK || !strings.Contains(out, a.id+": 1 entries taken") {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	a.holds()
}

// A file that suffered is refused by its name, the other gate's files go on, and the next round heals.
func TestImportOfDamagedFiles(t *testing.T) {
	for name, harm := range map[string]func(raw []byte) []byte{
		"truncated":          func(raw []byte) []byte { return raw[:len(raw)-9] },
		"empty":              func([]byte) []byte { return nil },
		"flipped in entry 1": func(raw []byte) []byte { raw[150] ^= 4; return raw },
		"flipped at the end": func(raw []byte) []byte { raw[len(raw)-1] ^= 1; return raw },
		"too large":          func(raw []byte) []byte { return append(raw, make([]byte, 1<<20)...) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newStickWorld(t)
			a, b := w.gate("gate-1"), w.gate("gate-2")
			a.pass(2)
			a.export()
			a.pass(2)
			b.pass(2)
			a.export()
			b.export()
			path := a.file(1, 2)
			raw, err := os.ReadFile(path)
			fatal(t, err)
			fatal(t, os.WriteFile(path, harm(raw), 0o600))
			code, out, errs := w.run("import")
			if code != exitFail || !strings.Contains(errs, filepath.Base(path)+": refused: ") || !strings.Contains(out, a.id+": 0 entries taken, 0 already there, 2 files refused") {
				t.Errorf("status %d, %s, %s", code, out, errs)
			}
			b.holds()
			a.export()
			if code, out, errs = w.run("import"); code != exitOK || !strings.Contains(out, a.id+": 4 entries taken") {
				t.Errorf("the next round: status %d, %s, %s", code, out, errs)
			}
			a.holds()
		})
	}
}

// A hub that lost its disk gets all of it again by the stick, and begins nowhere else unless it is told to.
func TestImportIntoAnEmptyHub(t *testing.T) {
	w := newStickWorld(t)
	a := w.gate("gate-1")
	a.pass(3)
	a.export()
	w.run("import")
	a.pass(2)
	a.export()
	w.begin("log-2")
	code, _, errs := w.run("import")
	if code != exitFail || !strings.Contains(errs, "holds entries up to 0, and those before 4 are not on the stick") {
		t.Fatalf("status %d, %s", code, errs)
	}
	before := w.files()
	a.export()
	if code, out, errs := w.run("import"); code != exitOK || !strings.Contains(out, "5 entries taken, 2 already there") {
		t.Errorf("status %d, %s, %s", code, out, errs)
	}
	a.holds()
	w.begin("log-3")
	fatal(t, os.RemoveAll(filepath.Join(w.stick, "GATEPOST")))
	for name, raw := range before {
		fatal(t, os.MkdirAll(filepath.Dir(filepath.Join(w.stick, name)), 0o700))
		fatal(t, os.WriteFile(filepath.Join(w.stick, name), []byte(raw), 0o600))
	}
	if code, out, errs := w.run("import", "-anew"); code != exitOK || !strings.Contains(out, "2 entries taken, 0 already there") {
		t.Errorf("anew: status %d, %s, %s", code, out, errs)
	}
}

func TestImportFails(t *testing.T) {
	w := newStickWorld(t)
	a, b := w.gate("gate-1"), w.gate("gate-2")
	if code, _, errs := w.run("import"); code != exitFail || !strings.Contains(errs, "nothing of Gatepost") {
		t.Errorf("an empty stick: status %d, %s", code, errs)
	}
	a.pass(2)
	b.pass(2)
	a.export()
	b.export()
	delete(w.devices, a.id)
	code, _, errs := w.run("import")
	if code != exitFail || !strings.Contains(errs, a.id+": unknown device (403)") {
		t.Errorf("an unknown device: status %d, %s", code, errs)
	}
	b.holds()
	w.devices[a.id] = a.key.Public().(ed25519.PublicKey)
	fatal(t, os.Rename(a.file(1, 2), b.file(3, 4))) // into the wrong folder
	code, _, errs = w.run("import")
	if code != exitFail || !strings.Contains(errs, fmt.Sprintf("refused: it is of device %q", a.id)) {
		t.Errorf("another's batch: status %d, %s", code, errs)
	}
	w.handler = http.HandlerFunc(func(a http.ResponseWriter, _ *http.Request) { http.Error(a, "no", http.StatusBadGateway) })
	if code, _, errs = w.run("import"); code != exitFail || !strings.Contains(errs, "hub answers (502)") || !strings.Contains(errs, "try again") {
		t.Errorf("a broken hub: status %d, %s", code, errs)
	}
}

// Orders that a hub keeps from the token for one device stop neither the entries nor the orders of the others.
func TestImportGoesOnWithoutOneDevicesOrders(t *testing.T) {
	w := newStickWorld(t)
	a, b := w.gate("gate-1"), w.gate("gate-2")
	a.pass(2)
	b.pass(2)
	a.export()
	b.export()
	fatal(t, os.WriteFile(w.path("token"), []byte("0123456789abcdef\n"), 0o600))
	var asked []string
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch {
		case !strings.HasSuffix(r.URL.Path, wire.OrdersOf):
			w.hub.Handler().ServeHTTP(rw, r)
			return
		case len(asked) == 0:
			wire.Problem{Title: "not opened by this token", Status: http.StatusForbidden}.Write(rw)
		default:
			rw.WriteHeader(http.StatusNoContent)
		}
		asked = append(asked, r.URL.Path)
	})
	code, _, errs := w.run("import", "-token", w.path("token"))
	if code != exitFail || len(asked) != 2 || strings.Count(errs, "not opened by this token (403)") != 1 {
		t.Errorf("status %d, asked for %q, %s", code, asked, errs)
	}
	a.holds()
	b.holds()
}

// While the hub asks to wait, the import waits.
func TestImportWaits(t *testing.T) {
	w := newStickWorld(t)
	a := w.gate("gate-1")
	a.pass(2)
	a.export()
	asked := 0
	w.handler = http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if asked++; asked == 2 {
			rw.Header().Set("Retry-After", "1")
			rw.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.hub.Handler().ServeHTTP(rw, r)
	})
	if code, out, errs := w.run("import"); code != exitOK || asked != 4 || !strings.Contains(out, "2 entries taken") {
		t.Errorf("status %d after %d requests, %s, %s", code, asked, out, errs)
	}
}

// A card in a reader: the export changes nothing on it, and the chain is the one that the kiosk exports itself.
func TestExportOfACard(t *testing.T) {
	w := newStickWorld(t)
	a := w.gate("gate-1")
	a.pass(12)
	args := []string{"-journal", w.path("gate-1.journal"), "-key", w.path("gate-1.key")}
	if code, _, errs := w.run("export", args...); code != exitFail || !strings.Contains(errs, "in use") {
		t.Errorf("while the kiosk runs: status %d, %s", code, errs)
	}
	a.Close()
	db := w.path("gate-1.journal/0000000000000001.db")
	card, err := os.ReadFile(db)
	fatal(t, err)
	code, out, errs := w.run("export", args...)
	if code != exitOK || !strings.Contains(out, "0 of 12\n12 of 12\n12 entries of "+a.id) {
		t.Fatalf("status %d, %s, %s", code, out, errs)
	}
	want := w.files()
	if again, err := os.ReadFile(db); err != nil || !bytes.Equal(again, card) {
		t.Errorf("the card was changed, %v", err)
	}
	a.open()
	a.export()
	if !maps.Equal(w.files(), want) {
		t.Error("the kiosk exports other bytes")
	}
	a.Close()
	if code, _, errs := w.run("export", "-journal", w.path("gate-1.journal"), "-key", w.gate("gate-2").w.path("gate-2.key")); code != exitFail || !strings.Contains(errs, "another device") {
		t.Errorf("another's key: status %d, %s", code, errs)
	}
	fatal(t, os.Truncate(db, int64(len(card)/2)))
	fatal(t, os.WriteFile(db, bytes.ReplaceAll(card, []byte("gate-1"), []byte("gate-X")), 0o600))
	if code, _, errs := w.run("export", args...); code != exitFail || !strings.Contains(errs, "journal is damaged") || !maps.Equal(w.files(), want) {
		t.Errorf("a damaged card: status %d, %s", code, errs)
	}
	if code, out, errs := w.run("export", append(args, "-dead")...); code == exitOK && !strings.Contains(out, "are on the stick") {
		t.Errorf("a dead card: status %d, %s, %s", code, out, errs)
	}
}
