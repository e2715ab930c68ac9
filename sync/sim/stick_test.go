package sim

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"gatepost/storage/entry"
	"gatepost/sync/uplink"
	"gatepost/sync/wire"
)

// A carrier goes from the kiosks to a hub and back with one USB stick.
type carrier struct {
	w    *world
	dir  string
	net  *link
	busy bool
}

func (w *world) addCarrier() {
	dir := filepath.Join(w.dir, "stick")
	w.must(os.Mkdir(dir, 0o755))
	w.carrier = &carrier{w: w, dir: dir, net: &link{w: w, who: "carrier", up: true, loss: w.fate.loss / 2}}
}

// collect puts the stick into a kiosk, and pulls it out, sometimes too early.
func (c *carrier) collect(k *kiosk) {
	if c.busy || !k.up {
		return
	}
	pulledAt := 0
	if c.w.chance(0.2) {
		pulledAt = 1 + c.w.rng.IntN(3)
	}
	err := k.visit(c.dir, pulledAt)
	c.w.say("%s: stick, %v", k.name, err)
	k.look()
}

// bring hands what is on the stick to a hub.
func (c *carrier) bring() {
	if c.busy {
		return
	}
	c.busy = true
	defer func() { c.busy = false }()
	stick, err := uplink.OpenStick(c.dir)
	c.w.must(err)
	defer stick.Close()
	ids, err := stick.Devices()
	c.w.must(err)
	for _, id := range ids {
		m := uplink.Import{Stick: stick, Exchange: c.exchange, Refused: func(device, what string, why any) {
			c.w.say("import: %s %s refused: %v", short(device), what, why)
		}}
		t, err := m.Device(context.Background(), id)
		c.w.say("import: %s %+v, %v", short(id), t, err)
	}
}

// exchange speaks to the hub as gatectl does, but does not try again: the carrier comes another day.
func (c *carrier) exchange(ctx context.Context, method, path, _ string, body []byte) (s wire.State, err error) {
	r, err := http.NewRequestWithContext(ctx, method, "http://hub"+path, bytes.NewReader(body))
	c.w.must(err)
	res, err := c.net.RoundTrip(r)
	if err != nil {
		return s, err
	}
	raw, err := io.ReadAll(res.Body)
	if err != nil {
		return s, err
	}
	if res.StatusCode != http.StatusOK {
		p := wire.Problem{}
		json.Unmarshal(raw, &p) // a stranger's answer leaves the status to speak
		p.Status = res.StatusCode
		return s, p
	}
	return s, json.Unmarshal(raw, &s)
}

// spoil does to the stick what a bad one does to itself: a file is cut, a bit is another, or a name never got whole.
func (c *carrier) spoil() {
	names, err := filepath.Glob(filepath.Join(c.dir, "GATEPOST", "*", "*"))
	c.w.must(err)
	if c.busy || len(names) == 0 {
		return
	}
	name := names[c.w.rng.IntN(len(names))]
	raw, err := os.ReadFile(name)
	c.w.must(err)
	switch at := c.w.rng.IntN(len(raw) + 1); {
	case c.w.chance(0.3):
		c.w.must(os.Rename(name, name+".part"))
	case at == len(raw) || c.w.chance(0.5):
		raw = raw[:at]
	default:
		raw[at] ^= 1 << c.w.rng.IntN(8)
	}
	if _, err := os.Stat(name); err == nil {
		c.w.must(os.WriteFile(name, raw, 0o600))
	}
	c.w.say("stick: %s is spoilt", filepath.Base(name))
}

// forge leaves a receipt for all that a kiosk has, which no hub has signed.
func (c *carrier) forge(k *kiosk) {
	dir := filepath.Join(c.dir, "GATEPOST", k.id)
	if _, err := os.Stat(dir); c.busy || err != nil || !k.up {
		return
	}
	raw, err := json.Marshal(entry.NewReceipt(key(201), k.id, k.journal.Head(), c.w.now))
	c.w.must(err)
	c.w.must(os.WriteFile(filepath.Join(dir, "receipt.json"), raw, 0o600))
	c.w.say("stick: a false receipt for %s", k.name)
	c.w.after(c.w.upTo(time.Hour), func() { c.collect(k) })
}
