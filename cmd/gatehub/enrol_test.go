package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/iotest"
	"time"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/storage/view"
	"gatepost/sync/pull"
	"gatepost/sync/wire"

	"github.com/nats-io/nats-server/v2/server"
)

// office is who issues enrolments for a hub that start is given the lines of.
type office struct {
	key     ed25519.PrivateKey
	receipt ed25519.PublicKey
	serial  byte
}

// newOffice makes an issuer's key and a receipt key in dir, and returns the hub's lines of configuration that name them.
func newOffice(t *testing.T, dir string) (*office, string) {
	t.Helper()
	must(t, keyfile.Create(dir, "issuer", "issuer"))
	must(t, keyfile.Create(dir, "hub", "receipt"))
	key, err := keyfile.Private(filepath.Join(dir, "issuer.key"))
	must(t, err)
	receipt, err := keyfile.Public(filepath.Join(dir, "hub.pub.pem"))
	must(t, err)
	return &office{key: key, receipt: receipt}, "issuer = \"issuer.pub.pem\"\nreceipt_key = \"hub.key\""
}

// code issues an enrolment, which change may spoil.
func (o *office) code(t *testing.T, name string, change func(*wire.Enrolment)) []byte {
	t.Helper()
	o.serial++
	e := wire.Enrolment{
		ID: [16]byte{o.serial}, Issued: time.Now(), Expires: time.Now().Add(time.Hour), Hub: "https://hub.example:8443",
		ReceiptKey: o.receipt, Authority: bytes.Repeat([]byte{1}, 32), Venue: "Chợ", Area: "Mê Linh", Name: name, Zone: "Asia/Ho_Chi_Minh",
	}
	if change != nil {
		change(&e)
	}
	raw, err := wire.SignEnrolment(o.key, e)
	must(t, err)
	return raw
}

// unit makes a gate that no hub knows yet.
func unit(t *testing.T) *gate {
	t.Helper()
	pub, key, err := ed25519.GenerateKey(nil)
	must(t, err)
	return &gate{key: key, id: entry.DeviceID(pub)}
}

func (g *gate) claim(t *testing.T, code []byte) []byte {
	t.Helper()
	raw, err := wire.NewClaim(g.key, code)
	must(t, err)
	return raw
}

// enrol sends a claim and returns the status and the problem's type.
func (p *process) enrol(t *testing.T, claim []byte) (status int, kind string) {
	t.Helper()
	res, err := p.http.Post(p.url+wire.PathEnrol, wire.TypeBatch, bytes.NewReader(claim))
	must(t, err)
	defer res.Body.Close()
	var answer wire.Problem
	must(t, json.NewDecoder(res.Body).Decode(&answer))
	return res.StatusCode, strings.TrimPrefix(answer.Type, "urn:gatepost:problem:")
}

func (p *process) wantEnrol(t *testing.T, what string, claim []byte, status int, kind string) {
	t.Helper()
	if got, of := p.enrol(t, claim); got != status || of != kind {
		t.Errorf("%s: %d %q, want %d %q", what, got, of, status, kind)
	}
}

// An enrolment makes one device of the hub's, for as long as its folder stands.
func TestEnrol(t *testing.T) {
	dir := t.TempDir()
	o, lines := newOffice(t, dir)
	p := start(t, dir, lines)
	g, other := unit(t), unit(t)
	code := o.code(t, "cho-1", nil)
	late := o.code(t, "cho-2", func(e *wire.Enrolment) { e.Issued, e.Expires = e.Issued.Add(-time.Hour), time.Now().Add(-time.Second) })
	stranger := &office{key: unit(t).key, receipt: o.receipt}
	broken := g.claim(t, code)
	broken[len(broken)-1] ^= 1

	p.wantEnrol(t, "not a claim", code, 400, "enrolment")
	p.wantEnrol(t, "wrong signature", broken, 403, "signature")
	p.wantEnrol(t, "another issuer", g.claim(t, stranger.code(t, "cho-1", nil)), 403, "enrolment")
	p.wantEnrol(t, "another hub", g.claim(t, o.code(t, "cho-1", func(e *wire.Enrolment) { e.ReceiptKey = bytes.Repeat([]byte{9}, 32) })), 403, "enrolment")
	p.wantEnrol(t, "expired", g.claim(t, late), 410, "enrolment")
	p.wantEnrol(t, "too large", make([]byte, wire.MaxEnrolment+1), 413, "too-large")
	if raw, err := g.batch(1); err != nil {
		t.Fatal(err)
	} else if _, err := p.post(raw); !isProblem(err, wire.ProblemDevice) {
		t.Errorf("a batch before the enrolment: %v", err)
	}
	g.head = entry.Head{}
	for range 2 { // the answer may have been lost
		p.wantEnrol(t, "first device", g.claim(t, code), 200, "")
	}
	p.wantEnrol(t, "second device", other.claim(t, code), 409, "enrolment")
	g.send(t, p, 3)

	p.stop(t, syscall.SIGKILL)
	p = start(t, dir, lines)
	p.wantEnrol(t, "first device after a restart", g.claim(t, code), 200, "")
	p.wantEnrol(t, "second device after a restart", other.claim(t, code), 409, "enrolment")
	if s := g.send(t, p, 1); s.Seq != 4 {
		t.Errorf("%+v", s)
	}
	d := p.status(t)[g.id]
	if d.Name != "cho-1" || d.Venue != "Chợ" || d.Area != "Mê Linh" || d.ReplacedBy != "" {
		t.Errorf("%+v", d)
	}
	if got := p.stems(t); !slices.Equal(got, []string{"cho-1"}) {
		t.Errorf("devices %q", got)
	}
}

// Hubs side by side: an enrolment is used once at all of them, and a gate that one has taken is known to the other, also to
// one that was away meanwhile.
func TestEnrolAtTwoHubs(t *testing.T) {
	nats, err := server.NewServer(&server.Options{
		Host: "127.0.0.1", Port: -1, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), SyncAlways: true, MaxPayload: wire.MaxBatch + 1<<20,
	})
	must(t, err)
	nats.Start()
	defer nats.Shutdown()
	if !nats.ReadyForConnections(10 * time.Second) {
		t.Fatal("the log's server does not start")
	}
	a, b := t.TempDir(), t.TempDir()
	o, lines := newOffice(t, a)
	for _, name := range []string{"issuer.pub.pem", "hub.key"} {
		text, err := os.ReadFile(filepath.Join(a, name))
		must(t, err)
		must(t, os.WriteFile(filepath.Join(b, name), text, 0o600))
	}
	lines += fmt.Sprintf("\nengine = %q", nats.ClientURL())
	first, second := start(t, a, lines), start(t, b, lines)
	g, other, next := unit(t), unit(t), unit(t)
	code, swap := o.code(t, "cho-1", nil), o.code(t, "cho-1", nil)
	knows := func(p *process, g *gate, name string) {
		t.Helper()
		until(t, name, func() bool { return p.status(t)[g.id].Name == "cho-1" })
	}

	first.wantEnrol(t, "first device", g.claim(t, code), 200, "")
	second.wantEnrol(t, "another device at the other hub", other.claim(t, code), 409, "enrolment")
	knows(second, g, "the gate at the other hub")
	g.send(t, second, 2)
	second.wantEnrol(t, "first device at the other hub", g.claim(t, code), 200, "")

	second.stop(t, syscall.SIGKILL)
	first.wantEnrol(t, "its successor", next.claim(t, swap), 200, "")
	second = start(t, b, lines)
	knows(second, next, "the successor at the hub that was away")
	if by := second.status(t)[g.id].ReplacedBy; by != next.id {
		t.Errorf("replaced by %q", by)
	}
	next.send(t, second, 1)
}

// Two hubs are asked at the same moment, and this one is the slower.
func TestEnrolAtTheSlowerHub(t *testing.T) {
	o := &office{key: unit(t).key, receipt: unit(t).key.Public().(ed25519.PublicKey)}
	e, g, winner := tester(t, o), unit(t), unit(t)
	code := o.code(t, "cho-1", nil)
	e.first = func(context.Context, string, []byte) ([]byte, error) { return winner.claim(t, code), nil }
	if err := e.claim(g, t, code); !isProblem(err, wire.ProblemEnrolment) {
		t.Errorf("the slower one: %v", err)
	}
	e.first = func(context.Context, string, []byte) ([]byte, error) { return nil, errors.New("no answer") }
	if err := e.claim(g, t, code); err == nil || isProblem(err, wire.ProblemEnrolment) {
		t.Errorf("without an answer: %v", err)
	}
	if all := files(t, e.devices.dir); len(all) != 0 {
		t.Errorf("%q", all)
	}
}

// What was used after an enrolment had expired is the later one: a hub that hears of the earlier again changes nothing.
func TestLearnsNothingOld(t *testing.T) {
	o := &office{key: unit(t).key, receipt: unit(t).key.Public().(ed25519.PublicKey)}
	e, g := tester(t, o), unit(t)
	old := g.claim(t, o.code(t, "cho-1", func(e *wire.Enrolment) { e.Issued, e.Expires = e.Issued.Add(-2*time.Hour), e.Issued.Add(-time.Hour) }))
	must(t, e.claim(g, t, o.code(t, "cho-2", nil)))
	must(t, e.learn(old))
	must(t, e.learn([]byte("no claim")))
	all, err := e.known()
	must(t, err)
	if len(all) != 1 || all[g.id].Name != "cho-2" {
		t.Errorf("%+v", all)
	}
	must(t, e.learn(unit(t).claim(t, o.code(t, "cho-3", func(e *wire.Enrolment) { e.Issued, e.Expires = e.Issued.Add(-2*time.Hour), e.Issued.Add(-time.Hour) }))))
	if all, err = e.known(); err != nil || len(all) != 2 {
		t.Errorf("what another hub took in time: %+v, %v", all, err)
	}
}

func isProblem(err error, kind string) bool {
	p := wire.Problem{}
	return errors.As(err, &p) && p.Type == kind
}

// status returns the hub's devices by id.
func (p *process) status(t *testing.T) map[string]pull.Device {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+wire.PathStatus, nil)
	must(t, err)
	r.Header.Set("Authorization", "Bearer "+p.puller(t).Token)
	res, err := p.http.Do(r)
	must(t, err)
	defer res.Body.Close()
	var s pull.Status
	must(t, json.NewDecoder(res.Body).Decode(&s))
	all := map[string]pull.Device{}
	for _, d := range s.Devices {
		all[d.ID] = d
	}
	return all
}

// stems returns the names of the devices that have a key.
func (p *process) stems(t *testing.T) (names []string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(p.dir, "devices", "*"+keySuffix))
	must(t, err)
	for _, f := range files {
		names = append(names, strings.TrimSuffix(filepath.Base(f), keySuffix))
	}
	slices.Sort(names)
	return names
}

// A new card in an old place: the old device may send what it holds, and is called replaced, never cloned.
func TestSwappedUnit(t *testing.T) {
	dir := t.TempDir()
	o, lines := newOffice(t, dir)
	p := start(t, dir, lines)
	old, swapped, elsewhere := unit(t), unit(t), unit(t)
	p.wantEnrol(t, "old", old.claim(t, o.code(t, "cho-1", nil)), 200, "")
	p.wantEnrol(t, "elsewhere", elsewhere.claim(t, o.code(t, "cho-1", func(e *wire.Enrolment) { e.Venue = "Another market" })), 200, "")
	old.send(t, p, 3)
	fork := *old
	fork.head.Hash[0] ^= 1
	p.wantEnrol(t, "new", swapped.claim(t, o.code(t, "cho-1", nil)), 200, "")
	swapped.send(t, p, 2)
	if s := old.send(t, p, 2); s.Seq != 5 {
		t.Errorf("the backlog of the old device: %+v", s)
	}
	_, err := p.post(fork.bytes(t, 3))
	if !isProblem(err, wire.ProblemFork) && !isProblem(err, wire.ProblemStep) {
		t.Errorf("the fork: %v", err)
	}
	all := p.status(t)
	if all[old.id].ReplacedBy != swapped.id || all[swapped.id].ReplacedBy != "" || all[elsewhere.id].ReplacedBy != "" || len(all) != 3 {
		t.Errorf("%+v", all)
	}
	want := []string{"cho-1", "cho-1-" + swapped.id, "cho-1-" + elsewhere.id}
	slices.Sort(want)
	if got := p.stems(t); !slices.Equal(got, want) {
		t.Errorf("devices %q, want %q", got, want)
	}
	// The old unit is mended and takes its place again.
	p.wantEnrol(t, "old again", old.claim(t, o.code(t, "cho-1", nil)), 200, "")
	if all = p.status(t); all[old.id].ReplacedBy != "" || all[swapped.id].ReplacedBy != old.id {
		t.Errorf("%+v", all)
	}
	// And a third one takes it: each names the one that came next.
	third := unit(t)
	p.wantEnrol(t, "third", third.claim(t, o.code(t, "cho-1", nil)), 200, "")
	if all = p.status(t); all[old.id].ReplacedBy != third.id || all[swapped.id].ReplacedBy != old.id {
		t.Errorf("%+v", all)
	}
}

// What a replaced device signs twice is an alarm of its own kind.
func TestForkOfAReplacedDevice(t *testing.T) {
	dir := t.TempDir()
	o, lines := newOffice(t, dir)
	p := start(t, dir, lines)
	old := unit(t)
	p.wantEnrol(t, "old", old.claim(t, o.code(t, "cho-1", nil)), 200, "")
	before := *old
	old.send(t, p, 1)
	p.wantEnrol(t, "new", unit(t).claim(t, o.code(t, "cho-1", nil)), 200, "")
	if _, err := p.post(before.bytes(t, 1)); !isProblem(err, wire.ProblemFork) {
		t.Fatal(err)
	}
	p.stop(t, syscall.SIGTERM)
	if !slices.ContainsFunc(p.out.all, func(l string) bool {
		return strings.Contains(l, "same sequence, another hash") && strings.Contains(l, "kind="+wire.AlarmReplaced)
	}) {
		t.Errorf("no alarm of the kind %q: %q", wire.AlarmReplaced, p.out.all)
	}
}

// tester makes an enroller over a folder of its own.
func tester(t *testing.T, o *office) *enroller {
	t.Helper()
	return &enroller{
		devices: &devices{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}, issuer: o.key.Public().(ed25519.PublicKey), receipt: o.receipt,
		now: time.Now, changed: func(map[string]view.Place) {}, log: slog.New(slog.DiscardHandler),
	}
}

func (e *enroller) claim(g *gate, t *testing.T, code []byte) error {
	t.Helper()
	c, err := wire.ParseClaim(g.claim(t, code))
	must(t, err)
	return e.take(t.Context(), c, g.claim(t, code))
}

// A hub that dies between its writes: the device is unknown until the last one, comes again and is taken, once, and the
// one that it replaces is replaced. An obstacle stands for the death.
func TestEnrolIsCutAnywhere(t *testing.T) {
	o := &office{key: unit(t).key, receipt: unit(t).key.Public().(ed25519.PublicKey)}
	old, g, other := unit(t), unit(t), unit(t)
	first, code := o.code(t, "cho-1", nil), o.code(t, "cho-1", nil)
	steps := []string{"cho-1.toml", "cho-1-" + g.id + ".toml", "cho-1-" + g.id + keySuffix} // in the order in which they are written
	for n, step := range steps {
		e := tester(t, o)
		must(t, e.claim(old, t, first))
		obstacle := filepath.Join(e.devices.dir, step+".new")
		must(t, os.Mkdir(obstacle, 0o700))
		if err := e.claim(g, t, code); err == nil || isProblem(err, wire.ProblemEnrolment) {
			t.Fatalf("%s cannot be written: %v", step, err)
		}
		must(t, os.Remove(obstacle))
		must(t, e.devices.refresh(e.changed))
		all := files(t, e.devices.dir)
		if marked := strings.Contains(all["cho-1.toml"], "replaced_by"); marked != (n > 0) || (all[steps[1]] != "") != (n > 1) || all[steps[2]] != "" {
			t.Errorf("cut at %s: %q", step, all)
		}
		if _, ok := e.devices.Key(old.id); !ok {
			t.Errorf("cut at %s, and the old device is unknown", step)
		}
		must(t, e.claim(g, t, code))
		if err := e.claim(other, t, code); !isProblem(err, wire.ProblemEnrolment) {
			t.Errorf("cut at %s, then a second device: %v", step, err)
		}
		if _, ok := e.devices.Key(g.id); !ok || e.devices.ReplacedBy(old.id) != g.id || e.devices.Replaced(g.id) {
			t.Errorf("cut at %s, then known %v, and the old one replaced by %q", step, ok, e.devices.ReplacedBy(old.id))
		}
	}
}

func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries { // no folder among them
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		all[e.Name()] = string(text)
	}
	return all
}

// Where a record cannot be read, nobody knows what was used: nothing is taken until it is mended.
func TestNoEnrolmentOverAFaultyRecord(t *testing.T) {
	o := &office{key: unit(t).key, receipt: unit(t).key.Public().(ed25519.PublicKey)}
	e, g := tester(t, o), unit(t)
	code := o.code(t, "cho-1", nil)
	must(t, e.claim(g, t, code))
	path := filepath.Join(e.devices.dir, "cho-1.toml")
	sound, err := os.ReadFile(path)
	must(t, err)
	if !strings.Contains(string(sound), hex.EncodeToString(append([]byte{o.serial}, make([]byte, 15)...))) {
		t.Errorf("the record does not name the enrolment:\n%s", sound)
	}
	must(t, os.WriteFile(path, []byte("schema = 1\ncolour = 1\n"), 0o600))
	if err := e.claim(unit(t), t, code); err == nil || isProblem(err, wire.ProblemEnrolment) {
		t.Errorf("with a faulty record: %v", err)
	}
	must(t, os.WriteFile(path, sound, 0o600))
	if err := e.claim(unit(t), t, code); !isProblem(err, wire.ProblemEnrolment) {
		t.Errorf("with a mended record: %v", err)
	}
}

// A device that was put into the folder by hand keeps its key and loses its place.
func TestReplacesADeviceThatWasPutByHand(t *testing.T) {
	o := &office{key: unit(t).key, receipt: unit(t).key.Public().(ed25519.PublicKey)}
	e, old, g := tester(t, o), unit(t), unit(t)
	text, err := keyfile.PublicPEM(old.key.Public())
	must(t, err)
	must(t, os.WriteFile(filepath.Join(e.devices.dir, "cho-1"+keySuffix), text, 0o600))
	must(t, e.claim(g, t, o.code(t, "cho-1", nil)))
	if e.devices.ReplacedBy(old.id) != g.id {
		t.Errorf("%v", files(t, e.devices.dir))
	}
}

// A claim that breaks off is not to blame: the gate may come again.
func TestClaimBreaksOff(t *testing.T) {
	e := tester(t, &office{key: unit(t).key})
	w := httptest.NewRecorder()
	e.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, wire.PathEnrol, iotest.ErrReader(io.ErrUnexpectedEOF)))
	if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") != retryEnrol {
		t.Errorf("%d, Retry-After %q, %s", w.Code, w.Header().Get("Retry-After"), w.Body)
	}
}

// A new hub has no earlier reading: a device whose record cannot be read may be a revoked one, and stays out until the
// record is mended.
func TestFaultyRecordShutsOutAtFirst(t *testing.T) {
	for what, text := range map[string]string{"a fault": "schema = 1\nrevoked = true\ncolour = 1\n", "an empty file": "\n"} {
		g, d := unit(t), &devices{dir: t.TempDir(), log: slog.New(slog.DiscardHandler)}
		key, err := keyfile.PublicPEM(g.key.Public())
		must(t, err)
		must(t, os.WriteFile(filepath.Join(d.dir, "cho-1"+keySuffix), key, 0o600))
		record := filepath.Join(d.dir, "cho-1.toml")
		must(t, os.WriteFile(record, []byte(text), 0o600))
		must(t, d.refresh(func(map[string]view.Place) {}))
		if _, err := d.snapshot(); err == nil || !d.Revoked(g.id) {
			t.Errorf("%s: revoked %v, %v", what, d.Revoked(g.id), err)
		}
		must(t, os.WriteFile(record, []byte("schema = 1\nname = \"cho-1\"\n"), 0o600))
		must(t, d.refresh(func(map[string]view.Place) {}))
		if _, err := d.snapshot(); err != nil || d.Revoked(g.id) {
			t.Errorf("%s, then mended: revoked %v, %v", what, d.Revoked(g.id), err)
		}
	}
}
