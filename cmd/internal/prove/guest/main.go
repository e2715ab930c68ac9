// Guest is the half of the power-cut proof that stands on the disk whose power is cut: in a virtual machine, where it
// appends to a journal until the end, and on the host, where it checks what a replayed cut has left.
//
//	guest run DIR SEQ HASH      check, then append from several lanes for ever
//	guest check DIR SEQ HASH    check, append one entry, and check again
//
// DIR is the journal's folder; SEQ and HASH say what was acknowledged last, "0 -" when nothing was. Every line of the
// output goes out in one write:
//
//	WHOLE FIRST LAST   the journal is whole and holds what was acknowledged
//	LOST WHY           it is not, or does not
//	ACK SEQ HASH       an Append has returned this entry
//	FAILED WHY         the journal refuses to go on, or the words on the command line are wrong
//
// It ends with status 0 after a check that finds the journal whole, otherwise with 1.
package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"
)

const (
	device = "power-cut-proof"
	lanes  = 4

	// So many entries pass between two receipts, and two purges. A receipt leaves the newest entries uncovered, so
	// that what was acknowledged last is never deleted.
	receiptEvery, pruneEvery, uncovered = 40, 100, 80
)

// hub is a key that only this proof has.
var hub = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))

var options = journal.Options{
	Device:  device,
	Entries: 64, // so that files are begun, sealed and deleted within a run
}

// errLost means that the journal is not what it promised to be.
var errLost = errors.New("lost")

func main() {
	if err := act(os.Args[1:]); err != nil {
		word := "FAILED"
		if errors.Is(err, errLost) {
			word = "LOST"
		}
		say("%s %v", word, err)
		os.Exit(1)
	}
}

func act(args []string) error {
	if len(args) != 4 {
		return errors.New("usage: guest run|check DIR SEQ HASH")
	}
	seq, err := strconv.ParseUint(args[2], 10, 64)
	if err != nil {
		return fmt.Errorf("sequence %q: %w", args[2], err)
	}
	if args[0] != "run" && args[0] != "check" {
		return fmt.Errorf("no %q", args[0])
	}
	dir, last := args[1], mark{seq, args[3]}
	j, err := examine(dir, last)
	if err != nil {
		return err
	}
	say("WHOLE %d %d", j.First(), j.Head().Seq)
	if args[0] == "run" {
		return appendFor(context.Background(), j, say)
	}
	return goOn(dir, j)
}

// say prints one line in one write.
func say(format string, a ...any) { os.Stdout.WriteString(fmt.Sprintf(format, a...) + "\n") }

// goOn makes sure that the journal takes another entry after what it went through.
func goOn(dir string, j *journal.Journal) error {
	d, err := draft(j.Boot(), 0, 1)
	if err != nil {
		return err
	}
	e, err := j.Append(context.Background(), d)
	if err := errors.Join(err, j.Close()); err != nil {
		return fmt.Errorf("%w: it does not go on: %w", errLost, err)
	}
	hash, err := hashOf(e)
	if err != nil {
		return err
	}
	j, err = examine(dir, mark{e.Seq, hash})
	if err != nil {
		return fmt.Errorf("after one more entry: %w", err)
	}
	return j.Close()
}

// appendFor appends from every lane until ctx ends or the journal refuses, and says each acknowledgement.
func appendFor(ctx context.Context, j *journal.Journal, say func(string, ...any)) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var wg sync.WaitGroup
	for lane := range lanes {
		wg.Go(func() {
			for n := 1; ctx.Err() == nil; n++ {
				if err := pass(ctx, j, lane, n, say); err != nil {
					stop(err)
				}
			}
		})
	}
	wg.Wait()
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// pass appends one entry, and at times does what the hub's word leads to.
func pass(ctx context.Context, j *journal.Journal, lane, n int, say func(string, ...any)) error {
	d, err := draft(j.Boot(), lane, n)
	if err != nil {
		return err
	}
	e, err := j.Append(ctx, d)
	if err != nil {
		return err
	}
	hash, err := hashOf(e)
	if err != nil {
		return err
	}
	say("ACK %d %s", e.Seq, hash)
	if e.Seq%receiptEvery == 0 && e.Seq > uncovered {
		if err := receipt(j, e.Seq-uncovered); err != nil {
			return err
		}
	}
	if e.Seq%pruneEvery == 0 {
		_, err = j.Prune(ctx, e.Wall.Add(time.Hour), e.Stamp)
	}
	return err
}

// receipt hands the hub's word for everything up to seq to the journal.
func receipt(j *journal.Journal, seq uint64) error {
	hash, err := j.Hash(seq)
	if errors.Is(err, journal.ErrPruned) {
		return nil // so a newer receipt is there already
	}
	if err != nil {
		return err
	}
	return j.PutReceipt(entry.NewReceipt(hub, device, entry.Head{Seq: seq, Hash: hash}, time.Unix(0, 0)))
}

func hashOf(e entry.Entry) (string, error) {
	raw, err := e.Marshal()
	return entry.HashOf(raw).String(), err
}

// draft returns what a lane appends as its nth entry of a boot. Everything in it but the time follows from these
// three. Now and then it fills pages of its own.
func draft(boot uint32, lane, n int) (entry.Draft, error) {
	return entry.NewDraft(entry.Stamp{Wall: time.Now().UTC().Truncate(time.Millisecond), Trust: entry.TrustClock}, entry.Fault{
		Part: "proof", Text: text(boot, lane, n),
	})
}

func text(boot uint32, lane, n int) string {
	size := 80 + 13*n%300
	if n%37 == 0 {
		size = 6000
	}
	head := fmt.Sprintf("%d %d %d ", boot, lane, n)
	b := []byte(head)
	for sum := sha256.Sum256(b); len(b) < size; sum = sha256.Sum256(sum[:]) {
		b = fmt.Appendf(b, "%x", sum)
	}
	return string(b[:size])
}
