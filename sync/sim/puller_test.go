package sim

import (
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
	"gatepost/sync/pull"
	"gatepost/sync/wire"
)

const token = "0123456789abcdef0123456789abcdef"

// A puller is a central server that pulls with the real client. Its disk has a table of entries and a cursor. One that
// keeps both in one transaction loses both in a crash; one that writes a file of lines keeps the first of them, and
// takes its cursor from the last one that is whole.
type puller struct {
	w      *world
	name   string
	net    *link
	file   bool // it writes lines to a file
	life   int
	busy   bool
	client *pull.Client

	cursor string
	epoch  string
	heads  map[string]entry.Head // of each device, within the epoch
	table  map[string]*rows      // by device
}

// rows are a device's entries in a puller's table.
type rows struct {
	hash map[uint64]entry.Hash // by sequence
	gaps []entry.Gap
}

func (w *world) addPuller() {
	p := &puller{w: w, name: fmt.Sprint("puller", len(w.pullers)), file: w.chance(0.5), table: map[string]*rows{}}
	p.net = &link{w: w, who: p.name, up: true, loss: w.fate.loss / 2}
	w.pullers = append(w.pullers, p)
	p.start()
	w.after(w.upTo(time.Minute), p.poll)
}

// start starts the program. What the client remembers of the chains is gone.
func (p *puller) start() {
	p.life++
	devices := map[string]ed25519.PublicKey{}
	for _, k := range p.w.kiosks {
		devices[k.id] = k.public
	}
	p.client = &pull.Client{HTTP: &http.Client{Transport: p.net}, URL: "http://hub", Token: token, Devices: devices}
}

// poll pulls one page, and comes again.
func (p *puller) poll() {
	if p.w.calm {
		p.w.after(time.Minute, p.poll)
	} else {
		p.w.after(p.w.upTo(10*time.Minute), p.poll)
	}
	if p.busy {
		return
	}
	p.busy = true
	defer func() { p.busy = false }()
	if p.page() && p.name == p.w.keeper {
		p.put()
	}
}

var errDisk = errors.New("the puller's disk is full")

// page reports whether the cursor is worth telling.
func (p *puller) page() bool {
	life, limit := p.life, 1+p.w.rng.IntN(40)
	var got []pull.Line
	next, _, err := p.client.Page(context.Background(), p.cursor, limit, 0, func(l pull.Line) error {
		if !p.w.calm && p.w.chance(p.w.fate.pullerFails) {
			return errDisk
		}
		got = append(got, l)
		return nil
	})
	if p.life != life { // it has crashed meanwhile, and this was its last transaction
		return false
	}
	if !p.w.calm && p.w.chance(p.w.fate.pullerFails) {
		p.crash(got)
		return false
	}
	for _, l := range got {
		p.store(l)
	}
	p.cursor = next
	p.w.say("%s: %d lines up to %s, %v", p.name, len(got), next, err)
	if problem := (wire.Problem{}); errors.As(err, &problem) && problem.Status == http.StatusGone {
		p.cursor = problem.Start
		p.start()
		return false
	}
	return err == nil
}

// crash ends the program with lines in its hands.
func (p *puller) crash(got []pull.Line) {
	kept := 0
	if p.file {
		kept = p.w.rng.IntN(len(got) + 1)
	}
	for _, l := range got[:kept] {
		p.store(l)
		p.cursor = l.Cursor
	}
	p.w.say("%s crashes, %d of %d lines are safe", p.name, kept, len(got))
	p.start()
}

// store puts a line into the table. Within an epoch each device's lines are one chain: nothing comes twice, nothing is
// left out.
func (p *puller) store(l pull.Line) {
	at, err := pull.ParseCursor(l.Cursor)
	p.w.must(err)
	if at.Epoch != p.epoch {
		p.epoch, p.heads = at.Epoch, map[string]entry.Head{}
	}
	h, err := entry.HeadOf(l.Entry)
	p.w.must(err)
	if before, known := p.heads[l.Device]; known {
		if _, err := before.Follow(l.Entry); err != nil {
			p.w.truth.broken(before, h, "%s got entry %d of %s behind %d: %v", p.name, h.Seq, short(l.Device), before.Seq, err)
		}
	}
	p.heads[l.Device] = h
	p.w.truth.pulled(p, l, h)
}

// put tells every hub that what stands before the cursor is safe here.
func (p *puller) put() {
	for i := range p.w.servers {
		r, err := http.NewRequest(http.MethodPut, "http://hub"+wire.PathConsumers+p.name+"/cursor", strings.NewReader(p.cursor))
		p.w.must(err)
		r.Header.Set("Authorization", "Bearer "+token)
		p.net.to = i
		if res, err := p.client.HTTP.Do(r); err == nil {
			res.Body.Close()
		}
	}
}

// makeTokens writes the token that opens the log.
func (w *world) makeTokens() {
	path := filepath.Join(w.dir, "tokens")
	w.must(os.WriteFile(path, []byte(token+"\n"), 0o600))
	var err error
	w.tokens, err = pull.ReadTokens(path)
	w.must(err)
}
