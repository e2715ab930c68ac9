package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"

	"github.com/fxamacker/cbor/v2"
)

const orderFile = "testdata/orders.json"

var (
	issuerPub = issuer.Public().(ed25519.PublicKey)
	from      = time.UnixMilli(1795400000000).UTC()
)

// orderVector is one order, for programs in other languages to check themselves against.
type orderVector struct {
	Kind, Name     string
	Serial         uint64
	Areas, Devices []string
	Percent        uint
	From, Until    int64
	Body           string
	Content        string // hexadecimal, as the rest
	Signed         string // the text under the signature
	Order          string
	Aimed          []string // of the devices below, those that it is aimed at
}

type orderVectors struct {
	About, Seed, PublicKey string
	Devices                []string
	Orders                 []orderVector
	Proof                  struct {
		Device, Text, Header string
		At                   int64
	}
}

func orders() []wire.Order {
	return []wire.Order{
		{Kind: wire.OrderPolicy, Serial: 7, Percent: 100, Body: []byte("schema = 1\n[policy]\nunprovable = \"refuse\"\n")},
		{
			Kind: wire.OrderForm, Name: "visit-3", Serial: 1, Areas: []string{"Mê Linh/Quang Minh", "Sóc Sơn"}, Percent: 30,
			From: from, Until: from.AddDate(0, 1, 0), Body: []byte("c2ln\nschema = 1\n"),
		},
		{Kind: wire.OrderConfig, Serial: 1 << 63, Devices: []string{deviceOf(3), deviceOf(4)}, Percent: 100, Body: []byte{1}},
	}
}

// deviceOf names the n-th of many devices.
func deviceOf(n int) string { return fmt.Sprintf("%016x", n*0x123456789) }

func signOrder(t testing.TB, o wire.Order) (wire.Order, []byte) {
	t.Helper()
	raw, err := wire.SignOrder(issuer, o)
	if err != nil {
		t.Fatal(err)
	}
	got, err := wire.ParseOrder(raw)
	if err != nil {
		t.Fatal(err)
	}
	return got, raw
}

func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func TestOrderVectors(t *testing.T) {
	v := orderVectors{
		About: "Vectors of docs/PROTOCOL.md. The keys are for tests alone.",
		Seed:  strings.Repeat("03", 32), PublicKey: hex.EncodeToString(issuerPub),
	}
	for n := range 8 {
		v.Devices = append(v.Devices, deviceOf(n))
	}
	for _, o := range orders() {
		o, raw := signOrder(t, o)
		var outer []any
		if err := cbor.Unmarshal(raw, &outer); err != nil {
			t.Fatal(err)
		}
		content := outer[1].([]byte)
		signed := "gatepost/order/1\n" + o.Hash().String() + "\n"
		if o.Hash() != entry.HashOf(content) || !ed25519.Verify(issuerPub, []byte(signed), outer[2].([]byte)) {
			t.Errorf("%v is signed in another way", o)
		}
		w := orderVector{
			Kind: o.Kind, Name: o.Name, Serial: o.Serial, Areas: o.Areas, Devices: o.Devices, Percent: o.Percent,
			From: ms(o.From), Until: ms(o.Until), Body: hex.EncodeToString(o.Body), Content: hex.EncodeToString(content),
			Signed: signed, Order: hex.EncodeToString(raw), Aimed: []string{},
		}
		for _, d := range v.Devices {
			if o.Aimed(d) {
				w.Aimed = append(w.Aimed, d)
			}
		}
		v.Orders = append(v.Orders, w)
	}
	v.Proof.Device, v.Proof.At = entry.DeviceID(pub), ms(from)
	v.Proof.Text = fmt.Sprintf("gatepost/proof/1\n%s\n%d\n", v.Proof.Device, v.Proof.At)
	v.Proof.Header = wire.NewProof(key, from)
	want, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(orderFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := os.ReadFile(orderFile); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the bytes are others than in %s, %v:\n%s", orderFile, err, want)
	}
}

func TestOrderThereAndBack(t *testing.T) {
	for _, o := range orders() {
		got, raw := signOrder(t, o)
		if got.Slot() != o.Slot() || got.Serial != o.Serial || !slices.Equal(got.Areas, o.Areas) || !slices.Equal(got.Devices, o.Devices) ||
			got.Percent != o.Percent || !got.From.Equal(o.From) || !got.Until.Equal(o.Until) || !bytes.Equal(got.Body, o.Body) {
			t.Errorf("%+v came back as %+v", o, got)
		}
		if err := got.Verify(issuerPub); err != nil {
			t.Error(err)
		}
		if err := got.Verify(pub); !errors.Is(err, wire.ErrOrder) {
			t.Errorf("another's key fits: %v", err)
		}
		if err := got.Verify(nil); !errors.Is(err, wire.ErrOrder) {
			t.Errorf("no key fits: %v", err)
		}
		for i := range raw { // no byte can be changed
			bad := bytes.Clone(raw)
			bad[i] ^= 1
			if o, err := wire.ParseOrder(bad); err == nil && o.Verify(issuerPub) == nil {
				t.Fatalf("byte %d of %v was changed and nobody noticed", i, o)
			}
		}
		for _, bad := range [][]byte{raw[:len(raw)-1], append(bytes.Clone(raw), 0)} {
			if _, err := wire.ParseOrder(bad); !errors.Is(err, wire.ErrOrder) {
				t.Errorf("%d bytes of %d: %v", len(bad), len(raw), err)
			}
		}
	}
}

func TestOrderRefuses(t *testing.T) {
	good := wire.Order{Kind: wire.OrderForm, Name: "visit", Serial: 1, Percent: 1, Body: []byte("x")}
	signOrder(t, good)
	for name, change := range map[string]func(*wire.Order){
		"kind":          func(o *wire.Order) { o.Kind = "firmware" },
		"no name":       func(o *wire.Order) { o.Name = "" },
		"a bad name":    func(o *wire.Order) { o.Name = "../visit" },
		"a long name":   func(o *wire.Order) { o.Name = strings.Repeat("a", 41) },
		"a name extra":  func(o *wire.Order) { o.Kind = wire.OrderPolicy },
		"serial 0":      func(o *wire.Order) { o.Serial = 0 },
		"0 percent":     func(o *wire.Order) { o.Percent = 0 },
		"101 percent":   func(o *wire.Order) { o.Percent = 101 },
		"no body":       func(o *wire.Order) { o.Body = nil },
		"ends early":    func(o *wire.Order) { o.From, o.Until = from, from },
		"before 1970":   func(o *wire.Order) { o.Until = time.UnixMilli(-1) },
		"an empty area": func(o *wire.Order) { o.Areas = []string{""} },
		"a slash":       func(o *wire.Order) { o.Areas = []string{"Mê Linh/"} },
		"a line feed":   func(o *wire.Order) { o.Areas = []string{"Mê\nLinh"} },
		"a long area":   func(o *wire.Order) { o.Areas = []string{strings.Repeat("a", 201)} },
		"many areas":    func(o *wire.Order) { o.Areas = slices.Repeat([]string{"a"}, 65) },
		"no device":     func(o *wire.Order) { o.Devices = []string{"gate-1"} },
		"many devices":  func(o *wire.Order) { o.Devices = slices.Repeat([]string{deviceOf(1)}, 501) },
		"not UTF-8":     func(o *wire.Order) { o.Areas = []string{"\xff"} },
		"too large":     func(o *wire.Order) { o.Body = make([]byte, wire.MaxOrder) },
	} {
		o := good
		change(&o)
		if _, err := wire.SignOrder(issuer, o); !errors.Is(err, wire.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, v := range map[string]any{
		"version 2":  []any{2, []byte{0x80}, []byte{1}},
		"two items":  []any{1, []byte{0x80}},
		"no content": []any{1, []byte{0x80}, []byte{1}},
		"a map":      map[string]any{"Version": 1},
		"a tag":      cbor.Tag{Number: 55799, Content: []any{1, []byte{0x80}, []byte{1}}},
	} {
		raw, err := cbor.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := wire.ParseOrder(raw); !errors.Is(err, wire.ErrOrder) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A share holds about its percentage of the devices, a greater one keeps those of a smaller one in, whatever the serial,
// and another slot takes others.
func TestOrderShare(t *testing.T) {
	const n = 5000
	last := map[string]bool{}
	for serial, percent := range []uint{1, 10, 50, 99, 100} {
		o := wire.Order{Kind: wire.OrderPolicy, Serial: uint64(serial + 1), Percent: percent}
		in := map[string]bool{}
		for i := range n {
			if d := deviceOf(i); o.Aimed(d) {
				in[d] = true
			}
		}
		for d := range last {
			if !in[d] {
				t.Errorf("%s fell out at %d percent", d, percent)
			}
		}
		if want := n * int(percent) / 100; len(in) < want-150 || len(in) > want+150 {
			t.Errorf("%d percent took %d of %d", percent, len(in), n)
		}
		last = in
	}
	if len(last) != n {
		t.Errorf("100 percent are %d of %d", len(last), n)
	}
	policy, trust := wire.Order{Kind: wire.OrderPolicy, Percent: 50}, wire.Order{Kind: wire.OrderTrust, Percent: 50}
	differ := 0
	for i := range n {
		if policy.Aimed(deviceOf(i)) != trust.Aimed(deviceOf(i)) {
			differ++
		}
	}
	if differ < n/4 {
		t.Errorf("two kinds take the same devices but for %d", differ)
	}
}

func TestOrderScope(t *testing.T) {
	for _, c := range []struct {
		o    wire.Order
		area string
		want bool
	}{
		{wire.Order{}, "", true},
		{wire.Order{Areas: []string{"Mê Linh"}}, "Mê Linh", true},
		{wire.Order{Areas: []string{"Mê Linh"}}, "Mê Linh/Quang Minh", true},
		{wire.Order{Areas: []string{"Mê Linh"}}, "Mê Linh Bắc", false},
		{wire.Order{Areas: []string{"Mê Linh"}}, "", false},
		{wire.Order{Areas: []string{"Sóc Sơn", "Mê Linh"}}, "Mê Linh", true},
		{wire.Order{Devices: []string{deviceOf(1)}}, "", true},
		{wire.Order{Devices: []string{deviceOf(2)}}, "", false},
		{wire.Order{Devices: []string{deviceOf(1)}, Areas: []string{"Sóc Sơn"}}, "Mê Linh", false},
	} {
		c.o.Percent = 100
		if got := c.o.Meant(deviceOf(1), c.area); got != c.want {
			t.Errorf("%+v in %q: %v", c.o, c.area, got)
		}
	}
	o := wire.Order{From: from, Until: from.Add(time.Hour)}
	for _, c := range []struct {
		after       time.Duration
		begun, over bool
	}{{-1, false, false}, {0, true, false}, {time.Hour - 1, true, false}, {time.Hour, true, true}} {
		if now := from.Add(c.after); o.Begun(now) != c.begun || o.Over(now) != c.over {
			t.Errorf("after %v: begun %v, over %v", c.after, o.Begun(now), o.Over(now))
		}
	}
	if o := (wire.Order{}); !o.Begun(time.Time{}) || o.Over(from) {
		t.Error("an order without times has some")
	}
}

func TestProof(t *testing.T) {
	proof := wire.NewProof(key, from)
	for name, c := range map[string]struct {
		pub   ed25519.PublicKey
		proof string
		now   time.Time
		ok    bool
	}{
		"fresh":           {pub, proof, from.Add(time.Minute), true},
		"a slow hub":      {pub, proof, from.Add(-time.Minute), true},
		"old":             {pub, proof, from.Add(wire.MaxProofAge + time.Millisecond), false},
		"of the future":   {pub, proof, from.Add(-wire.MaxProofAge - time.Millisecond), false},
		"another's":       {issuerPub, proof, from, false},
		"of another time": {pub, strings.Replace(proof, "1795400000000", "1795400000001", 1), from, false},
		"none":            {pub, "", from, false},
		"no signature":    {pub, "1795400000000", from, false},
		"no base64":       {pub, "1795400000000.*", from, false},
	} {
		if err := wire.CheckProof(c.pub, c.proof, c.now); (err == nil) != c.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseOrder(f *testing.F) {
	for _, o := range orders() {
		_, raw := signOrder(f, o)
		f.Add(raw)
		f.Add(raw[:len(raw)/2])
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		o, err := wire.ParseOrder(raw)
		if err != nil {
			if !errors.Is(err, wire.ErrOrder) {
				t.Errorf("%v is no ErrOrder", err)
			}
			return
		}
		again, err := wire.SignOrder(issuer, o) // what was read can be written
		if err != nil {
			t.Fatalf("%+v: %v", o, err)
		}
		if p, err := wire.ParseOrder(again); err != nil || p.Slot() != o.Slot() || p.Serial != o.Serial || p.Verify(issuerPub) != nil {
			t.Errorf("%v came back as %v, %v", o, p, err)
		}
		o.Verify(issuerPub)
		o.Meant(deviceOf(1), "Mê Linh")
	})
}
