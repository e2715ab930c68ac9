package demo

import (
	"bytes"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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
	Signed   bool   `json:"signed"`
	Kind     string `json:"kind"`
	Personal struct {
		Family  string         `json:"family"`
		Name    string         `json:"name"`
		Answers map[string]any `json:"answers"`
	} `json:"personal"`
}

// client runs docs/client.py against the hub at url. It returns the entries, what it said to stderr
// and its exit code.
func client(t *testing.T, url string, args ...string) (lines []pulled, said string, code int) {
	t.Helper()
	b, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, append([]string{filepath.Join(b.tree, "docs", "client.py"), url}, args...)...)
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
	d.must(t, d.hub.start())
	d.must(t, d.kiosk.start())
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
	access := []string{"--token", d.token, "--ca", d.ca}
	proof := []string{"--devices", filepath.Join(d.hubData, "devices"), "--authority", filepath.Join(d.dir, "authority.key")}
	all := slices.Concat(access, proof, []string{"--state", state})

	t.Run("everything once", func(t *testing.T) {
		complete(t, counts.stored, d.hubURL, all...)
		if lines, said, code := client(t, d.hubURL, all...); code != 0 || len(lines) != 0 {
			t.Errorf("a second run: %d more lines, exit %d: %s", len(lines), code, said)
		}
	})
	t.Run("a cursor of a log that is gone", func(t *testing.T) {
		d.must(t, os.WriteFile(state, []byte(`{"cursor": "gone.1.1", "heads": {}}`), 0o600))
		complete(t, counts.stored, d.hubURL, all...)
	})
	t.Run("another key", func(t *testing.T) {
		dir := t.TempDir()
		d.must(t, keyfile.Create(dir, "gate-1", "device"))
		refused(t, "no key of this device", 0, d.hubURL, slices.Concat(access, []string{"--devices", dir})...)
	})
	t.Run("a hub that lies", func(t *testing.T) {
		lies(t, d.page(t), slices.Concat(proof, []string{"--token", d.token}))
	})
}

// complete checks that a run brings n signed entries in their order, and opens what they know of people.
func complete(t *testing.T, n int, url string, args ...string) {
	t.Helper()
	lines, said, code := client(t, url, args...)
	if code != 0 || len(lines) != n {
		t.Fatalf("%d lines of %d, exit %d: %s", len(lines), n, code, said)
	}
	answers := map[string]int{}
	for i, l := range lines {
		if !l.Signed || l.Seq != i+1 || l.Kind == "passage" && l.Personal.Family == "" {
			t.Errorf("line %d: %+v", i+1, l)
		}
		answers[l.Personal.Name] = len(l.Personal.Answers)
	}
	if _, ok := answers[huong.name]; !ok || answers[dung.name] == 0 {
		t.Errorf("a name or the answers are missing: %v", answers)
	}
}

// refused checks that a run ends with 1 and the sentence, and gives out no more than the entries before the lie.
func refused(t *testing.T, sentence string, before int, url string, args ...string) {
	t.Helper()
	lines, said, code := client(t, url, args...)
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

// lies changes a true page in one place at a time.
func lies(t *testing.T, page []pull.Line, args []string) {
	last := len(page) - 1 // a passage, and the end of a batch
	for _, c := range []struct {
		sentence string
		at       int // the first line that is not as it was
		lie      func(p []pull.Line) []pull.Line
	}{
		{"verdict is not what its bytes say", last, func(p []pull.Line) []pull.Line { p[last].Verdict = "admit"; return p }}, // it is look
		{"tag is not what its bytes say", 0, func(p []pull.Line) []pull.Line { p[0].Tag = "00"; return p }},
		{"hash is not what its bytes say", last, func(p []pull.Line) []pull.Line { p[last].Entry[40] ^= 1; return p }},
		{"does not follow the entry before", 1, func(p []pull.Line) []pull.Line { return append(p[:1], p[2:]...) }},
		{"signature of its batch does not fit", last, func(p []pull.Line) []pull.Line { p[last].Batch.Sig[9] ^= 1; return p }},
		{"begins elsewhere", last, func(p []pull.Line) []pull.Line { p[last].Batch.Before.Seq++; return p }},
		{"ends inside a batch", last, func(p []pull.Line) []pull.Line { p[last].Batch = nil; return p }},
		{"not of the form", 0, func(p []pull.Line) []pull.Line { p[0].Entry = nil; return p }},
	} {
		t.Run(c.sentence, func(t *testing.T) {
			url, ca := liar(t, c.lie(clone(t, page)))
			refused(t, c.sentence, c.at, url, slices.Concat(args, []string{"--ca", ca})...)
		})
	}
	t.Run("the truth", func(t *testing.T) {
		url, ca := liar(t, page)
		complete(t, len(page), url, slices.Concat(args, []string{"--ca", ca})...)
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
		if r.URL.Path != wire.PathLog || r.URL.Query().Has("after") {
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
