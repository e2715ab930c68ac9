package main

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/sync/wire"
)

var issuer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// putOrder signs an order and puts it into the orders folder of the hub over dir.
func putOrder(t *testing.T, dir string, key ed25519.PrivateKey, name string, o wire.Order) []byte {
	t.Helper()
	raw, err := wire.SignOrder(key, o)
	must(t, err)
	folder := filepath.Join(dir, "data", "orders")
	must(t, os.MkdirAll(folder, 0o700))
	must(t, os.WriteFile(filepath.Join(folder, name+orderSuffix), raw, 0o600))
	return raw
}

// contact returns the hub's state for g, with its time.
func (p *process) contact(t *testing.T, g *gate) (s wire.State, err error) {
	t.Helper()
	res, err := p.http.Get(p.url + wire.PathDevice + g.id + "?nonce=" + strings.Repeat("0a", wire.NonceSize))
	must(t, err)
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		var problem wire.Problem
		return s, errors.Join(json.NewDecoder(res.Body).Decode(&problem), problem)
	}
	return s, json.NewDecoder(res.Body).Decode(&s)
}

// proof contacts and signs the time that the hub tells.
func (g *gate) proof(t *testing.T, p *process) string {
	t.Helper()
	s, err := p.contact(t, g)
	must(t, err)
	return wire.NewProof(g.key, time.UnixMilli(s.Time.At))
}

// orders returns what g gets that has had some already, nil for no more.
func (g *gate) orders(t *testing.T, p *process, had ...string) []byte {
	t.Helper()
	q := url.Values{"have": had}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+wire.PathDevice+g.id+wire.OrdersOf+"?"+q.Encode(), nil)
	must(t, err)
	r.Header.Set(wire.HeaderProof, g.proof(t, p))
	res, err := p.http.Do(r)
	must(t, err)
	defer res.Body.Close()
	raw, err := io.ReadAll(res.Body)
	must(t, err)
	if res.StatusCode == http.StatusNoContent {
		return nil
	}
	if res.StatusCode != http.StatusOK {
		t.Fatalf("%d: %s", res.StatusCode, raw)
	}
	return raw
}

// orders holds the answers about orders against the document.
func (a *api) orders(t *testing.T, p *process, g *gate) {
	t.Helper()
	path := "/v1/devices/" + g.id + "/orders"
	call := func(status int, path, token string, headers ...string) *http.Response {
		return a.call(t, p, "GET /v1/devices/{id}/orders", path, token, nil, status, headers...)
	}
	proof := g.proof(t, p)
	call(200, path, "", wire.HeaderProof, proof)
	call(200, path+"?have=policy:6", areaToken)
	call(204, path+"?have=policy:7&have=form/visit:1", "", wire.HeaderProof, proof)
	call(204, path+"?have=policy:8", allToken)
	for _, bad := range []string{"policy", "policy:x", ":7"} {
		call(400, path+"?have="+bad, "", wire.HeaderProof, proof)
	}
	call(400, path+"?"+strings.Repeat("have=policy:7&", wire.MaxSlots+1), "", wire.HeaderProof, proof)
	if res := call(401, path, "a-token-that-nobody-knows"); res.Header.Get("WWW-Authenticate") == "" {
		t.Error("nothing says what is missing")
	}
	call(403, path, "", wire.HeaderProof, wire.NewProof(g.key, time.Now().Add(-time.Hour)))
	call(403, path, "", wire.HeaderProof, wire.NewProof(issuer, time.Now()))
	call(403, path, allToken, wire.HeaderProof, "x") // a wrong proof is no request without one
	call(403, "/v1/devices/0123456789abcdef/orders", allToken)
}

// A drawer is an orders folder with what reads it; its time stands still until it is set.
type drawer struct {
	*orders
	t   *testing.T
	dir string
	at  time.Time
}

func newDrawer(t *testing.T) *drawer {
	dir := t.TempDir()
	d := &drawer{t: t, dir: dir, at: time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	d.orders = &orders{dir: filepath.Join(dir, "data", "orders"), now: func() time.Time { return d.at }, log: slog.New(slog.DiscardHandler)}
	d.area = func(device string) string {
		return map[string]string{"a": "Mê Linh/Quang Minh", "b": "Sóc Sơn"}[device[:1]]
	}
	must(t, os.MkdirAll(d.orders.dir, 0o700))
	return d
}

func (d *drawer) policy(serial uint64, percent uint, areas ...string) {
	d.t.Helper()
	putOrder(d.t, d.dir, issuer, fmt.Sprint("policy-", serial), wire.Order{Kind: wire.OrderPolicy, Serial: serial, Percent: percent, Areas: areas, Body: []byte("x")})
}

// gets returns what a device gets that has had some already, in words.
func (d *drawer) gets(device string, had map[string]uint64) string {
	d.t.Helper()
	raw, ok := d.next(device, had)
	if !ok {
		return ""
	}
	order, err := wire.ParseOrder(raw)
	must(d.t, err)
	return order.String()
}

// Of each slot a device gets the newest order that is meant for it, by area and by percentage, and a greater percentage
// keeps those in that had a smaller one.
func TestOrdersAreStaged(t *testing.T) {
	d := newDrawer(t)
	if d.read() != nil || d.Digest("a1") != "" {
		t.Error("an empty folder has orders")
	}
	d.policy(1, 100)
	d.policy(2, 100, "Mê Linh")
	d.policy(3, 10, "Mê Linh")
	must(t, d.read())
	first, digests := map[string]bool{}, map[string]bool{}
	for i := range 200 {
		a, b := fmt.Sprintf("a%015x", i), fmt.Sprintf("b%015x", i)
		if got := d.gets(b, nil); got != "policy 1" {
			t.Errorf("%s elsewhere gets %q", b, got)
		}
		if first[a] = d.gets(a, nil) == "policy 3"; !first[a] && d.gets(a, nil) != "policy 2" {
			t.Errorf("%s gets %q", a, d.gets(a, nil))
		}
		if got := d.gets(a, map[string]uint64{"policy": 3}); got != "" {
			t.Errorf("%s had all and gets %q", a, got)
		}
		digests[d.Digest(a)], digests[d.Digest(b)] = true, true
	}
	if len(digests) != 3 {
		t.Errorf("%d sets of orders, want 3", len(digests))
	}
	d.policy(4, 50, "Mê Linh")
	must(t, d.read())
	n := 0
	for a, was := range first {
		is := d.gets(a, nil) == "policy 4"
		if was && !is {
			t.Errorf("%s fell out of the rollout", a)
		}
		if is {
			n++
		}
	}
	if n < 70 || n > 130 {
		t.Errorf("50 percent are %d of 200", n)
	}
}

// A bad file is left out and the others count; with the issuer's key, so is one that somebody else has signed.
func TestBadOrdersAreLeftOut(t *testing.T) {
	d := newDrawer(t)
	d.policy(1, 100)
	d.policy(3, 100)
	must(t, os.WriteFile(filepath.Join(d.orders.dir, "bad.order"), []byte("no order"), 0o600))
	must(t, os.WriteFile(filepath.Join(d.orders.dir, "large.order"), make([]byte, wire.MaxOrder+1), 0o600))
	must(t, os.WriteFile(filepath.Join(d.orders.dir, "readme"), []byte("hello"), 0o600))
	putOrder(t, d.dir, issuer, "twin", wire.Order{Kind: wire.OrderPolicy, Serial: 3, Percent: 1, Body: []byte("y")})
	stranger, _, err := ed25519.GenerateKey(nil)
	must(t, err)
	for _, c := range []struct {
		issuer ed25519.PublicKey
		want   int
	}{{nil, 2}, {issuer.Public().(ed25519.PublicKey), 2}, {stranger, 0}} {
		d.issuer, d.stamp = c.issuer, ""
		if must(t, d.read()); len(d.all) != c.want {
			t.Errorf("%d orders, want %d", len(d.all), c.want)
		}
	}
}

// An order is handed out from its beginning until its end, and to the devices that it names.
func TestOrdersHaveTheirTime(t *testing.T) {
	d := newDrawer(t)
	noon := d.at
	putOrder(t, d.dir, issuer, "trust", wire.Order{
		Kind: wire.OrderTrust, Serial: 1, Percent: 100, Body: []byte("x"), Devices: []string{"b000000000000001"},
		From: noon.Add(time.Hour), Until: noon.Add(2 * time.Hour),
	})
	must(t, d.read())
	for _, step := range []struct {
		after time.Duration
		want  string
	}{{0, ""}, {time.Hour, "trust 1"}, {2 * time.Hour, ""}} {
		d.at = noon.Add(step.after)
		if got := d.gets("b000000000000001", nil); got != step.want {
			t.Errorf("after %v: %q, want %q", step.after, got, step.want)
		}
		if got := d.gets("b000000000000002", nil); got != "" {
			t.Errorf("another device gets %q", got)
		}
	}
}

// A running hub sees a new order and a device that is shut out; what that has sent stays, and it may come back.
func TestRevokedAndNewOrders(t *testing.T) {
	dir := t.TempDir()
	g, other := newGate(t, dir, "gate-1"), newGate(t, dir, "gate-2")
	p := start(t, dir)
	g.send(t, p, 3)
	if s, err := p.contact(t, g); err != nil || s.Orders != "" || s.Seq != 3 {
		t.Fatalf("%+v, %v", s, err)
	}
	raw := putOrder(t, dir, issuer, "policy", wire.Order{Kind: wire.OrderPolicy, Serial: 1, Percent: 100, Body: []byte("x")})
	until(t, "the order", func() bool { s, err := p.contact(t, g); return err == nil && s.Orders != "" })
	if got := g.orders(t, p); !bytes.Equal(got, raw) {
		t.Errorf("%d bytes, want the order's own", len(got))
	}
	if got := g.orders(t, p, "policy:1"); got != nil {
		t.Error("it came twice")
	}

	place := filepath.Join(p.dir, "devices", "gate-1.toml")
	must(t, os.WriteFile(place, []byte("name = \"Cổng 1\"\nrevoked = true\n"), 0o600))
	revoked := func(err error) bool {
		var problem wire.Problem
		return errors.As(err, &problem) && problem.Status == http.StatusForbidden && problem.Type == wire.ProblemRevoked && problem.Detail != ""
	}
	until(t, "the refusal", func() bool { _, err := p.contact(t, g); return revoked(err) })
	batch, err := g.batch(1)
	must(t, err)
	if _, err := p.post(batch); !revoked(err) {
		t.Errorf("a batch: %v", err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+wire.PathDevice+g.id+wire.OrdersOf, nil)
	must(t, err)
	r.Header.Set(wire.HeaderProof, wire.NewProof(g.key, time.Now()))
	res, err := p.http.Do(r)
	must(t, err)
	defer res.Body.Close()
	var problem wire.Problem
	must(t, json.NewDecoder(res.Body).Decode(&problem))
	if !revoked(problem) {
		t.Errorf("orders: %v", problem)
	}
	other.send(t, p, 1)
	status := p.status(t)
	if !status[g.id].Revoked || status[g.id].Seq != 3 || status[other.id].Revoked {
		t.Errorf("status %+v", status)
	}

	must(t, os.WriteFile(place, []byte("revoked = nonsense"), 0o600)) // a slip of the pen lets nobody in
	until(t, "the slip", func() bool { return p.out.have("device's place left out") })
	if _, err := p.contact(t, g); !revoked(err) {
		t.Errorf("after a slip of the pen: %v", err)
	}
	must(t, os.Remove(place))
	until(t, "the pardon", func() bool { s, err := p.contact(t, g); return err == nil && s.Seq == 3 })
	if s, err := p.post(batch); err != nil || s.Seq != 4 {
		t.Errorf("%+v, %v", s, err)
	}
}

// have tells whether a line with text was written.
func (l *lines) have(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(strings.Join(l.all, "\n"), text)
}

// until polls until ok.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not come", what)
		}
	}
}
