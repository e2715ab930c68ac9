package main

import (
	"crypto/ed25519"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gatepost/cmd/internal/config"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/kiosk"
	"gatepost/cmd/internal/order"
	"gatepost/scanner/credential"
	"gatepost/scanner/credential/trust"
	"gatepost/storage/detached"
)

// A gate trusts the bundle that its publisher signed, and no other; an order with a whole bundle takes its place, one with
// declarers alone theirs.
func TestTrust(t *testing.T) {
	dir := t.TempDir()
	if err := keyfile.Create(dir, "publisher", "publisher"); err != nil {
		t.Fatal(err)
	}
	key, err := keyfile.Private(filepath.Join(dir, "publisher.key"))
	if err != nil {
		t.Fatal(err)
	}
	made := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	declarer := func(n byte) ed25519.PublicKey {
		return ed25519.NewKeyFromSeed(append(make([]byte, 31), n)).Public().(ed25519.PublicKey)
	}
	text, err := trust.Marshal(credential.Trust{Made: made, Declarers: []ed25519.PublicKey{declarer(1)}})
	if err != nil {
		t.Fatal(err)
	}
	bundle := filepath.Join(dir, "trust.json")
	put := func(file string, b []byte) {
		t.Helper()
		if err := os.WriteFile(file, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(bundle, text)
	put(bundle+keyfile.SignatureSuffix, detached.Sign(key, trust.Context, text))
	const head = "schema = 1\n[[lane]]\nname = \"gate-1\"\nsource = \"sim:\"\ndirection = \"in\"\n[keys]\ntrust = \"trust.json\"\n"
	toml := filepath.Join(dir, "kiosk.toml")
	put(toml, []byte(head))
	if _, err := config.LoadKiosk(toml); err == nil || !strings.Contains(err.Error(), "keys.trust: without forms.publisher") {
		t.Errorf("without a publisher: %v", err)
	}
	put(toml, []byte(head+"[forms]\npublisher = \"publisher.pub.pem\"\n"))
	c, err := config.LoadKiosk(toml)
	if err != nil {
		t.Fatal(err)
	}
	load := func() (o kiosk.Options, err error) {
		o.Log = slog.New(slog.DiscardHandler)
		return o, configure(&o, c, &kiosk.Simulator{})
	}
	o, err := load()
	if err != nil || len(o.Trust.Declarers) != 1 || !o.Trust.Declarers[0].Equal(declarer(1)) || !o.Trust.Made.Equal(made) {
		t.Fatalf("%+v, %v", o.Trust, err)
	}
	overlay(&o, order.Layer{Trust: &credential.Trust{Declarers: []ed25519.PublicKey{declarer(2)}}}, nil)
	if !o.Trust.Declarers[0].Equal(declarer(2)) || !o.Trust.Made.Equal(made) {
		t.Errorf("an order of declarers: %+v", o.Trust)
	}
	overlay(&o, order.Layer{Trust: &credential.Trust{Declarers: []ed25519.PublicKey{declarer(3)}, Made: made.Add(time.Hour)}}, nil)
	if !o.Trust.Declarers[0].Equal(declarer(3)) || !o.Trust.Made.Equal(made.Add(time.Hour)) {
		t.Errorf("an order of a bundle: %+v", o.Trust)
	}
	put(bundle, append(text, '\n'))
	if _, err := load(); err == nil || !strings.Contains(err.Error(), "does not carry its publisher's signature") {
		t.Errorf("a changed bundle: %v", err)
	}
}
