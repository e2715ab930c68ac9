package sim

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
	"gatepost/sync/uplink"
)

// A kiosk is a real journal and a real uplink, and the person at the gate.
type kiosk struct {
	w      *world
	name   string
	key    ed25519.PrivateKey
	public ed25519.PublicKey
	id     string
	dir    string
	net    *link
	ahead  time.Duration // of its wall clock
	trust  entry.Trust   // of that

	life     int // counts starts and stops
	up       bool
	born     time.Time
	ctx      context.Context
	cancel   func()
	journal  *journal.Journal
	uplink   *uplink.Uplink
	stepping bool // the uplink is in a step
	begun    bool // it has made its first one
	plan     int  // counts plans for the next step; only the last one holds

	noted  uint64 // the last entry that the truth knows
	saved  string // a copy of the card
	fresh  bool   // another copy of the card lies in it, and has not been used yet
	proved uint64 // up to here it holds receipts
	alarms []string
}

// key makes the same key for the same n.
func key(n byte) ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{n}, ed25519.SeedSize))
}

func (w *world) addKiosk(k ed25519.PrivateKey) *kiosk {
	name := fmt.Sprint("kiosk", len(w.kiosks))
	gate := &kiosk{w: w, name: name, key: k, public: k.Public().(ed25519.PublicKey), dir: filepath.Join(w.dir, name), trust: entry.TrustClock}
	gate.id = entry.DeviceID(gate.public)
	gate.net = &link{w: w, who: name, up: true, loss: w.fate.loss, narrow: w.fate.narrow, heard: gate.heard}
	w.kiosks = append(w.kiosks, gate)
	return gate
}

// start is the power coming back.
func (k *kiosk) start() {
	w := k.w
	j, err := journal.Open(filepath.Join(k.dir, "journal"), journal.Options{Device: k.id, Entries: w.fate.fileEntries})
	if err != nil {
		w.fail("%s does not start: %v", k.name, err)
		return
	}
	k.life++
	k.journal, k.up, k.begun, k.stepping, k.born = j, true, false, false, w.now
	k.ctx, k.cancel = context.WithCancel(context.Background())
	if k.fresh {
		k.fresh, k.proved = false, j.Receipted()
	}
	k.note(true)
	o := uplink.Options{
		Hub: "http://hub", Key: k.key, ReceiptKey: receiptKey.Public().(ed25519.PublicKey), Aside: k.asideFile(),
		Interval: w.fate.interval, MinWait: time.Second, MaxWait: 5 * time.Minute,
		Transport: k.net, Jitter: w.rng.Float64, Now: w.clock,
		OnAlarm: k.alarm, OnTime: k.setClock,
	}
	k.uplink = uplink.New(j, o)
	w.say("%s starts: boot %d, head %d, receipted %d", k.name, j.Boot(), j.Head().Seq, j.Receipted())
	k.keep(entry.Boot{Program: "sim"}, true)
	k.next(k.uplink.Begin())
}

// stop is the power going.
func (k *kiosk) stop() {
	if k.up {
		k.up = false
		k.life++
		k.cancel()
		k.w.must(k.journal.Close())
	}
}

func (k *kiosk) crash(down time.Duration) {
	k.stop()
	k.w.say("%s loses its power for %v", k.name, down.Round(time.Second))
	life := k.life
	k.w.after(down, func() {
		if k.life == life {
			k.start()
		}
	})
}

func (k *kiosk) asideFile() string { return filepath.Join(k.dir, "aside") }

// next plans the uplink's next step, and forgets the plan before it.
func (k *kiosk) next(due time.Time) {
	k.plan++
	life, plan := k.life, k.plan
	k.w.after(due.Sub(k.w.now), func() {
		if k.up && k.life == life && k.plan == plan {
			k.step()
		}
	})
}

// step is what Run does when its timer fires.
func (k *kiosk) step() {
	life := k.life
	k.stepping = true
	due := k.uplink.Step(k.ctx)
	if k.life != life {
		return // it crashed meanwhile
	}
	k.stepping, k.begun = false, true
	k.note(true)
	k.w.truth.stepped(k)
	k.next(due)
	k.look()
}

// look is what Run does when the journal has news.
func (k *kiosk) look() {
	if k.stepping || !k.begun {
		return
	}
	select {
	case <-k.journal.Changed():
		if k.uplink.Well() {
			k.next(k.w.now)
		}
	default:
	}
}

// rewire is what Run does when the network changes.
func (k *kiosk) rewire(up bool) {
	k.w.say("%s: network up: %v", k.name, up)
	k.net.up = up
	if k.up && k.begun && !k.stepping {
		k.next(k.uplink.Rewired())
	}
}

func (k *kiosk) stamp() entry.Stamp {
	return entry.Stamp{Wall: k.w.now.Add(k.ahead), Mono: k.w.now.Sub(k.born), Trust: k.trust}
}

// setClock takes the hub's signed time.
func (k *kiosk) setClock(at time.Time, _ time.Duration) {
	if d := k.w.now.Sub(at); d < 0 || d > time.Hour {
		k.w.fail("%s: the hub's time is %v, and it is %v", k.name, at, k.w.now)
	}
	k.ahead, k.trust = at.Sub(k.w.now), entry.TrustNetwork
}

// keep appends an entry. Acknowledged is false where the power goes before the guard has seen it.
func (k *kiosk) keep(body entry.Body, acknowledged bool) {
	d, err := entry.NewDraft(k.stamp(), body)
	k.w.must(err)
	e, err := k.journal.Append(context.Background(), d)
	if err != nil {
		k.w.fail("%s: %v", k.name, err)
		return
	}
	k.note(acknowledged)
	if k.noted != e.Seq {
		k.w.fail("%s: entry %d was kept, and the journal ends at %d", k.name, e.Seq, k.noted)
	}
	k.look()
}

// note tells the truth what has come into the journal.
func (k *kiosk) note(acknowledged bool) {
	raws, err := k.journal.Range(max(k.noted, k.journal.First()-1), 10_000, 64<<20)
	if err != nil {
		k.w.fail("%s: %v", k.name, err)
	}
	for _, raw := range raws {
		h, err := entry.HeadOf(raw)
		k.w.must(err)
		k.w.truth.made(k, h, acknowledged)
		k.noted = h.Seq
	}
}

// pass lets n people through.
func (k *kiosk) pass(n, size int) {
	for range n {
		sealed := make([]byte, 16+size)
		for i := range sealed {
			sealed[i] = byte(k.w.rng.Uint32())
		}
		k.keep(entry.Passage{Lane: "gate-1", Direction: entry.In, Verdict: entry.Admit, Sealed: sealed}, true)
	}
	k.w.say("%s: %d passages, head %d", k.name, n, k.journal.Head().Seq)
}

// prune deletes what is old and receipted.
func (k *kiosk) prune() {
	now, before := k.stamp(), k.journal.First()
	if now.Trust < entry.TrustClock {
		return
	}
	n, err := k.journal.Prune(context.Background(), now.Wall.Add(-k.w.fate.retain), now, func() ([]uint64, error) { return uplink.SetAside(k.asideFile()) })
	k.w.must(err)
	if n > 0 {
		k.w.say("%s deletes %d entries before %d", k.name, n, k.journal.First())
	}
	k.note(true)
	k.w.truth.pruned(k, before)
	k.look()
}

func (k *kiosk) alarm(text string) {
	k.w.say("%s ALARM %s", k.name, text)
	k.alarms = append(k.alarms, text)
	if strings.Contains(text, "cloned") || strings.Contains(text, "two chains") {
		k.w.truth.alarm(k.id)
	}
}

// heard watches for receipts on their way to the kiosk.
func (k *kiosk) heard(r *http.Request, status int, body []byte) {
	k.w.truth.heard(k, r, status, body)
}

// save copies the card, which is not in use.
func (k *kiosk) save() {
	k.saved = k.dir + ".saved"
	k.w.must(os.RemoveAll(k.saved))
	k.w.must(os.CopyFS(k.saved, os.DirFS(k.dir)))
	k.w.say("%s: its card is copied", k.name)
}

// setBack puts the copy of the card in its place.
func (k *kiosk) setBack() {
	k.w.must(os.RemoveAll(k.dir))
	k.w.must(os.CopyFS(k.dir, os.DirFS(k.saved)))
	k.w.truth.setBack(k)
	k.noted, k.fresh = 0, true
	k.w.say("%s: its card is set back", k.name)
}

// clone makes a second kiosk of the copy of a card.
func (k *kiosk) clone() {
	twin := k.w.addKiosk(k.key)
	k.w.must(os.CopyFS(twin.dir, os.DirFS(k.saved)))
	k.w.truth.setBack(twin)
	twin.fresh = true
	k.w.say("%s is a clone of %s", twin.name, k.name)
	twin.start()
}

// visit is a stick put in.
func (k *kiosk) visit(dir string, pulledAt int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	err := uplink.TakeReceipts(k.journal, receiptKey.Public().(ed25519.PublicKey), k.id, dir)
	k.w.truth.tookReceipt(k)
	n := 0
	export := uplink.Export(ctx, k.journal, k.key, k.asideFile(), dir, func(done, total uint64) {
		if n++; n == pulledAt {
			cancel()
		}
	})
	err = errors.Join(err, export)
	if errors.Is(err, journal.ErrFork) {
		k.alarm("cloned? " + err.Error())
	}
	return err
}
