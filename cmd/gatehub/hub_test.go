package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gatepost/cmd/internal/daemon"
	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// binary builds gatehub once for all tests.
var binary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "gatehub")
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "gatehub")
	out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput()
	if err != nil {
		err = fmt.Errorf("%w: %s", err, out)
	}
	return path, err
})

func TestMain(m *testing.M) {
	code := m.Run()
	if path, err := binary(); err == nil {
		os.RemoveAll(filepath.Dir(path))
	}
	os.Exit(code)
}

// process is a running gatehub.
type process struct {
	cmd  *exec.Cmd
	url  string
	dir  string
	http *http.Client
	out  *lines
}

// lines keeps what a process wrote.
type lines struct {
	mu  sync.Mutex
	all []string
	got chan string // what find waits for
	re  *regexp.Regexp
}

func (l *lines) read(r io.Reader) {
	for s := bufio.NewScanner(r); s.Scan(); {
		l.mu.Lock()
		l.all = append(l.all, s.Text())
		if m := l.re.FindStringSubmatch(s.Text()); m != nil {
			l.got <- m[1]
		}
		l.mu.Unlock()
	}
	close(l.got)
}

// start runs a gatehub over dir on a free port, with more lines of configuration, and waits until it listens.
func start(t *testing.T, dir string, more ...string) *process {
	t.Helper()
	path, err := binary()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "hub.toml")
	text := "schema = 1\ndata = \"data\"\nlisten = \"127.0.0.1:0\"\npages = \"127.0.0.1:0\"\n" + strings.Join(more, "\n")
	must(t, os.WriteFile(file, []byte(text), 0o600))
	p := &process{
		cmd: exec.Command(path, "-config", file), dir: filepath.Join(dir, "data"),
		out: &lines{got: make(chan string, 9), re: regexp.MustCompile(`msg="hub listens" gates=(\S+)`)},
	}
	errs, err := p.cmd.StderrPipe()
	must(t, err)
	must(t, p.cmd.Start())
	go p.out.read(errs) // ends with the process
	t.Cleanup(func() { p.cmd.Process.Kill(); p.cmd.Wait() })
	if p.url = <-p.out.got; p.url == "" {
		t.Fatalf("the hub ended: %q", p.out.all)
	}
	pem, err := os.ReadFile(filepath.Join(p.dir, "tls", "ca.pem"))
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	t.Cleanup(transport.CloseIdleConnections)
	p.http = &http.Client{Transport: transport, Timeout: time.Minute}
	return p
}

// stop ends the process with a signal and returns its status.
func (p *process) stop(t *testing.T, sig os.Signal) int {
	t.Helper()
	must(t, p.cmd.Process.Signal(sig))
	for range p.out.got { // until its output is at its end
	}
	p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// gate is a device with its chain.
type gate struct {
	key  ed25519.PrivateKey
	id   string
	head entry.Head
}

// newGate makes a key and puts it into the hub's devices folder.
func newGate(t *testing.T, dir, name string) *gate {
	t.Helper()
	keys := t.TempDir()
	must(t, keyfile.Create(keys, name, "device"))
	k, err := keyfile.Private(filepath.Join(keys, name+".key"))
	must(t, err)
	devices := filepath.Join(dir, "data", "devices")
	must(t, os.MkdirAll(devices, 0o700))
	must(t, os.Rename(filepath.Join(keys, name+".pub.pem"), filepath.Join(devices, name+".pub.pem")))
	return &gate{key: k, id: entry.DeviceID(k.Public().(ed25519.PublicKey))}
}

// batch makes a batch of n new entries.
func (g *gate) batch(n int) ([]byte, error) {
	var raws [][]byte
	for range n {
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Now(), Trust: entry.TrustClock}, entry.Passage{Lane: "a", Direction: entry.In, Verdict: entry.Admit})
		if err != nil {
			return nil, err
		}
		raw, err := entry.Entry{Kind: d.Kind, Seq: g.head.Seq + 1, Boot: 1, Stamp: d.Stamp, Prev: g.head.Hash, Body: d.Body}.Marshal()
		if err != nil {
			return nil, err
		}
		raws, g.head = append(raws, raw), entry.Head{Seq: g.head.Seq + 1, Hash: entry.HashOf(raw)}
	}
	b, err := wire.Sign(g.key, raws)
	if err != nil {
		return nil, err
	}
	return b.Marshal()
}

// post sends a batch and returns the hub's state.
func (p *process) post(raw []byte, query ...string) (s wire.State, err error) {
	res, err := p.http.Post(p.url+wire.PathBatches+strings.Join(query, ""), wire.TypeBatch, bytes.NewReader(raw))
	if err != nil {
		return s, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var problem wire.Problem
		return s, errors.Join(json.NewDecoder(res.Body).Decode(&problem), problem)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}

func (g *gate) send(t *testing.T, p *process, n int) wire.State {
	t.Helper()
	raw, err := g.batch(n)
	must(t, err)
	s, err := p.post(raw)
	must(t, err)
	return s
}

// pull returns the last sequence of each device, checking that none is missing or comes twice.
func (p *process) pull(t *testing.T, after string) (map[string]uint64, string, error) {
	t.Helper()
	token, err := os.ReadFile(filepath.Join(p.dir, "token"))
	must(t, err)
	c := &pull.Client{HTTP: p.http, URL: p.url, Token: strings.TrimSpace(string(token))}
	seen := map[string]uint64{}
	for {
		next, n, err := c.Page(t.Context(), after, 100, 0, func(l pull.Line) error {
			if last := seen[l.Device]; last > 0 && l.Seq != last+1 {
				t.Errorf("device %s: entry %d after %d", l.Device, l.Seq, last)
			}
			seen[l.Device] = l.Seq
			return nil
		})
		if err != nil || n == 0 {
			return seen, next, err
		}
		after = next
	}
}

// Every entry for which a receipt was given is there after kill -9, in order and once, and the chains go on.
func TestKillDuringIntake(t *testing.T) {
	dir := t.TempDir()
	gates := make([]*gate, 4)
	for i := range gates {
		gates[i] = newGate(t, dir, fmt.Sprintf("gate-%d", i))
	}
	receipted := map[string]uint64{}
	for round := range 3 {
		p := start(t, dir)
		receiptKey, err := keyfile.Public(filepath.Join(p.dir, "receipt.pub.pem"))
		must(t, err)
		var mu sync.Mutex
		var wg sync.WaitGroup
		enough := make(chan struct{}, 1000)
		for _, g := range gates {
			wg.Go(func() {
				for { // ends when the hub is dead
					raw, err := g.batch(3)
					if err != nil {
						t.Error(err)
						return
					}
					s, err := p.post(raw)
					if err != nil {
						return
					}
					if err := s.Receipt.Check(receiptKey, g.id); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					receipted[g.id] = s.Receipt.Seq
					mu.Unlock()
					enough <- struct{}{}
				}
			})
		}
		for range 30 + 17*round {
			<-enough
		}
		go func() {
			for range enough { // senders must not wait for a reader until the kill hits
			}
		}()
		p.stop(t, syscall.SIGKILL)
		wg.Wait()
		close(enough)

		p = start(t, dir)
		seen, _, err := p.pull(t, "")
		must(t, err)
		for _, g := range gates {
			if seen[g.id] < receipted[g.id] {
				t.Errorf("round %d: device %s has a receipt for %d, the log ends at %d", round, g.id, receipted[g.id], seen[g.id])
			}
			g.resume(t, p, seen[g.id])
		}
		p.stop(t, syscall.SIGTERM)
	}
}

// resume sets the gate back to where the hub stands, as a kiosk does at each contact.
func (g *gate) resume(t *testing.T, p *process, pulled uint64) {
	t.Helper()
	res, err := p.http.Get(p.url + wire.PathDevice + g.id)
	must(t, err)
	defer res.Body.Close()
	var s wire.State
	must(t, json.NewDecoder(res.Body).Decode(&s))
	if s.Seq != pulled || s.Seq > g.head.Seq {
		t.Fatalf("the hub stands at %d; a pull ended at %d, the gate at %d", s.Seq, pulled, g.head.Seq)
	}
	hash, err := entry.ParseHash(s.Hash)
	must(t, err)
	g.head = entry.Head{Seq: s.Seq, Hash: hash}
}

// A hub that lost its log tells old cursors so, and takes what the kiosks send again.
func TestEmptyFolderAfterRestart(t *testing.T) {
	dir := t.TempDir()
	g := newGate(t, dir, "gate-1")
	p := start(t, dir)
	g.send(t, p, 5)
	_, cursor, err := p.pull(t, "")
	must(t, err)
	if code := p.stop(t, syscall.SIGTERM); code != daemon.OK {
		t.Errorf("status %d after SIGTERM", code)
	}
	must(t, os.RemoveAll(filepath.Join(p.dir, "log")))

	p = start(t, dir)
	_, _, err = p.pull(t, cursor)
	problem := wire.Problem{}
	if !errors.As(err, &problem) || problem.Status != http.StatusGone || problem.Start == "" {
		t.Fatalf("the old cursor: %v", err)
	}
	raw, err := g.batch(2)
	must(t, err)
	if _, err := p.post(raw); !errors.As(err, &problem) || problem.Type != wire.ProblemStep {
		t.Errorf("it begins in the middle: %v", err)
	}
	if s, err := p.post(raw, wire.Begin); err != nil || s.Seq != 7 {
		t.Errorf("hub stands at %d, want 7, %v", s.Seq, err)
	}
	if seen, _, err := p.pull(t, ""); err != nil || seen[g.id] != 7 {
		t.Errorf("from the new start: %v, %v", seen, err)
	}
}

// A device whose key is put into the folder while the hub runs is heard without a restart.
func TestNewDevice(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir)
	g := newGate(t, dir, "late")
	raw, err := g.batch(1)
	must(t, err)
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		_, err := p.post(raw)
		if err == nil {
			return
		}
		var problem wire.Problem
		if !errors.As(err, &problem) || problem.Type != wire.ProblemDevice || time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// The example of the manual works as it stands there.
func TestCurl(t *testing.T) {
	curl, err := exec.LookPath("curl")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip("no curl on this machine")
	}
	dir := t.TempDir()
	g := newGate(t, dir, "gate-1")
	p := start(t, dir)
	g.send(t, p, 3)
	cmd := exec.CommandContext(t.Context(), "sh", "-c",
		curl+` -sS --cacert data/tls/ca.pem -H "Authorization: Bearer $(cat data/token)" `+p.url+`/v1/log`)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil || bytes.Count(out, []byte("\n")) != 3 {
		t.Errorf("%v: %s", err, out)
	}
	for _, name := range []string{"token", "receipt.key", "tls/hub.key"} {
		if i, err := os.Stat(filepath.Join(p.dir, name)); err != nil || i.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, i.Mode(), err)
		}
	}
}

func TestOldTLSIsRefused(t *testing.T) {
	p := start(t, t.TempDir())
	c := p.http.Transport.(*http.Transport).Clone()
	c.TLSClientConfig.MaxVersion = tls.VersionTLS12
	defer c.CloseIdleConnections()
	res, err := (&http.Client{Transport: c}).Get(p.url + "/")
	if err == nil {
		res.Body.Close()
		t.Error("TLS 1.2 was accepted")
	}
}

func TestSecondHubIsAFault(t *testing.T) {
	dir := t.TempDir()
	start(t, dir)
	if code := program.Run(t.Context(), []string{"-config", filepath.Join(dir, "hub.toml")}, io.Discard, io.Discard); code != daemon.Fault {
		t.Errorf("status %d, want %d", code, daemon.Fault)
	}
}

func TestUsage(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.toml")
	must(t, os.WriteFile(bad, []byte("\ufeffschema = 1\r\nlisten = \"nowhere\"\r\ncolour = 7\r\ntimezone = \"Asia/Atlantis\"\r\n"), 0o600))
	for _, c := range []struct {
		args []string
		code int
		says []string
	}{
		{[]string{"-nonsense"}, daemon.Usage, []string{"-config"}},
		{[]string{"more"}, daemon.Usage, []string{`"more"`}},
		{[]string{"-config", "/nowhere/hub.toml"}, daemon.Usage, []string{"no such file"}},
		{[]string{"-config", bad}, daemon.Usage, []string{"2", "nowhere", "3", "colour", "4", "Asia/Atlantis"}},
	} {
		var errs bytes.Buffer
		if code := program.Run(context.Background(), c.args, io.Discard, &errs); code != c.code {
			t.Errorf("%v: status %d, want %d", c.args, code, c.code)
		}
		for _, want := range c.says {
			if !strings.Contains(errs.String(), want) {
				t.Errorf("%v: %q lacks %q", c.args, &errs, want)
			}
		}
	}
}

// What -print-config writes loads, and means what no configuration means.
func TestPrintConfig(t *testing.T) {
	var out bytes.Buffer
	if code := program.Run(t.Context(), []string{"-print-config"}, &out, io.Discard); code != daemon.OK {
		t.Fatal(code)
	}
	c, err := parseConfig(out.Bytes())
	must(t, err)
	if c.Listen != "127.0.0.1:8443" || c.Pages != "127.0.0.1:8444" || c.Data != "gatehub-data" || c.zone.String() != "Asia/Ho_Chi_Minh" {
		t.Errorf("%+v", c)
	}
	short, err := parseConfig([]byte("schema = 1\nname = \"Mẫu\"\n"))
	must(t, err)
	c.zone, short.zone = nil, nil
	if c.Name = "Mẫu"; fmt.Sprint(*short) != fmt.Sprint(*c) {
		t.Errorf("left out: %+v, written out: %+v", *short, *c)
	}
}

func TestPlaces(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		"whole.toml": "name = \"Cổng 1\"\nvenue = \"Chợ\"\narea = \"Quang Minh\"\n", "wrong.toml": "colour = 1\n",
	} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	if p, err := readRecord(filepath.Join(dir, "whole.toml"), "whole"); err != nil || p.Name != "Cổng 1" || p.Area != "Quang Minh" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := readRecord(filepath.Join(dir, "none.toml"), "none"); err != nil || p.Name != "none" {
		t.Errorf("%+v, %v", p, err)
	}
	if p, err := readRecord(filepath.Join(dir, "wrong.toml"), "wrong"); err == nil || p.Name != "wrong" {
		t.Errorf("%+v, %v", p, err)
	}
}
