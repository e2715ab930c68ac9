package demo

import (
	"bytes"
	"crypto/ecdh"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost/cmd/internal/keyfile"
	"gatepost/storage/entry"
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

// python is Debian's own, for which its packages are.
const python = "/usr/bin/python3"

// needPython skips where docs/client.py cannot run.
func needPython(t *testing.T) {
	t.Helper()
	out, err := exec.Command(python, "-c", "import cryptography").CombinedOutput()
	switch {
	case err == nil:
	case os.Getenv("CI") == "true":
		t.Fatalf("docs/client.py needs python3-cryptography: %v\n%s", err, out)
	default:
		t.Skipf("docs/client.py needs python3-cryptography: %v", err)
	}
}

// A pulled entry is what docs/client.py writes of an entry.
type pulled struct {
	Device   string `json:"device"`
	Seq      int    `json:"seq"`
	Kind     string `json:"kind"`
	Verdict  string `json:"verdict"`
	Personal struct {
		Family  string         `json:"family"`
		Name    string         `json:"name"`
		Answers map[string]any `json:"answers"`
	} `json:"personal"`
}

// client runs docs/client.py with the hub's address and files. It returns the entries, what it said to stderr
// and its exit code.
func client(t *testing.T, args ...string) (lines []pulled, said string, code int) {
	t.Helper()
	b, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{filepath.Join(b.tree, "docs", "client.py")}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); cmd.ProcessState == nil {
		t.Fatal(err)
	}
	for dec := json.NewDecoder(&out); ; {
		var l pulled
		if err := dec.Decode(&l); err == io.EOF {
			return lines, errs.String(), cmd.ProcessState.ExitCode()
		} else if err != nil {
			t.Fatal(err)
		}
		lines = append(lines, l)
	}
}

// A central server in another language, written from the documents alone, gets every entry and opens every name;
// and it takes nothing that does not prove itself.
func TestPythonClient(t *testing.T) {
	needPython(t)
	const pictures = 5
	d := newGate(t, []lane{{"pictures", "files:" + folder(t, pictures), "in"}, {laneIn, "sim:manual", "in"}})
	d.must(t, d.hub.Start())
	d.must(t, d.kiosk.Start())
	d.saved(t, pictures+1) // and the boot
	declared, err := d.declare(dung, healthy(d.form), time.Now())
	d.must(t, err)
	d.must(t, d.visit(t.Context(), "a declaration", laneIn, entry.Admit, entry.ReasonDeclared, declared))
	d.must(t, d.visit(t.Context(), "a bare card", laneIn, entry.Look, entry.ReasonNeedsAnswers, huong.card()))
	counts := d.whole(t)
	if d.bad > 0 || counts.stored < pictures+3 {
		t.Fatalf("%d of the verdicts are others: %v", d.bad, counts)
	}
	state := filepath.Join(t.TempDir(), "state.json")
	devices, authority := filepath.Join(d.hubData, "devices"), filepath.Join(d.dir, "authority.key")
	all := []string{d.hubURL, d.token, d.ca, devices, state, authority}

	t.Run("everything once", func(t *testing.T) {
		complete(t, counts.stored, all...)
		if lines, said, code := client(t, all...); code != 0 || len(lines) != 0 {
			t.Errorf("a second run: %d more lines, exit %d: %s", len(lines), code, said)
		}
	})
	t.Run("a cursor of a log that is gone", func(t *testing.T) {
		d.must(t, os.WriteFile(state, []byte(`{"cursor": "gone.1.1", "heads": {}}`), 0o600))
		complete(t, counts.stored, all...)
	})
	t.Run("another key", func(t *testing.T) {
		dir := t.TempDir()
		d.must(t, keyfile.Create(dir, "gate-1", "device"))
		refused(t, "no key of this device", 0, d.hubURL, d.token, d.ca, dir, filepath.Join(dir, "state.json"))
	})
	t.Run("a hub that lies", func(t *testing.T) {
		lies(t, d.page(t), func(t *testing.T, page []pull.Line) []string {
			url, ca := liar(t, page)
			return []string{url, d.token, ca, devices, filepath.Join(t.TempDir(), "state.json"), authority}
		})
	})
}

// TestPythonClientReadsVectors serves the vectors of docs/FORMATS.md: every kind of entry, a gap among them, and a seal.
func TestPythonClientReadsVectors(t *testing.T) {
	needPython(t)
	var v struct {
		Entries []struct {
			Hex, Kind string
			Seq       int
		}
		Sealed struct {
			PrivateKey string `json:"private_key"`
		}
	}
	raw, err := os.ReadFile("../../../storage/entry/testdata/vectors.json")
	if err == nil {
		err = json.Unmarshal(raw, &v)
	}
	if err != nil {
		t.Fatal(err)
	}
	var raws [][]byte
	for _, e := range v.Entries {
		b, err := hex.DecodeString(e.Hex)
		if err != nil {
			t.Fatal(err)
		}
		raws = append(raws, b)
	}
	dir := t.TempDir()
	url, ca := liar(t, signedPage(t, dir, raws))
	lines, said, code := client(t, url, filepath.Join(dir, "token"), ca, dir, filepath.Join(dir, "state.json"), authorityFile(t, dir, v.Sealed.PrivateKey))
	if code != 0 || len(lines) != len(v.Entries) {
		t.Fatalf("%d of %d entries, exit %d: %s", len(lines), len(v.Entries), code, said)
	}
	opened := 0
	for i, l := range lines {
		if l.Seq != v.Entries[i].Seq || l.Kind != v.Entries[i].Kind {
			t.Errorf("entry %d: %+v, want %+v", i, l, v.Entries[i])
		}
		if l.Personal.Name != "" {
			opened++
		}
	}
	if opened == 0 {
		t.Error("no seal was opened")
	}
}

// signedPage returns the lines of one batch of a new device, whose key it puts into dir beside a token.
func signedPage(t *testing.T, dir string, raws [][]byte) (page []pull.Line) {
	t.Helper()
	err := errors.Join(keyfile.Create(dir, "gate-1", "device"), os.WriteFile(filepath.Join(dir, "token"), []byte("any\n"), 0o600))
	if err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Private(filepath.Join(dir, "gate-1.key"))
	if err != nil {
		t.Fatal(err)
	}
	b, err := wire.Sign(key, raws)
	if err != nil {
		t.Fatal(err)
	}
	for i, raw := range b.Entries {
		page = append(page, pull.Line{Cursor: fmt.Sprintf("vectors.1.%d", i+1), Device: b.Device, Entry: raw})
	}
	page[len(page)-1].Batch = &pull.Span{Sig: b.Sig}
	return page
}

// authorityFile writes an authority's private key, given in hexadecimal.
func authorityFile(t *testing.T, dir, key string) string {
	t.Helper()
	raw, err := hex.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}
	k, err := ecdh.X25519().NewPrivateKey(raw)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "authority.key")
	if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// A model is read, so that it must stay short: the whole file, with comments and blank lines.
func TestPythonClientIsShort(t *testing.T) {
	text, err := os.ReadFile("../../../docs/client.py")
	if err != nil {
		t.Fatal(err)
	}
	lines := 0
	for line := range strings.Lines(string(text)) {
		if lines++; utf8.RuneCountInString(line) > 120+1 {
			t.Errorf("line %d has over 120 characters", lines)
		}
	}
	if lines > 100 {
		t.Errorf("%d lines", lines)
	}
}

// complete checks that a run brings n entries in their order, and opens what they know of people.
func complete(t *testing.T, n int, args ...string) {
	t.Helper()
	lines, said, code := client(t, args...)
	if code != 0 || len(lines) != n {
		t.Fatalf("%d lines of %d, exit %d: %s", len(lines), n, code, said)
	}
	answers := map[string]int{}
	for i, l := range lines {
		if l.Seq != i+1 || l.Kind == "passage" && l.Personal.Family == "" {
			t.Errorf("line %d: %+v", i+1, l)
		}
		answers[l.Personal.Name] = len(l.Personal.Answers)
	}
	if last := lines[n-1]; last.Verdict != "look" {
		t.Errorf("the last verdict is %q, the bytes say look", last.Verdict)
	}
	if _, ok := answers[huong.name]; !ok || answers[dung.name] == 0 {
		t.Errorf("a name or the answers are missing: %v", answers)
	}
}

// refused checks that a run ends with 1 and the sentence, and gives out no more than the entries before the lie.
func refused(t *testing.T, sentence string, before int, args ...string) {
	t.Helper()
	lines, said, code := client(t, args...)
	if code != 1 || len(lines) > before || !strings.Contains(said, sentence) || strings.Count(said, "\n") != 1 {
		t.Errorf("%d lines, exit %d, said %q instead of %q", len(lines), code, said, sentence)
	}
}

// page returns the lines of the hub's whole log.
func (d *demo) page(t *testing.T) []pull.Line {
	t.Helper()
	r := d.getEntries(t, "?limit=1000")
	defer r.Body.Close()
	var page []pull.Line
	for dec := json.NewDecoder(r.Body); ; {
		var l pull.Line
		if err := dec.Decode(&l); err == io.EOF {
			return page
		} else if err != nil {
			t.Fatal(err)
		}
		page = append(page, l)
	}
}

// lies changes a true page in one place at a time; args are the client's for a hub that serves a page.
func lies(t *testing.T, page []pull.Line, args func(*testing.T, []pull.Line) []string) {
	last := len(page) - 1 // a passage, and the end of a batch
	for _, c := range []struct {
		sentence string
		at       int // the first line that is not as it was
		lie      func(p []pull.Line) []pull.Line
	}{
		{"does not follow the entry before", 1, func(p []pull.Line) []pull.Line { return append(p[:1], p[2:]...) }},
		{"does not follow the entry before", last, func(p []pull.Line) []pull.Line { p[last].Entry[40] ^= 1; return p }},
		{"InvalidSignature", last, func(p []pull.Line) []pull.Line { p[last].Entry[15] ^= 1; return p }},
		{"InvalidSignature", last, func(p []pull.Line) []pull.Line { p[last].Batch.Sig[9] ^= 1; return p }},
		{"no key of this device", last, func(p []pull.Line) []pull.Line { p[last].Device = "0123456789abcdef"; return p }},
		{"ends inside a batch", last, func(p []pull.Line) []pull.Line { p[last].Batch = nil; return p }},
		{"not what the documents say", 0, func(p []pull.Line) []pull.Line { p[0].Entry = nil; return p }},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			refused(t, c.sentence, c.at, args(t, c.lie(clone(t, page)))...)
		})
	}
	t.Run("the truth", func(t *testing.T) { complete(t, len(page), args(t, page)...) })
	t.Run("a lie beside the bytes", func(t *testing.T) { // changes nothing that the client writes
		p := clone(t, page)
		p[last].Verdict, p[last].Seq, p[last].Hash, p[last].Sealed = "admit", 1, "00", nil
		complete(t, len(page), args(t, p)...)
	})
}

// clone returns a copy of page that shares nothing with it.
func clone(t *testing.T, page []pull.Line) (copied []pull.Line) {
	t.Helper()
	text, err := json.Marshal(page)
	if err == nil {
		err = json.Unmarshal(text, &copied)
	}
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// liar serves a page as a hub would, and returns where, and the file of its certificate.
func liar(t *testing.T, page []pull.Line) (url, ca string) {
	t.Helper()
	s := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != wire.PathLog || r.URL.Query().Get("after") != "" {
			return // nothing new
		}
		for enc := json.NewEncoder(w); len(page) > 0; page = page[1:] {
			enc.Encode(page[0])
		}
	}))
	t.Cleanup(s.Close)
	ca = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: s.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	return s.URL, ca
}
