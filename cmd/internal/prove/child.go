package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"gatepost/storage/entry"
	"gatepost/storage/journal"

	"golang.org/x/sys/unix"
)

// childVar makes this program the child whose system calls fail: it works on a journal below the folder that stands
// there, and ends. Behind "lie:" it takes every refusal for an acknowledgement, for the control.
const (
	childVar  = "GATEPOST_PROVE_CHILD"
	childLies = "lie:"
)

// The exit statuses of a child.
const (
	childDone   = 0
	childGaveUp = 3 // the journal never worked again, though the fault was over
)

const (
	childDevice = "0011223344556677"
	childTries  = 200 // of one step; more than all calls that a lasting fault lets fail in a few threads
)

var childHub = ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))

// A worker does the steps of a child and marks each on its output: "try NAME", then "ok NAME SEQ" or "no NAME ERROR".
type worker struct {
	dir string
	lie bool
	j   *journal.Journal
}

// A step is done again until it succeeds. It returns the sequence that it is about.
type step struct {
	name string
	do   func() (uint64, error)
}

func child(where string) int {
	dir, lie := strings.CutPrefix(where, childLies)
	w := &worker{dir: filepath.Join(dir, "journal"), lie: lie}
	for _, s := range w.steps() {
		if err := w.persist(s); err != nil {
			fmt.Fprintf(os.Stderr, "%s: %v\n", s.name, err)
			return childGaveUp
		}
	}
	return childDone
}

// steps are two lives of a journal with everything in them that writes.
func (w *worker) steps() (all []step) {
	appends := func(from, to int) {
		for i := from; i <= to; i++ {
			name := fmt.Sprintf("append-%d", i)
			all = append(all, step{name, func() (uint64, error) { return w.add(name, i) }})
		}
	}
	all = append(all, step{"open", w.open})
	appends(1, kept+1)
	all = append(all, step{"receipt", w.receipt})
	appends(kept+2, kept+2)
	all = append(all, step{"prune", w.prune}, step{"close", w.close}, step{"open", w.open})
	appends(kept+3, kept+5)
	return append(all, step{"receipt", w.receipt}, step{"close", w.close})
}

// persist does s until it succeeds.
func (w *worker) persist(s step) error {
	for try := 1; ; try++ {
		w.mark("try " + s.name)
		seq, err := s.do()
		if err == nil || w.lie && w.j != nil {
			w.mark(fmt.Sprintf("ok %s %d", s.name, seq))
			return nil
		}
		w.mark(fmt.Sprintf("no %s %q", s.name, err))
		if try == childTries {
			return err
		}
		time.Sleep(time.Millisecond)
	}
}

// mark writes by writev, which nothing else here does, so that marks and failing calls stand in one trace.
func (w *worker) mark(text string) {
	if _, err := unix.Writev(unix.Stdout, [][]byte{[]byte(text + "\n")}); err != nil {
		panic(err)
	}
}

func (w *worker) open() (seq uint64, err error) {
	if w.j, err = journal.Open(w.dir, smallFiles(childDevice)); err != nil {
		w.j = nil
		return 0, err
	}
	return w.j.Head().Seq, nil
}

func (w *worker) close() (uint64, error) {
	w.j.Close() // what was acknowledged before must be there whatever it says
	return 0, nil
}

// kept is the first entry that is never deleted: what is deleted cannot be looked for.
const kept = 5

// stamp returns the time of the n-th entry.
func stamp(n int) entry.Stamp {
	return entry.Stamp{Wall: time.Date(2026, 11, 23, 7, n, 0, 0, time.UTC), Trust: entry.TrustClock}
}

// add appends the n-th entry, of about the size of a real one, with name in it.
func (w *worker) add(name string, n int) (uint64, error) {
	d, err := entry.NewDraft(stamp(n), entry.Passage{
		Lane: name, Direction: entry.In, Verdict: entry.Admit, Sealed: bytes.Repeat([]byte{7}, 250),
	})
	if err != nil {
		return 0, err
	}
	e, err := w.j.Append(context.Background(), d)
	if err != nil {
		return w.j.Head().Seq + 1, err
	}
	return e.Seq, nil
}

// receipt keeps one for all that there is.
func (w *worker) receipt() (uint64, error) {
	head := w.j.Head()
	return head.Seq, w.j.PutReceipt(entry.NewReceipt(childHub, childDevice, head, stamp(0).Wall))
}

// prune deletes the entries before the first that is kept.
func (w *worker) prune() (uint64, error) {
	n, err := w.j.Prune(context.Background(), stamp(kept).Wall, stamp(59))
	if err == nil && n == 0 && w.j.First() == 1 {
		err = errors.New("nothing was deleted")
	}
	return uint64(n), err
}
