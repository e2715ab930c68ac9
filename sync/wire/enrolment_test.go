package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/wire"
)

const enrolmentFile = "testdata/enrolment.json"

var issuer = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{3}, 32))

// enrolmentVector is one enrolment, for programs in other languages to check themselves against.
type enrolmentVector struct {
	About      string         `json:"about"`
	IssuerSeed string         `json:"issuer_seed"`
	Fields     wire.Enrolment `json:"fields"` // byte strings in base64
	Enrolment  string         `json:"enrolment"`
	Parts      []string       `json:"parts"`
	DeviceSeed string         `json:"device_seed"`
	Device     string         `json:"device"`
	Claim      string         `json:"claim"`
}

func sampleEnrolment() wire.Enrolment {
	return wire.Enrolment{
		ID: [16]byte(bytes.Repeat([]byte{4}, 16)), Issued: time.UnixMilli(1795400000000).UTC(), Expires: time.UnixMilli(1795659200000).UTC(),
		Hub: "https://hub.example:8443", Pin: bytes.Repeat([]byte{5}, 32), ReceiptKey: bytes.Repeat([]byte{6}, 32),
		Authority: bytes.Repeat([]byte{7}, 32), Issuer: issuer.Public().(ed25519.PublicKey),
		Venue: "Chợ Mê Linh", Area: "Mê Linh", Name: "cho-me-linh-1", Zone: "Asia/Ho_Chi_Minh",
		Network: wire.Network{
			Salt: bytes.Repeat([]byte{8}, 16), SSID: "gate", Passphrase: "not a real password", Address: "10.0.0.7/24", Gateway: "10.0.0.1",
			DNS: []string{"10.0.0.1"}, Proxy: "http://proxy.example:3128",
		},
	}
}

func signed(t testing.TB, e wire.Enrolment) []byte {
	t.Helper()
	raw, err := wire.SignEnrolment(issuer, e)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestEnrolmentVector(t *testing.T) {
	e := sampleEnrolment()
	raw := signed(t, e)
	c, err := wire.NewClaim(key, raw)
	if err != nil {
		t.Fatal(err)
	}
	want, err := json.MarshalIndent(enrolmentVector{
		"Vector of docs/PROTOCOL.md. The keys and the password are for tests alone.", hex.EncodeToString(issuer.Seed()), e, hex.EncodeToString(raw),
		wire.EnrolmentParts(raw), hex.EncodeToString(seed), entry.DeviceID(pub), hex.EncodeToString(c),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	want = append(want, '\n')
	if *update {
		if err := os.WriteFile(enrolmentFile, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(enrolmentFile)
	if err != nil || !bytes.Equal(got, want) {
		t.Fatalf("the bytes are others than in %s, %v:\n%s", enrolmentFile, err, want)
	}
	back, err := wire.ParseEnrolment(raw)
	if err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("%+v, %v", back, err)
	}
}

// The hub checks the whole signature and sees nothing of the network.
func TestClaim(t *testing.T) {
	e := sampleEnrolment()
	raw, err := wire.NewClaim(key, signed(t, e))
	if err != nil {
		t.Fatal(err)
	}
	c, err := wire.ParseClaim(raw)
	e.Network = wire.Network{}
	if err != nil || !reflect.DeepEqual(c, wire.Claim{Enrolment: e, Device: pub}) {
		t.Errorf("%+v, %v", c, err)
	}
	for _, secret := range []string{"not a real password", "proxy.example", "10.0.0.7"} {
		if bytes.Contains(raw, []byte(secret)) {
			t.Errorf("the hub sees %q", secret)
		}
	}
}

func TestEveryByteOfAnEnrolmentCounts(t *testing.T) {
	raw := signed(t, sampleEnrolment())
	c, err := wire.NewClaim(key, raw)
	if err != nil {
		t.Fatal(err)
	}
	parse := map[string]func([]byte) error{
		"enrolment": func(b []byte) error { _, err := wire.ParseEnrolment(b); return err },
		"claim":     func(b []byte) error { _, err := wire.ParseClaim(b); return err },
	}
	for what, whole := range map[string][]byte{"enrolment": raw, "claim": c} {
		for i := range whole {
			bad := bytes.Clone(whole)
			bad[i] ^= 1
			if err := parse[what](bad); !errors.Is(err, wire.ErrEnrolment) && !errors.Is(err, wire.ErrEnrolmentSig) {
				t.Errorf("%s: byte %d was changed: %v", what, i, err)
			}
			if err := parse[what](whole[:i]); !errors.Is(err, wire.ErrEnrolment) {
				t.Errorf("%s: %d bytes: %v", what, i, err)
			}
		}
		if err := parse[what](append(bytes.Clone(whole), 0)); !errors.Is(err, wire.ErrEnrolment) {
			t.Errorf("%s with a byte behind it: %v", what, err)
		}
	}
}

func TestEnrolmentFaults(t *testing.T) {
	for want, spoil := range map[string]func(e *wire.Enrolment){
		"expires before":         func(e *wire.Enrolment) { e.Expires = e.Issued },
		"hub's address":          func(e *wire.Enrolment) { e.Hub = "http://hub.example" },
		"hub's address is not":   func(e *wire.Enrolment) { e.Hub = "https://a:b@hub.example" },
		"pin":                    func(e *wire.Enrolment) { e.Pin = []byte{1} },
		"receipt key":            func(e *wire.Enrolment) { e.ReceiptKey = nil },
		"authority's key":        func(e *wire.Enrolment) { e.Authority = nil },
		"venue":                  func(e *wire.Enrolment) { e.Venue = "" },
		"area":                   func(e *wire.Enrolment) { e.Area = "a\nb" },
		"device's name":          func(e *wire.Enrolment) { e.Name = "../gate" },
		"device's name has":      func(e *wire.Enrolment) { e.Name = strings.Repeat("a", 41) },
		"time zone":              func(e *wire.Enrolment) { e.Zone = "" },
		"the address is not":     func(e *wire.Enrolment) { e.Network.Address = "10.0.0.7" },
		"gateway":                func(e *wire.Enrolment) { e.Network.Gateway = "10.0.1.1" },
		"more than three":        func(e *wire.Enrolment) { e.Network.DNS = []string{"::1", "::1", "::1", "::1"} },
		"name server is not":     func(e *wire.Enrolment) { e.Network.DNS = []string{"dns.example"} },
		"salt":                   func(e *wire.Enrolment) { e.Network.Salt = nil },
		"Wi-Fi's name":           func(e *wire.Enrolment) { e.Network.SSID = strings.Repeat("a", 33) },
		"Wi-Fi's password":       func(e *wire.Enrolment) { e.Network.Passphrase = "hunter2" },
		"needs the Wi-Fi's name": func(e *wire.Enrolment) { e.Network.SSID = "" },
		"proxy":                  func(e *wire.Enrolment) { e.Network.Proxy = "socks5://hunter2@proxy.example" },
	} {
		e := sampleEnrolment()
		spoil(&e)
		_, err := wire.SignEnrolment(issuer, e)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", want, err)
		}
	}
}

func TestEnrolmentWithoutNetwork(t *testing.T) {
	e := sampleEnrolment()
	e.Network = wire.Network{}
	back, err := wire.ParseEnrolment(signed(t, e))
	if err != nil || !reflect.DeepEqual(back, e) {
		t.Errorf("%+v, %v", back, err)
	}
}

// Parts come in any order, twice, and between those of other codes.
func TestParts(t *testing.T) {
	one, e := signed(t, sampleEnrolment()), sampleEnrolment()
	e.Name = "cho-me-linh-2"
	two := signed(t, e)
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 0))
		a, b := wire.EnrolmentParts(one), wire.EnrolmentParts(two)
		texts := append(append(append([]string{"HD1:NOT A PART", ""}, a...), a...), b[1:]...)
		random.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
		var p wire.Parts
		seen := map[string]bool{}
		for _, text := range texts {
			have, of, whole, ok, err := p.Add(text)
			if err != nil || ok != strings.HasPrefix(text, "GPE1:") || ok && (of != len(a) || have < 1) {
				t.Fatalf("%q: %d of %d, %v, %v", text, have, of, ok, err)
			}
			if whole != nil {
				seen[string(whole)] = true
			}
		}
		if !seen[string(one)] || seen[string(two)] {
			t.Fatalf("seed %d: whole one %v, whole two %v", seed, seen[string(one)], seen[string(two)])
		}
	}
	for _, part := range wire.EnrolmentParts(one) {
		if len(part) > wire.MaxPart {
			t.Errorf("a part of %d bytes", len(part))
		}
	}
}

// What does not belong to the code is found out, and the right parts make it whole afterwards.
func TestForgedPart(t *testing.T) {
	raw := signed(t, sampleEnrolment())
	parts := wire.EnrolmentParts(raw)
	forged := parts[0][:len(parts[0])-2] + "AA"
	var p wire.Parts
	var err error
	for _, text := range append([]string{forged}, parts[1:]...) {
		if _, _, _, _, err = p.Add(text); err != nil && text != parts[len(parts)-1] {
			t.Fatal(err)
		}
	}
	if !errors.Is(err, wire.ErrParts) {
		t.Fatal(err)
	}
	var whole []byte
	for _, text := range parts {
		if _, _, whole, _, err = p.Add(text); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(whole, raw) {
		t.Error("not whole")
	}
}

// Parts of many codes are bounded: the oldest go.
func TestPartsForget(t *testing.T) {
	parts := wire.EnrolmentParts(signed(t, sampleEnrolment()))
	var p wire.Parts
	add := func(text string) int {
		t.Helper()
		have, _, _, ok, err := p.Add(text)
		if !ok || err != nil {
			t.Fatal(text, ok, err)
		}
		return have
	}
	add(parts[0])
	for _, id := range []string{"AAAAAAAA", "BBBBBBBB", "CCCCCCCC"} {
		add("GPE1:" + id + ":1/2:AA")
	}
	if have := add(parts[1]); have != 2 {
		t.Errorf("%d parts of the first of four codes", have)
	}
	for _, id := range []string{"AAAAAAAA", "BBBBBBBB", "CCCCCCCC", "DDDDDDDD"} {
		add("GPE1:" + id + ":1/2:AA")
	}
	if have := add(parts[2]); have != 1 {
		t.Errorf("%d parts of the first of five codes", have)
	}
}

func FuzzEnrolment(f *testing.F) {
	raw := signed(f, sampleEnrolment())
	c, err := wire.NewClaim(key, raw)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(c)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if e, err := wire.ParseEnrolment(raw); err == nil {
			if _, err := wire.SignEnrolment(issuer, e); err != nil {
				t.Errorf("read, and not written: %v", err)
			}
		} else if !errors.Is(err, wire.ErrEnrolment) && !errors.Is(err, wire.ErrEnrolmentSig) {
			t.Error(err)
		}
		if _, err := wire.ParseClaim(raw); err != nil && !errors.Is(err, wire.ErrEnrolment) && !errors.Is(err, wire.ErrEnrolmentSig) {
			t.Error(err)
		}
	})
}

func FuzzParts(f *testing.F) {
	f.Add(strings.Join(wire.EnrolmentParts(signed(f, sampleEnrolment())), "\n"))
	f.Add("GPE1:AAAAAAAA:2/1:AA\nGPE1:AAAAAAAA:16/16:A")
	f.Add("GPE1:AAAAAAAA:1/2:AA\nGPE1:AAAAAAAA:3/3:AA") // more of them than before
	f.Fuzz(func(t *testing.T, texts string) {
		var p wire.Parts
		for text := range strings.SplitSeq(texts, "\n") {
			have, of, whole, ok, err := p.Add(text)
			if !ok && (have != 0 || err != nil) || have > of || len(whole) > wire.MaxEnrolment || whole != nil && have != of {
				t.Errorf("%q: %d of %d, %d bytes, %v, %v", text, have, of, len(whole), ok, err)
			}
		}
	})
}
