package demo

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
	"gatepost/scanner/admission/roster"
	"gatepost/scanner/credential"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

// An issuer is the authority whose orders the demo's kiosk takes.
type issuer struct {
	*demo
	t   *testing.T
	key ed25519.PrivateKey
}

// newIssuer gives the kiosk an issuer's key and a short probation.
func newIssuer(t *testing.T, d *demo) *issuer {
	t.Helper()
	d.must(t, keyfile.Create(d.dir, "issuer", "issuer"))
	key, err := keyfile.Private(filepath.Join(d.dir, "issuer.key"))
	d.must(t, err)
	text, err := os.ReadFile(d.kioskConfig)
	d.must(t, err)
	text = bytes.Replace(text, []byte("[keys]\n"), []byte("[keys]\nissuer = \"issuer.pub.pem\"\n"), 1)
	text = bytes.Replace(text, []byte("[uplink]\n"), []byte("[uplink]\nprobation = \"5s\"\n"), 1)
	d.must(t, os.WriteFile(d.kioskConfig, text, 0o600))
	return &issuer{d, t, key}
}

// put lays an order into the hub's folder, after a change of its bytes where one is given.
func (i *issuer) put(name string, o wire.Order, change func([]byte)) {
	i.t.Helper()
	if o.Percent == 0 {
		o.Percent = 100
	}
	raw, err := wire.SignOrder(i.key, o)
	i.must(i.t, err)
	if change != nil {
		change(raw)
	}
	dir := filepath.Join(i.hubData, "orders")
	i.must(i.t, os.MkdirAll(dir, 0o700))
	part := filepath.Join(dir, name+".part")
	i.must(i.t, os.WriteFile(part, raw, 0o600))
	i.must(i.t, os.Rename(part, filepath.Join(dir, name+".order")))
}

// kept is the part of the kiosk's state of orders that the tests look at.
type kept struct {
	Slots map[string]struct{ Had, Next, Current, Previous uint64 }
	Trial *struct{ Starts int }
}

func (i *issuer) kept() (k kept) {
	raw, err := os.ReadFile(filepath.Join(i.kioskData, "orders", "state.json"))
	if err == nil {
		err = json.Unmarshal(raw, &k)
	}
	if err != nil && !os.IsNotExist(err) {
		i.t.Error(err)
	}
	return k
}

func (i *issuer) await(what string, ok func(kept) bool) {
	i.t.Helper()
	i.must(i.t, await(i.t.Context(), time.Minute, what, func() bool { return ok(i.kept()) }))
}

// verdict shows somebody's card and returns the verdict.
func (i *issuer) verdict(p person) entry.Verdict {
	i.t.Helper()
	i.must(i.t, i.awaitKiosk(i.t.Context()))
	before, err := i.state()
	i.must(i.t, err)
	i.must(i.t, i.show(laneIn, p.card()))
	var v entry.Verdict
	i.must(i.t, await(i.t.Context(), time.Minute, "a verdict on "+p.name, func() bool {
		s, err := i.state()
		if err != nil || s.Seq == before.Seq || len(s.Recent) == 0 || s.Recent[0].Seq <= before.Seq {
			return false
		}
		v = s.Recent[0].Verdict
		return true
	}))
	return v
}

// A policy that the authority signs and puts at the hub decides at the gate, while one for another area and a forged one do
// not; the gate begins anew with it only when no question waits. A wrong hub's address goes back by itself, also when the
// kiosk is killed in the middle, is recorded, and is never tried again.
func TestOrders(t *testing.T) {
	d := newGate(t, demoLanes(""))
	i := newIssuer(t, d)
	d.must(t, d.hub.Start())
	d.must(t, d.kiosk.Start())
	if v := i.verdict(dung); v != entry.Look {
		t.Fatalf("before any order: %v", v)
	}
	policy := wire.Order{Kind: wire.OrderPolicy, Serial: 1, Areas: []string{"Mê Linh"}, Body: []byte("schema = 1\n[policy]\nunprovable = \"refuse\"\n")}
	elsewhere := wire.Order{Kind: wire.OrderPolicy, Serial: 3, Areas: []string{"Sóc Sơn"}, Body: []byte("schema = 1\n[policy]\nunprovable = \"admit\"\n")}
	i.put("elsewhere", elsewhere, nil)
	i.put("forged", wire.Order{Kind: wire.OrderConfig, Serial: 1, Body: []byte("schema = 1\nvenue.retain = \"0s\"\n")}, func(raw []byte) { raw[len(raw)-1] ^= 1 })
	i.put("policy", policy, nil)
	i.await("the policy", func(k kept) bool { return k.Slots["policy"].Had == 1 })
	s, err := d.state()
	d.must(t, err)
	if k := i.kept(); s.Ask == nil || k.Slots["policy"].Current != 0 || k.Trial != nil {
		t.Fatalf("a question waits, and the order does not: %+v, %+v", s.Ask, k)
	}
	d.must(t, d.do(guard.Action{Leave: &guard.Leave{ID: s.Ask.ID}}))
	i.await("the policy to stand", func(k kept) bool { return k.Slots["policy"].Current == 1 && k.Trial == nil })
	if v := i.verdict(mai); v != entry.Refuse {
		t.Errorf("under the order: %v", v)
	}

	i.bars(lan)
	if _, had := i.kept().Slots["config"]; had {
		t.Error("a forged order is remembered")
	}
	d.must(t, os.Remove(filepath.Join(d.hubData, "orders", "forged.order")))
	i.put("config", wire.Order{Kind: wire.OrderConfig, Serial: 1, Body: []byte("schema = 1\nuplink.hub = \"https://127.0.0.1:1\"\n")}, nil)
	i.await("the wrong hub", func(k kept) bool { return k.Trial != nil && k.Trial.Starts > 0 })
	d.kiosk.Kill()
	d.must(t, d.kiosk.Start())
	i.await("the way back", func(k kept) bool {
		return k.Trial == nil && k.Slots["config"].Current == 0 && k.Slots["config"].Had == 1 && k.Slots["policy"].Current == 2
	})
	d.must(t, await(t.Context(), time.Minute, "the hub", func() bool {
		s, err := d.state()
		return err == nil && s.Online && slices.ContainsFunc(s.Faults, func(f string) bool { return strings.Contains(f, "order config 1 is taken back") })
	}))
	if v := i.verdict(son); v != entry.Refuse {
		t.Errorf("after the way back: %v", v)
	}
	d.must(t, await(t.Context(), time.Minute, "the last receipt", d.settled))
	d.kiosk.Stop()
	if k := i.kept(); k.Slots["config"].Had != 1 || k.Slots["config"].Current != 0 || k.Slots["policy"].Had != 2 {
		t.Errorf("in the end: %+v", k)
	}
	if n := i.faults("order config 1 is taken back"); n < 1 || n > 2 { // a kill may record it twice
		t.Errorf("%d faults are recorded", n)
	}
}

// bars sends a policy that bars who is on a roster, and then the roster with that person: it decides from then on, and the gate
// does not begin anew for it.
func (i *issuer) bars(p person) {
	i.t.Helper()
	i.put("policy", wire.Order{Kind: wire.OrderPolicy, Serial: 2, Areas: []string{"Mê Linh"}, Body: []byte("schema = 1\n[policy]\nunprovable = \"refuse\"\nbarred = [\"banned\"]\n")}, nil)
	missing := func() bool {
		s, err := i.state()
		return err == nil && slices.ContainsFunc(s.Faults, func(f string) bool { return strings.Contains(f, "not here yet: banned") })
	}
	i.must(i.t, await(i.t.Context(), time.Minute, "the policy's roster to be missed", missing))
	i.await("that policy to stand", func(k kept) bool { return k.Slots["policy"].Current == 2 && k.Trial == nil })
	raw, err := roster.Build(credential.Parse(p.card(), credential.Trust{}).Keys(), nil)
	i.must(i.t, err)
	i.put("banned", wire.Order{Kind: wire.OrderRoster, Name: "banned", Serial: 1, Body: raw}, nil)
	i.await("the roster", func(k kept) bool { return k.Slots["roster/banned"].Current == 1 })
	i.must(i.t, await(i.t.Context(), time.Minute, "the roster at the gate", func() bool { return !missing() }))
	if v := i.verdict(p); v != entry.Refuse {
		i.t.Errorf("who is barred: %v", v)
	}
	s, err := i.state()
	i.must(i.t, err)
	if s.Recent[0].Reason != entry.ReasonBarred {
		i.t.Errorf("refused for %s", s.Recent[0].Reason)
	}
}

// faults counts the journal's faults of orders that say so.
func (i *issuer) faults(text string) (n int) {
	i.t.Helper()
	key, err := keyfile.Public(filepath.Join(i.kioskData, "device.pub.pem"))
	i.must(i.t, err)
	j, err := journal.Open(filepath.Join(i.kioskData, "journal"), journal.Options{Device: entry.DeviceID(key)})
	i.must(i.t, err)
	defer j.Close()
	for e, err := range j.Last(1000) {
		i.must(i.t, err)
		if f, err := entry.Decode[entry.Fault](e); err == nil && f.Part == "order" && strings.Contains(f.Text, text) {
			n++
		}
	}
	return n
}

// A device that the running hub shuts out says so at the gate and goes on deciding and keeping; let in again, it hands on
// everything.
func TestRevoked(t *testing.T) {
	d := newGate(t, demoLanes(""))
	i := newIssuer(t, d)
	d.must(t, d.hub.Start())
	d.must(t, d.kiosk.Start())
	i.verdict(dung)
	d.must(t, await(t.Context(), time.Minute, "the first receipt", d.settled))
	place := filepath.Join(d.hubData, "devices", "gate-1.toml")
	text, err := os.ReadFile(place)
	d.must(t, err)
	d.must(t, os.WriteFile(place, append(slices.Clone(text), "revoked = true\n"...), 0o600))
	d.must(t, await(t.Context(), time.Minute, "the alarm", func() bool {
		s, err := d.state()
		return err == nil && slices.ContainsFunc(s.Faults, func(f string) bool { return strings.Contains(f, "shut this device out") })
	}))
	i.verdict(mai)
	s, err := d.state()
	d.must(t, err)
	if s.Unsent < 2 { // the alarm and the passage
		t.Errorf("%d entries wait", s.Unsent)
	}
	d.must(t, os.WriteFile(place, text, 0o600))
	d.must(t, await(t.Context(), time.Minute, "the last receipt", d.settled))
	d.whole(t)
}

// A stick carries the hub's orders for its devices: the real importer asks with a token, the bytes are the issuer's own, and
// what the hub no longer has goes from the stick.
func TestOrdersByStick(t *testing.T) {
	d := newGate(t, demoLanes(""))
	i := newIssuer(t, d)
	b, err := programs()
	d.must(t, err)
	d.must(t, b.build(t.Context(), "gatectl"))
	d.must(t, d.hub.Start())
	d.must(t, await(t.Context(), time.Minute, "the hub", func() bool {
		c, err := d.hubClient()
		if err != nil {
			return false
		}
		defer c.CloseIdleConnections()
		r, err := c.Get(d.hubURL)
		if err == nil {
			r.Body.Close()
		}
		return err == nil
	}))
	key, err := keyfile.Public(filepath.Join(d.kioskData, "device.pub.pem"))
	d.must(t, err)
	id, dir := entry.DeviceID(key), t.TempDir()
	d.must(t, os.MkdirAll(filepath.Join(dir, "GATEPOST", id), 0o755))
	carry := func(want int, more ...string) string {
		t.Helper()
		out, err := exec.Command(b.path("gatectl"), append(append([]string{"import", "-hub", d.hubURL, "-ca", d.ca}, more...), dir)...).CombinedOutput()
		if (err == nil) != (want == 0) {
			t.Errorf("%v: %s", err, out)
		}
		return string(out)
	}
	stick := func() (list []string) {
		t.Helper()
		s, err := uplink.OpenStick(dir)
		d.must(t, err)
		defer s.Close()
		raws, err := s.Orders(id)
		d.must(t, err)
		for _, raw := range raws {
			o, err := wire.ParseOrder(raw)
			d.must(t, err)
			d.must(t, o.Verify(i.key.Public().(ed25519.PublicKey)))
			list = append(list, o.String())
		}
		slices.Sort(list)
		return list
	}
	i.put("policy", wire.Order{Kind: wire.OrderPolicy, Serial: 1, Areas: []string{"Mê Linh"}, Body: []byte("x")}, nil)
	i.put("elsewhere", wire.Order{Kind: wire.OrderTrust, Serial: 1, Areas: []string{"Sóc Sơn"}, Body: []byte("x")}, nil)
	i.put("roster", wire.Order{Kind: wire.OrderRoster, Name: "shift", Serial: 4, Body: []byte("x")}, nil)
	var out string
	d.must(t, await(t.Context(), time.Minute, "the orders", func() bool {
		out = carry(0, "-token", d.token)
		return strings.Contains(out, "2 orders put onto the stick")
	}))
	if got := stick(); !slices.Equal(got, []string{"policy 1", "roster/shift 4"}) {
		t.Errorf("on the stick: %v", got)
	}
	d.must(t, os.Remove(filepath.Join(d.hubData, "orders", "roster.order")))
	d.must(t, await(t.Context(), time.Minute, "the end of the roster", func() bool {
		return strings.Contains(carry(0, "-token", d.token), "1 orders put onto the stick")
	}))
	if got := stick(); !slices.Equal(got, []string{"policy 1"}) {
		t.Errorf("on the stick: %v", got)
	}
	carry(0) // without a token, what lies there stays
	wrong := filepath.Join(dir, "wrong")
	d.must(t, os.WriteFile(wrong, []byte("a-token-that-nobody-knows\n"), 0o600))
	if out := carry(1, "-token", wrong); !strings.Contains(out, "a token is needed (401)") || strings.Contains(out, "nobody-knows") {
		t.Errorf("a wrong token: %s", out)
	}
	if got := stick(); !slices.Equal(got, []string{"policy 1"}) {
		t.Errorf("on the stick: %v", got)
	}
}
