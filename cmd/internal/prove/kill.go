package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"time"

	"gatepost/cmd/internal/demo"
	"gatepost/cmd/internal/guard"
	"gatepost/cmd/internal/keyfile"
	"gatepost/cmd/internal/prove/proof"
	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

const (
	retain    = 5 * time.Second        // longer than a round, so that no round prunes what it acknowledged itself
	showFor   = 200 * time.Millisecond // how long a visitor holds up a code
	maxRound  = 20 * time.Second       // on a machine that is very busy
	drainTime = time.Minute            // for the last entries on their way to the hub
)

// kill kills the real gatekiosk again and again. Whatever its page has shown as a verdict with a sequence, and whatever
// undo it has said is done, must be in the journal afterwards, and in the end at the hub.
func kill(ctx context.Context, p *proof.Run) (t proof.Tally, err error) {
	k, err := newKiller(ctx, p)
	if err != nil {
		return t, err
	}
	defer k.Close()
	rounds := p.Scaled(5, 200)
	for round := range rounds {
		if err := k.round(ctx, round, &t); err != nil {
			return t, fmt.Errorf("round %d: %w\n%s", round, err, k.logs())
		}
		if (round+1)%20 == 0 {
			p.Say("%d kills, %d verdicts and %d undos acknowledged, %d entries deleted, lost %d, doubled %d",
				t.Kills, len(k.book.acks), len(k.book.undone), max(k.found.first, 1)-1, t.Lost, t.Doubled)
		}
	}
	if err := k.finish(ctx, &t); err != nil {
		return t, fmt.Errorf("%w\n%s", err, k.logs())
	}
	if p.N > 0 && k.found.first == 1 {
		return t, errors.New("no kiosk came to delete anything")
	}
	if len(k.book.acks) < rounds/2 || !k.controlled {
		return t, fmt.Errorf("only %d verdicts were acknowledged in %d rounds: this proves nothing", len(k.book.acks), rounds)
	}
	return t, nil
}

// A killer is a kiosk with its hub, and what the kiosk has acknowledged so far.
type killer struct {
	*demo.Stage
	p          *proof.Run
	gatectl    string
	receipts   ed25519.PublicKey
	random     *rand.Rand
	visitors   int
	device     string
	found      span // in the journal, when it was last read
	controlled bool // whether a journal that was rolled back was noticed
	book       ledger
}

func newKiller(ctx context.Context, p *proof.Run) (*killer, error) {
	for _, name := range []string{"gatekiosk", "gatehub", "gatectl"} {
		if _, err := p.Program(ctx, name); err != nil {
			return nil, err
		}
	}
	bin := filepath.Join(p.Work, "bin")
	stage, err := demo.NewStage(filepath.Join(p.Work, "kill"), bin, retain)
	if err != nil {
		return nil, err
	}
	k := &killer{Stage: stage, p: p, gatectl: filepath.Join(bin, "gatectl"), random: p.Random(1), book: newLedger()}
	if err := k.StartHub(); err != nil {
		return nil, err
	}
	k.receipts, err = keyfile.Public(k.ReceiptKey)
	return k, err
}

// round runs the kiosk until it is killed, and audits its journal.
func (k *killer) round(ctx context.Context, n int, t *proof.Tally) error {
	before := filepath.Join(k.p.Work, "before")
	if !k.controlled {
		if err := os.MkdirAll(journalDir(k.Data), 0o700); err != nil {
			return err
		}
		if err := replace(before, journalDir(k.Data)); err != nil {
			return err
		}
	}
	if n%5 == 4 {
		if err := k.stuff(ctx); err != nil {
			return fmt.Errorf("put old entries in: %w", err)
		}
	}
	if err := k.run(ctx, n); err != nil {
		return err
	}
	t.Kills++
	now, all, err := k.read(ctx)
	if err != nil {
		return err
	}
	lost, doubled := k.book.audit(now, all)
	t.Lost += lost
	t.Doubled += doubled
	if !k.controlled && k.found.last > 0 && k.book.beyond(k.found.last) {
		if err := k.control(before); err != nil {
			return err
		}
	}
	k.found = now
	k.book.learn(all)
	return ctx.Err()
}

// stuff puts old entries into files of the journal that are soon full, while no kiosk runs, so that the next one begins
// and deletes some.
func (k *killer) stuff(ctx context.Context) error {
	j, err := journal.Open(journalDir(k.Data), smallFiles(k.device))
	if err != nil {
		return err
	}
	defer j.Close()
	for range 12 {
		d, err := entry.NewDraft(entry.Stamp{Wall: time.Now().Add(-time.Hour), Trust: entry.TrustClock},
			entry.Passage{Lane: k.Lanes[0], Direction: entry.In, Verdict: entry.Look})
		if err != nil {
			return err
		}
		if _, err := j.Append(ctx, d); err != nil {
			return err
		}
	}
	j.Close()
	_, all, err := k.read(ctx)
	k.book.learn(all)
	return err
}

// run starts the kiosk, lets people come, and kills it.
func (k *killer) run(ctx context.Context, n int) error {
	if err := k.StartKiosk(); err != nil {
		return err
	}
	ctx, stop := context.WithTimeout(ctx, maxRound)
	defer stop()
	acked := make(chan struct{}, 1000)
	var crowd sync.WaitGroup
	crowd.Go(func() { k.watch(ctx, acked) })
	for _, lane := range k.Lanes {
		text, err := k.visitor()
		if err != nil {
			return err
		}
		crowd.Go(func() { k.show(ctx, lane, text) })
	}
	k.await(ctx, n, acked)
	k.KillKiosk()
	stop()
	crowd.Wait()
	return nil
}

// await waits for the moment of the kill: just after the start, at any time, or right behind an acknowledgement.
func (k *killer) await(ctx context.Context, n int, acked <-chan struct{}) {
	wait := time.Duration(k.random.Int64N(int64(120 * time.Millisecond)))
	switch n % 10 {
	case 2, 7:
	case 4:
		wait = time.Duration(k.random.Int64N(int64(1200 * time.Millisecond)))
	case 9: // when the kiosk deletes what is old
		wait = 950*time.Millisecond + time.Duration(k.random.Int64N(int64(150*time.Millisecond)))
	default:
		for range 1 + k.random.IntN(2) {
			select {
			case <-acked:
			case <-ctx.Done():
			}
		}
		wait = time.Duration(k.random.Int64N(int64(3 * time.Millisecond)))
	}
	select {
	case <-time.After(wait):
	case <-ctx.Done():
	}
}

// watch notes what the page shows until the kiosk is dead, undoes now and then, and tells of each acknowledgement.
func (k *killer) watch(ctx context.Context, acked chan<- struct{}) {
	var undoing sync.WaitGroup
	defer undoing.Wait()
	undo := func(seq uint64) {
		if k.Do(guard.Action{Undo: &guard.Undo{Seq: seq}}) == nil && k.book.undo(seq) {
			acked <- struct{}{}
		}
	}
	asked := 0
	each := func(s guard.State) {
		for range k.book.show(s) {
			acked <- struct{}{}
		}
		for _, r := range s.Recent {
			if r.Verdict == entry.Admit && !r.Undone && r.Seq%3 == 0 && asked < 2 {
				asked++
				undoing.Go(func() { undo(r.Seq) })
			}
		}
	}
	retry(ctx, func() error { return k.Watch(ctx, each) })
}

// visitor returns the code of somebody who was never here: a declaration, or a bare card.
func (k *killer) visitor() (string, error) {
	k.visitors++
	card, declaration, err := k.Visitor(k.visitors)
	if k.random.IntN(3) == 0 {
		return card, err
	}
	return declaration, err
}

// show holds up a code before a lane as soon as there is one.
func (k *killer) show(ctx context.Context, lane, text string) {
	shown := false
	retry(ctx, func() error {
		if shown {
			return nil
		}
		err := k.Show(lane, text, showFor)
		shown = err == nil
		return err
	})
}

// retry tries until f succeeds or ctx ends.
func retry(ctx context.Context, f func() error) {
	for f() != nil {
		select {
		case <-ctx.Done():
			return
		case <-time.After(3 * time.Millisecond):
		}
	}
}

// logs returns the ends of the programs' logs.
func (k *killer) logs() (tails string) {
	for _, path := range k.Logs() {
		text, _ := os.ReadFile(path)
		tails += fmt.Sprintf("%s:\n%s\n", filepath.Base(path), text[max(0, len(text)-2000):])
	}
	return tails
}

// read lets the real gatectl check the journal of a kiosk that does not run, and reads all of it.
func (k *killer) read(ctx context.Context) (span, []record, error) {
	dir := journalDir(k.Data)
	if out, err := exec.CommandContext(ctx, k.gatectl, "check", "-receipt-key", k.ReceiptKey, dir).CombinedOutput(); err != nil {
		return span{}, nil, fmt.Errorf("gatectl check: %w\n%s", err, out)
	}
	r, all, err := read(dir, filepath.Join(k.p.Work, "copy"), k.receipts)
	k.device = r.Device
	return span{r.First, r.Last, r.Receipted}, all, err
}

// control audits the journal as it was before the run: a kiosk that forgets what it acknowledged looks like this.
func (k *killer) control(before string) error {
	r, all, err := read(before, filepath.Join(k.p.Work, "copy"), k.receipts)
	if err != nil {
		return fmt.Errorf("control: %w", err)
	}
	if lost, _ := k.book.audit(span{r.First, r.Last, r.Receipted}, all); lost == 0 {
		return errors.New("control: a journal that was rolled back was not noticed")
	}
	k.controlled = true
	k.p.Say("control: a journal that was rolled back is noticed")
	return nil
}

// finish lets the kiosk send what it still has, and looks for everything at the hub.
func (k *killer) finish(ctx context.Context, t *proof.Tally) error {
	if err := k.StartKiosk(); err != nil {
		return err
	}
	sent, err := k.drain(ctx)
	k.StopKiosk()
	if err != nil {
		return err
	}
	now, all, err := k.read(ctx)
	if err != nil {
		return err
	}
	lost, doubled := k.book.audit(now, all)
	k.book.learn(all)
	if now.receipted < sent {
		return fmt.Errorf("the page said that everything up to entry %d was sent, and the receipt is for %d", sent, now.receipted)
	}
	out, err := exec.CommandContext(ctx, k.gatectl, append([]string{"pull"}, k.PullFlags()...)...).Output()
	if err != nil {
		return fmt.Errorf("gatectl pull: %w", err)
	}
	lostUp, doubledUp, err := k.book.compare(out, now.receipted)
	t.Lost += lost + lostUp
	t.Doubled += doubled + doubledUp
	k.found = now
	k.p.Say("%d entries at the hub, the first %d of them deleted at the gate", len(k.book.hashes), now.first-1)
	return err
}

// drain waits until the page says that everything is sent, this run's own first entry, too, and returns the last sequence of
// all.
func (k *killer) drain(ctx context.Context) (last uint64, err error) {
	ctx, stop := context.WithTimeout(ctx, drainTime)
	defer stop()
	retry(ctx, func() error {
		watching, sent := context.WithCancel(ctx)
		defer sent()
		k.Watch(watching, func(s guard.State) {
			k.book.show(s)
			if s.Seq > k.found.last && s.Unsent == 0 {
				last = s.Seq
				sent()
			}
		})
		if last == 0 { // the page is not there yet, or went away
			return errors.New("not sent yet")
		}
		return nil
	})
	if last == 0 {
		return 0, errors.New("the last entries did not reach the hub")
	}
	return last, nil
}
