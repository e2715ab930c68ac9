package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gatepost/sync/wire"
)

// The hub answers as docs/openapi.json says: each answer that it documents is provoked, but for a log that does not
// answer, and no other is given.
func TestOpenAPI(t *testing.T) {
	a := readAPI(t)
	dir := t.TempDir()
	g, other := newGate(t, dir, "gate-1"), newGate(t, dir, "gate-2")
	must(t, os.WriteFile(filepath.Join(dir, "data", "devices", "gate-1.toml"), []byte("area = \"Mê Linh\"\nvenue = \"Chợ\"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(dir, "tokens"), []byte(allToken+"\n"+areaToken+" Mê Linh\n"+busyToken+"\n"), 0o600))
	o, lines := newOffice(t, dir)
	putOrder(t, dir, o.key, "policy", wire.Order{Kind: wire.OrderPolicy, Serial: 7, Percent: 100, Body: []byte("x")})
	p := start(t, dir, "tokens = \"tokens\"", lines)
	first := g.bytes(t, 3)
	fork := *g
	fork.head.Hash[0] ^= 1
	forked := fork.bytes(t, 1)
	g.bytes(t, 1)
	skipped := g.bytes(t, 1)
	unsigned := other.bytes(t, 1)
	unsigned[len(unsigned)-1] ^= 1

	batch := func(status int, body []byte) { a.call(t, p, "POST /v1/batches", "/v1/batches", "", body, status) }
	batch(200, first)
	batch(200, first)
	batch(400, []byte("no batch"))
	batch(403, newGate(t, t.TempDir(), "stranger").bytes(t, 1))
	batch(403, unsigned)
	batch(409, skipped)
	batch(409, forked)
	batch(413, make([]byte, wire.MaxBatch+1))
	a.call(t, p, "GET /v1/devices/{id}", "/v1/devices/"+g.id+"?nonce="+strings.Repeat("0a", 16), "", nil, 200)
	a.call(t, p, "GET /v1/devices/{id}", "/v1/devices/"+other.id, "", nil, 200)
	a.call(t, p, "GET /v1/devices/{id}", "/v1/devices/"+g.id+"?nonce=1", "", nil, 400)
	a.call(t, p, "GET /v1/devices/{id}", "/v1/devices/0123456789abcdef", "", nil, 403)

	enrol := func(status int, body []byte) { a.call(t, p, "POST /v1/enrol", "/v1/enrol", "", body, status) }
	fresh, code := unit(t), o.code(t, "gate-2", nil)
	stale := o.code(t, "gate-3", func(e *wire.Enrolment) { e.Issued, e.Expires = e.Issued.Add(-time.Hour), time.Now() })
	enrol(200, fresh.claim(t, code))
	enrol(400, code)
	enrol(403, fresh.claim(t, (&office{key: fresh.key, receipt: o.receipt}).code(t, "gate-2", nil)))
	enrol(409, unit(t).claim(t, code))
	enrol(410, fresh.claim(t, stale))
	enrol(413, make([]byte, wire.MaxEnrolment+1))

	log := func(status int, query, token string, headers ...string) *http.Response {
		return a.call(t, p, "GET /v1/log", "/v1/log"+query, token, nil, status, headers...)
	}
	tag := log(200, "?limit=2", allToken).Header.Get("ETag")
	log(304, "?limit=2", allToken, "If-None-Match", tag)
	log(200, "", areaToken)
	epoch := a.epoch(t, p)
	log(200, "?after="+epoch+".2.0", allToken)
	log(400, "?after=nowhere", allToken)
	log(400, "?limit=none", allToken)
	log(410, "?after=gone.1.1", allToken)

	const cursor = "/v1/consumers/ministry/cursor"
	put := func(status int, path, token, body string) {
		a.call(t, p, "PUT /v1/consumers/{name}/cursor", path, token, []byte(body), status)
	}
	read := func(status int, path, token string) {
		a.call(t, p, "GET /v1/consumers/{name}/cursor", path, token, nil, status)
	}
	read(404, cursor, allToken)
	put(204, cursor, allToken, epoch+".1.2")
	put(400, cursor, allToken, "nowhere")
	put(403, cursor, areaToken, epoch+".1.2")
	put(409, cursor, allToken, epoch+".1.1")
	put(410, cursor, allToken, "gone.1.1")
	put(413, cursor, allToken, strings.Repeat("x", 201))
	read(200, cursor, allToken)
	read(400, "/v1/consumers/NAME/cursor", allToken)
	read(403, cursor, areaToken)
	a.call(t, p, "GET /v1/status", "/v1/status", allToken, nil, 200)
	a.call(t, p, "GET /v1/status", "/v1/status", areaToken, nil, 200)

	release := func(status int, token, body string) {
		a.call(t, p, "POST /v1/releases", "/v1/releases", token, []byte(body), status)
	}
	opened := `{"case": "2021-117", "by": "place", "from": 1, "to": 2, "devices": [{"device": "` + g.id + `", "first": 1, "last": 3, "entries": 3}]}`
	release(201, allToken, opened)
	release(201, areaToken, opened)
	release(400, allToken, strings.Replace(opened, "117", "Đ", 1))
	release(403, areaToken, strings.Replace(opened, g.id, other.id, 1))
	release(413, allToken, strings.Repeat(" ", wire.MaxRelease+1))

	a.orders(t, p, g)
	a.bundles(t, p, dir)

	for _, path := range []string{
		"/v1/batches", "/v1/devices/" + g.id, "/v1/devices/" + g.id + "/orders", "/v1/log", cursor, "/v1/status", "/v1/enrol", "/v1/releases", "/v1/bundles/7.bundle",
	} {
		a.refusals(t, p, path)
	}
	for _, path := range []string{"/", "/v1", "/v1/entries", "/v1/consumers/x", "/v1/devices/" + g.id + "/x"} {
		if status, _ := a.ask(t, p, "GET", path, allToken, nil); status != 404 {
			t.Errorf("%s: %d, want 404", path, status)
		}
	}
	a.complete(t)
}

// bundles asks for a bundle, for what lies beside it, and for what is none.
func (a *api) bundles(t *testing.T, p *process, dir string) {
	t.Helper()
	folder := filepath.Join(dir, "data", "bundles")
	must(t, os.MkdirAll(filepath.Join(folder, "folder.bundle"), 0o700))
	must(t, os.WriteFile(filepath.Join(folder, "7.bundle"), []byte("a new system"), 0o600))
	must(t, os.WriteFile(filepath.Join(folder, "note.txt"), []byte("not for gates"), 0o600))
	get := func(status int, name string, headers ...string) {
		a.call(t, p, "GET /v1/bundles/{name}", "/v1/bundles/"+name, "", nil, status, headers...)
	}
	get(200, "7.bundle")
	get(206, "7.bundle", "Range", "bytes=6-")
	for _, name := range []string{"8.bundle", "note.txt", "folder.bundle", "..%2Freceipt.key", ".bundle"} {
		get(404, name)
	}
}

const (
	allToken  = "a-token-that-opens-all"
	areaToken = "a-token-of-one-area"
	busyToken = "a-token-that-comes-too-often"
)

// bytes makes a batch of n entries.
func (g *gate) bytes(t *testing.T, n int) []byte {
	t.Helper()
	raw, err := g.batch(n)
	must(t, err)
	return raw
}

// api is the document, and which of its answers were seen.
type api struct {
	doc  map[string]any
	seen map[string]bool // "GET /v1/log 200"
}

func readAPI(t *testing.T) *api {
	t.Helper()
	raw, err := os.ReadFile("../../docs/openapi.json")
	must(t, err)
	a := &api{seen: map[string]bool{}}
	must(t, json.Unmarshal(raw, &a.doc))
	if a.doc["openapi"] != "3.1.0" {
		t.Fatalf("openapi %v", a.doc["openapi"])
	}
	return a
}

// at follows keys from v, and references wherever one stands. It returns nil where nothing is.
func (a *api) at(v any, keys ...string) any {
	for {
		m, _ := v.(map[string]any)
		if ref, ok := m["$ref"].(string); ok {
			v = a.at(a.doc, strings.Split(strings.TrimPrefix(ref, "#/"), "/")...)
		} else if len(keys) == 0 {
			return v
		} else {
			v, keys = m[keys[0]], keys[1:]
		}
	}
}

// operations returns all "METHOD /path" and what they say.
func (a *api) operations() map[string]any {
	all := map[string]any{}
	for path, item := range a.doc["paths"].(map[string]any) {
		for method, op := range item.(map[string]any) {
			if method != "parameters" {
				all[strings.ToUpper(method)+" "+path] = op
			}
		}
	}
	return all
}

// ask sends a request, and returns the status and the answer with its body read.
func (a *api) ask(t *testing.T, p *process, method, path, token string, body []byte, headers ...string) (int, *http.Response) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, p.url+path, bytes.NewReader(body))
	must(t, err)
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	res, err := p.http.Do(r)
	must(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	res.Body = io.NopCloser(bytes.NewReader(raw))
	return res.StatusCode, res
}

// call makes a request of an operation that must be answered with that status and as the document says.
func (a *api) call(t *testing.T, p *process, op, path, token string, body []byte, want int, headers ...string) *http.Response {
	t.Helper()
	method, _, _ := strings.Cut(op, " ")
	status, res := a.ask(t, p, method, path, token, body, headers...)
	if status != want {
		t.Errorf("%s %s: %d, want %d", method, path, status, want)
	}
	a.check(t, op, res)
	return res
}

// check holds an answer of an operation against the document.
func (a *api) check(t *testing.T, op string, res *http.Response) {
	t.Helper()
	where := fmt.Sprintf("%s %d", op, res.StatusCode)
	answer := a.at(a.operations()[op], "responses", fmt.Sprint(res.StatusCode))
	if answer == nil {
		t.Errorf("%s is not documented", where)
		return
	}
	a.seen[where] = true
	headers, _ := a.at(answer, "headers").(map[string]any)
	for name, h := range headers {
		switch got := res.Header.Get(name); {
		case got != "":
			a.fits(t, where+" "+name, a.at(h, "schema"), got)
		case a.at(h, "required") == true:
			t.Errorf("%s: no header %s", where, name)
		}
	}
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	kind, _, _ := strings.Cut(res.Header.Get("Content-Type"), ";")
	content, _ := a.at(answer, "content").(map[string]any)
	if content == nil && len(raw) == 0 {
		return
	}
	schema := a.at(content[kind], "schema")
	if schema == nil {
		t.Errorf("%s: a body of the type %q is not documented", where, kind)
		return
	}
	a.body(t, where, kind, schema, raw)
}

// body holds each JSON value of a body, or the text that it is, against its schema.
func (a *api) body(t *testing.T, where, kind string, schema any, raw []byte) {
	t.Helper()
	if kind == "text/plain" || kind == wire.TypeBatch || kind == "application/octet-stream" {
		a.fits(t, where, schema, string(raw))
		return
	}
	for dec := json.NewDecoder(bytes.NewReader(raw)); ; {
		var v any
		if err := dec.Decode(&v); err == io.EOF {
			return
		} else if err != nil {
			t.Errorf("%s: %v", where, err)
			return
		}
		a.fits(t, where, schema, v)
	}
}

// fits checks v against the part of JSON Schema that the document uses.
func (a *api) fits(t *testing.T, where string, schema, v any) {
	t.Helper()
	s := a.at(schema).(map[string]any)
	kind := map[string]bool{}
	switch v := v.(type) {
	case string:
		kind["string"] = true
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(v) {
			t.Errorf("%s: %q does not fit %s", where, v, p)
		}
		if most, ok := s["maxLength"].(float64); ok && utf8.RuneCountInString(v) > int(most) {
			t.Errorf("%s: %q is longer than %v", where, v, most)
		}
	case float64:
		kind["number"], kind["integer"] = true, v == math.Trunc(v)
		if least, ok := s["minimum"].(float64); ok && v < least {
			t.Errorf("%s: %v is less than %v", where, v, least)
		}
	case []any:
		kind["array"] = true
		for _, item := range v {
			a.fits(t, where+"[]", s["items"], item)
		}
	case map[string]any:
		kind["object"] = true
		a.object(t, where, s, v)
	}
	if enum, ok := s["enum"].([]any); ok && !slices.Contains(enum, v) {
		t.Errorf("%s: %v is none of %v", where, v, enum)
	}
	if want, ok := s["type"].(string); !ok || !kind[want] {
		t.Errorf("%s: %v is no %v", where, v, s["type"])
	}
}

func (a *api) object(t *testing.T, where string, s, v map[string]any) {
	t.Helper()
	required, _ := s["required"].([]any)
	for _, name := range required {
		if _, ok := v[name.(string)]; !ok {
			t.Errorf("%s: no %q", where, name)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, item := range v {
		if schema, ok := properties[name]; ok {
			a.fits(t, where+"."+name, schema, item)
		} else {
			t.Errorf("%s: %q is not documented", where, name)
		}
	}
}

// epoch returns the log's epoch, as the status tells it.
func (a *api) epoch(t *testing.T, p *process) string {
	t.Helper()
	_, res := a.ask(t, p, "GET", "/v1/status", allToken, nil)
	var s struct{ Epoch string }
	must(t, json.NewDecoder(res.Body).Decode(&s))
	return s.Epoch
}

// refusals provokes what every operation of a path refuses alike: other methods, no token, too many requests.
func (a *api) refusals(t *testing.T, p *process, path string) {
	t.Helper()
	for op, def := range a.operations() {
		method, pattern, _ := strings.Cut(op, " ")
		if !regexp.MustCompile("^" + regexp.MustCompile(`\{[a-z]+\}`).ReplaceAllString(pattern, "[^/]+") + "$").MatchString(path) {
			continue
		}
		for _, m := range []string{"DELETE", "PATCH", "GET", "PUT", "POST"} {
			if _, served := a.operations()[m+" "+pattern]; !served {
				status, res := a.ask(t, p, m, path, allToken, nil)
				if a.check(t, op, res); status != 405 {
					t.Errorf("%s %s: %d, want 405", m, path, status)
				}
			}
		}
		if a.at(def, "security") == nil {
			continue
		}
		a.call(t, p, op, path, "", nil, 401)
		if a.at(def, "responses", "429") == nil {
			continue
		}
		for status := 0; status != 429; {
			var res *http.Response
			if status, res = a.ask(t, p, method, path, busyToken, nil); status == 429 {
				a.check(t, op, res)
			}
		}
	}
}

// complete fails for every documented answer that was not seen.
func (a *api) complete(t *testing.T) {
	t.Helper()
	for op, def := range a.operations() {
		for status := range a.at(def, "responses").(map[string]any) {
			if !a.seen[op+" "+status] && status != "503" {
				t.Errorf("%s %s is documented, and nothing provoked it", op, status)
			}
		}
	}
}

// Each path that the hub's sources serve stands in the document, and the other way round.
func TestOpenAPIHasEveryRoute(t *testing.T) {
	paths := readAPI(t).doc["paths"].(map[string]any)
	raw, err := os.ReadFile("../../sync/wire/http.go")
	must(t, err)
	consts := map[string]string{}
	for _, m := range regexp.MustCompile(`(Path\w+)\s*= "(/[^"]+)"`).FindAllStringSubmatch(string(raw), -1) {
		consts[m[1]] = m[2]
	}
	for name, prefix := range consts {
		found := false
		for path := range paths {
			found = found || path == prefix || strings.HasSuffix(prefix, "/") && strings.HasPrefix(path, prefix)
		}
		if !found {
			t.Errorf("wire.%s, %s, is not documented", name, prefix)
		}
	}
	for path := range paths {
		if !slices.ContainsFunc(slices.Collect(maps.Values(consts)), func(p string) bool { return strings.HasPrefix(path, p) }) {
			t.Errorf("%s is no path of sync/wire", path)
		}
	}
	served := 0
	for _, glob := range []string{"../../sync/hub/*.go", "../../sync/pull/*.go", "*.go"} {
		files, err := filepath.Glob(glob)
		must(t, err)
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			raw, err := os.ReadFile(file)
			must(t, err)
			for _, m := range regexp.MustCompile(`\.Handle(?:Func)?\(([^,]+),`).FindAllStringSubmatch(string(raw), -1) {
				if served++; !strings.HasPrefix(m[1], "wire.Path") && m[1] != `"/"` && m[1] != "path" {
					t.Errorf("%s serves %s, which is no path of sync/wire", file, m[1])
				}
			}
		}
	}
	if served < 6 {
		t.Errorf("only %d routes found", served)
	}
}
