package order

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gatepost/scanner/admission/roster"
	"gatepost/scanner/form"
	"gatepost/sync/wire"
)

// What is not for this kiosk, not the issuer's or not to be read changes nothing; what the issuer himself has signed and
// cannot be read is told, and counts as had.
func TestRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k, g := open(t, t.TempDir()), &gate{online: true}
		k.Start()
		good := sign(t, wire.OrderPolicy, 5, policy("refuse"))
		tampered := bytes.Replace(good, []byte("refuse"), []byte("admits"), 1)
		foreign, err := wire.SignOrder(publisher, wire.Order{Kind: wire.OrderPolicy, Serial: 5, Percent: 100, Body: []byte(policy("refuse"))})
		if err != nil {
			t.Fatal(err)
		}
		const share = 1
		if (wire.Order{Kind: wire.OrderPolicy, Percent: share}).Aimed(device) {
			t.Fatal("this device is within one percent: choose another")
		}
		for name, raw := range map[string][]byte{
			"tampered": tampered, "foreign": foreign, "junk": []byte("junk"),
			"for another":      sign(t, wire.OrderPolicy, 5, policy("refuse"), func(o *wire.Order) { o.Devices = []string{"0000000000000000"} }),
			"outside the part": sign(t, wire.OrderPolicy, 5, policy("refuse"), func(o *wire.Order) { o.Percent = share }),
		} {
			if err := k.Take(raw); !errors.Is(err, wire.ErrOrder) {
				t.Errorf("%s: %v", name, err)
			}
		}
		if len(k.Had()) > 0 {
			t.Errorf("had %v", k.Had())
		}
		for i, bad := range []struct{ kind, name, body, says string }{
			{wire.OrderPolicy, "", "schema = 1\n[policy]\nunprovable = \"maybe\"\n", "line 3"},
			{wire.OrderForm, "visit-3", string(form.Sign(issuer, []byte(visit))) + visit, "publisher"},
			{wire.OrderForm, "visit-4", string(form.Sign(publisher, []byte(visit))) + visit, "name"},
			{wire.OrderForm, "visit-2", visit, "schema"},
			{wire.OrderTrust, "", "no PEM", "no public key"},
			{wire.OrderConfig, "", "schema = 1\ndata = \"elsewhere\"\n", "unknown key"},
			{wire.OrderConfig, "", "schema = 1\nuplink.receipt_key = \"mine.pem\"\n", "unknown key"},
			{wire.OrderConfig, "", "schema = 1\nuplink.hub = \"\"\n", "alone"},
			{wire.OrderConfig, "", "schema = 1\n[[lane]]\nname = \"gate-9\"\ndirection = \"in\"\n", "no lane"},
			{wire.OrderConfig, "", "schema = 1\nuplink.ca = \"ca.pem\"\n", "certificate"},
			{wire.OrderUpdate, "", "schema = 1\n", "sha256"},
		} {
			raw := sign(t, bad.kind, uint64(i+10), bad.body, named(bad.name))
			o, err := wire.ParseOrder(raw)
			if err != nil {
				t.Fatal(err)
			}
			if err := k.Take(raw); !errors.Is(err, wire.ErrOrder) || errors.Is(err, ErrPassed) || !strings.Contains(err.Error(), bad.says) {
				t.Errorf("%s %q: %v", bad.kind, bad.body, err)
			}
			if err := k.Take(raw); !errors.Is(err, ErrPassed) || k.Had()[o.Slot()] != o.Serial {
				t.Errorf("%s: it is not remembered: %v", bad.kind, err)
			}
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := k.Run(ctx, g, at(morning)); err != nil {
			t.Error(err)
		}
		if len(g.kept) != 7 || !strings.Contains(g.shown["policy"], "order policy 10 is not taken: line 3") {
			t.Errorf("kept %d, shown %q", len(g.kept), g.shown)
		}
		if l := k.Start(); l.Policy != nil || l.Config != k.Base || len(l.Forms) > 0 {
			t.Errorf("half applied: %+v", l)
		}
		if err := k.Take(good); !errors.Is(err, ErrPassed) { // 10 was had
			t.Error(err)
		}
		take(t, k, sign(t, wire.OrderPolicy, 20, policy("refuse")))
	})
}

// Every kind says what it says, and one leaves the others as they are.
func TestLayers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, g := open(t, dir), &gate{}
		k.Start()
		pem, err := os.ReadFile("testdata/two.pem")
		if err != nil {
			t.Fatal(err)
		}
		body, name, err := FormBody([]byte(visit), form.Sign(publisher, []byte(visit)))
		if err != nil || name != "visit-3" {
			t.Fatal(name, err)
		}
		ca, err := os.ReadFile("testdata/ca.pem")
		if err != nil {
			t.Fatal(err)
		}
		all := [][]byte{
			sign(t, wire.OrderPolicy, 1, policy("refuse")),
			sign(t, wire.OrderTrust, 1, string(pem)),
			sign(t, wire.OrderForm, 1, string(body), named(name)),
			sign(t, wire.OrderRoster, 1, roster1(t, "id:1"), named("shift-1")),
			sign(t, wire.OrderUpdate, 1, "schema = 1\nversion = 2\nreads = 1\nwrites = 1\nsize = 9\nsha256 = \""+strings.Repeat("ab", 32)+"\"\nurl = \"https://hub.example/2\"\n"),
			sign(t, wire.OrderConfig, 1, `schema = 1
venue.retain = "48h"
[uplink]
hub = "https://new.example"
proxy = "http://gate:secret@proxy.example:3128"
interval = "20s"
ca = """
`+string(ca)+`"""
[[lane]]
name = "gate-1"
direction = "out"
`),
		}
		for _, raw := range all {
			take(t, k, raw)
		}
		var l Layer
		for range 4 { // a roster and an update do not stop the gate
			l = run(t, k, g)
		}
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		if err := k.Run(ctx, g, at(morning)); err != nil {
			t.Fatal(err)
		}
		for name, s := range k.s.Slots {
			if s.Current != 1 || s.Next != 0 {
				t.Errorf("%s: %+v", name, s)
			}
		}
		k.Close()
		k = open(t, dir)
		l = k.Start()
		if l.Policy.Unprovable != "refuse" || len(l.Trust.Declarers) != 2 || l.Forms["visit/3"].Title.EN != "Visitor" {
			t.Errorf("%+v", l)
		}
		c := l.Config
		if c.Retain != 48*time.Hour || c.Uplink.Hub != "https://new.example" || c.Proxy.Host != "proxy.example:3128" || c.Interval != 20*time.Second ||
			c.Lanes[0].Direction != "out" || c.Uplink.ReceiptKey != "receipt.pub.pem" || k.Base.Lanes[0].Direction != "in" {
			t.Errorf("%+v", c)
		}
		if got, err := os.ReadFile(c.Uplink.CA); err != nil || !bytes.Equal(got, ca) {
			t.Errorf("the hub's authority: %v", err)
		}
		if had := k.Had(); len(had) != 6 || had["roster/shift-1"] != 1 || had["form/visit-3"] != 1 {
			t.Errorf("had %v", had)
		}
		if lines := strings.Join(mustRead(t, all[5]).Config.Lines(), "\n"); strings.Contains(lines, "secret") || !strings.Contains(lines, "proxy.example") {
			t.Errorf("explained: %s", lines)
		}
	})
}

// roster1 returns the bytes of a roster with one key.
func roster1(t *testing.T, key string) string {
	t.Helper()
	raw, err := roster.Build([]string{key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// A roster reaches the gate without stopping it, the next one takes its place, and after a start it is there at once.
func TestRosters(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		k, g := open(t, dir), &gate{}
		if l := k.Start(); len(l.Rosters) != 0 {
			t.Errorf("%v before any came", l.Rosters)
		}
		done := make(chan error)
		ctx, stop := context.WithCancel(t.Context())
		go func() { done <- k.Run(ctx, g, at(morning)) }()
		for serial, key := range []string{"id:1", "id:2"} {
			take(t, k, sign(t, wire.OrderRoster, uint64(serial+1), roster1(t, key), named("banned")))
			synctest.Wait()
			g.set(func() {
				if len(g.rosters) != serial+1 || !g.rosters[serial]["banned"].Has([]string{key}) {
					t.Errorf("after %s: %v", key, g.rosters)
				}
			})
		}
		if err := k.Take(sign(t, wire.OrderRoster, 3, "name,number", named("banned"))); err == nil {
			t.Error("a table is taken")
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		k.Close()
		if l := open(t, dir).Start(); !l.Rosters["banned"].Has([]string{"id:2"}) || l.Rosters["banned"].Has([]string{"id:1"}) {
			t.Errorf("after a start: %v", l.Rosters)
		}
	})
}

func mustRead(t *testing.T, raw []byte) Body {
	t.Helper()
	o, err := wire.ParseOrder(raw)
	if err != nil {
		t.Fatal(err)
	}
	b, err := Read(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func FuzzBody(f *testing.F) {
	for i, kind := range wire.OrderKinds() {
		f.Add(uint8(i), []byte(policy("refuse")))
		f.Add(uint8(i), []byte(string(form.Sign(publisher, []byte(visit)))+visit))
		f.Add(uint8(i), []byte("schema = 1\nuplink.hub = \"https://hub.example\"\n[[lane]]\nname = \"gate-1\"\ndirection = \"out\"\n"+kind))
	}
	k := base(f)
	f.Fuzz(func(t *testing.T, kind uint8, body []byte) {
		o := wire.Order{Kind: wire.OrderKinds()[int(kind)%len(wire.OrderKinds())], Name: "visit-3", Body: body}
		before := fmt.Sprintf("%+v", *k)
		l := Layer{Config: k, Forms: form.Set{}, Rosters: roster.Set{}}
		if err := l.add(o, publisher.Public().(ed25519.PublicKey)); err != nil && (l.Policy != nil || l.Trust != nil || len(l.Rosters) > 0 || len(l.Forms) > 0 || l.Config != k) {
			t.Errorf("half applied: %+v", l)
		}
		if fmt.Sprintf("%+v", *k) != before {
			t.Error("the configuration itself has changed")
		}
	})
}
