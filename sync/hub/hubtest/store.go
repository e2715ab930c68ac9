// Package hubtest holds what every log of a hub must do, whichever engine keeps it: the embedded one, a cluster, or the
// model in memory that the simulation runs over.
package hubtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"gatepost/sync/hub"
	"gatepost/sync/wire"
)

// A Log is one log under test, empty at first.
type Log interface {
	// Open returns a writer of the log and what closes it. Writers that are open at the same time stand for hubs side by
	// side; a log that takes one writer only returns the same one.
	Open(t *testing.T) (s hub.Store, end func())
}

const everything = "*.*"

// Run tests logs that begin makes, one for each test. Shared tells that a log takes several writers.
func Run(t *testing.T, shared bool, begin func(t *testing.T) Log) {
	for _, c := range []struct {
		name string
		test func(t *testing.T, l Log)
	}{
		{"Empty", empty},
		{"Order", order},
		{"Subjects", subjects},
		{"Fence", fence},
		{"Large", large},
		{"Many", many},
		{"Canceled", canceled},
		{"OwnBytes", ownBytes},
		{"Reopened", reopened},
		{"Closed", closed},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, begin(t)) })
	}
	if shared {
		t.Run("Race", func(t *testing.T) { race(t, begin(t)) })
	}
}

func open(t *testing.T, l Log) hub.Store {
	t.Helper()
	s, end := l.Open(t)
	t.Cleanup(end)
	return s
}

// put appends a message that must be taken.
func put(t *testing.T, s hub.Store, subject, data string, prev uint64) uint64 {
	t.Helper()
	at, err := s.Append(t.Context(), subject, []byte(data), prev)
	if err != nil {
		t.Fatalf("%s behind %d: %v", subject, prev, err)
	}
	return at
}

// is fails unless m is the message that was asked for; the empty subject stands for ErrEmpty.
func is(t *testing.T, what string, m hub.Message, err error, place uint64, subject, data string) {
	t.Helper()
	switch {
	case subject == "":
		if !errors.Is(err, hub.ErrEmpty) {
			t.Errorf("%s: %d, %v, want nothing", what, m.Place, err)
		}
	case err != nil || m.Place != place || m.Subject != subject || string(m.Data) != data:
		t.Errorf("%s: %d %s %.20q, %v, want %d %s %.20q", what, m.Place, m.Subject, m.Data, err, place, subject, data)
	}
}

func first(t *testing.T, s hub.Store, from uint64, of string, place uint64, subject, data string) {
	t.Helper()
	m, err := s.First(t.Context(), from, of)
	is(t, fmt.Sprintf("first of %s from %d", of, from), m, err, place, subject, data)
}

func last(t *testing.T, s hub.Store, of string, place uint64, subject, data string) {
	t.Helper()
	m, err := s.Last(t.Context(), of)
	is(t, "last of "+of, m, err, place, subject, data)
}

func empty(t *testing.T, l Log) {
	s := open(t, l)
	first(t, s, 1, everything, 0, "", "")
	last(t, s, everything, 0, "", "")
	last(t, s, "log.a", 0, "", "")
}

// order: places count from 1 without a hole, whoever writes, and every writer sees what another's Append has returned.
func order(t *testing.T, l Log) {
	writers := []hub.Store{open(t, l), open(t, l)}
	prev := map[string]uint64{}
	for i := range 12 {
		s, other := writers[i%2], writers[(i+1)%2]
		subject, data := fmt.Sprint("log.", i%3), fmt.Sprint("message ", i)
		at := put(t, s, subject, data, prev[subject])
		if at != uint64(i+1) {
			t.Fatalf("message %d has the place %d", i+1, at)
		}
		prev[subject] = at
		last(t, other, everything, at, subject, data)
		last(t, other, subject, at, subject, data)
		first(t, other, at, everything, at, subject, data)
	}
	for i := range 12 {
		first(t, writers[0], uint64(i+1), everything, uint64(i+1), fmt.Sprint("log.", i%3), fmt.Sprint("message ", i))
	}
}

func subjects(t *testing.T, l Log) {
	s := open(t, l)
	put(t, s, "log.a", "a1", 0)
	put(t, s, "log.b", "b1", 0)
	put(t, s, "alarm.a", "fire", 0)
	put(t, s, "log.a", "a2", 1)
	first(t, s, 1, "log.a", 1, "log.a", "a1")
	first(t, s, 2, "log.a", 4, "log.a", "a2")
	first(t, s, 5, "log.a", 0, "", "")
	first(t, s, 3, "log.b", 0, "", "")
	first(t, s, 3, everything, 3, "alarm.a", "fire")
	first(t, s, 5, everything, 0, "", "")
	last(t, s, "log.b", 2, "log.b", "b1")
	last(t, s, "alarm.a", 3, "alarm.a", "fire")
	last(t, s, "log.c", 0, "", "")
	last(t, s, everything, 4, "log.a", "a2")
}

// fence: what does not go on behind the subject's last message is not stored.
func fence(t *testing.T, l Log) {
	s := open(t, l)
	a := put(t, s, "log.a", "a1", 0)
	b := put(t, s, "log.b", "b1", 0)
	a = put(t, s, "log.a", "a2", a)
	for _, prev := range []uint64{0, 1, b, a + 1, 1 << 40} {
		if at, err := s.Append(t.Context(), "log.a", []byte("no"), prev); err == nil {
			t.Errorf("stored at %d behind %d, the last is %d", at, prev, a)
		}
	}
	if at, err := s.Append(t.Context(), "log.new", []byte("no"), b); err == nil {
		t.Errorf("stored at %d as the first of its subject, behind %d", at, b)
	}
	last(t, s, everything, a, "log.a", "a2")
	put(t, s, "log.a", "a3", a)
}

// race: of several writers behind the same message one wins, and all find out which.
func race(t *testing.T, l Log) {
	writers := []hub.Store{open(t, l), open(t, l), open(t, l)}
	var prev uint64
	for round := range 20 {
		places, errs := make([]uint64, len(writers)), make([]error, len(writers))
		var wg sync.WaitGroup
		for i, s := range writers {
			wg.Go(func() { places[i], errs[i] = s.Append(t.Context(), "log.a", fmt.Append(nil, round, i), prev) })
		}
		wg.Wait()
		won := -1
		for i, err := range errs {
			if err == nil && won >= 0 {
				t.Fatalf("round %d: writers %d and %d won", round, won, i)
			} else if err == nil {
				won = i
			}
		}
		m, err := writers[round%len(writers)].Last(t.Context(), "log.a")
		switch {
		case err != nil:
			t.Fatal(err)
		case won >= 0:
			is(t, "the winner's", m, nil, places[won], "log.a", fmt.Sprint(round, won))
		case m.Place == prev: // all lost, which a log may do
		}
		prev = m.Place
	}
	if prev == 0 {
		t.Error("nobody ever won")
	}
}

// large: a full batch fits, with what the hub may put beside it.
func large(t *testing.T, l Log) {
	s := open(t, l)
	text := string(bytes.Repeat([]byte("x"), wire.MaxBatch))
	at := put(t, s, "log.a", text, 0)
	last(t, s, "log.a", at, "log.a", text)
}

// many: writes of many subjects at the same time are all stored, each once.
func many(t *testing.T, l Log) {
	const n = 200
	s := open(t, l)
	var wg sync.WaitGroup
	places := make([]uint64, n)
	for i := range n {
		wg.Go(func() {
			for { // a group may be refused as a whole for one of its messages: then a hub reads, and comes again
				at, err := s.Append(t.Context(), fmt.Sprint("log.", i), fmt.Append(nil, i), 0)
				if err == nil {
					places[i] = at
					return
				}
				if m, err := s.Last(t.Context(), fmt.Sprint("log.", i)); err == nil || t.Context().Err() != nil {
					places[i] = m.Place
					return
				}
			}
		})
	}
	wg.Wait()
	for i, at := range places {
		first(t, s, at, everything, at, fmt.Sprint("log.", i), fmt.Sprint(i))
	}
	first(t, s, n+1, everything, 0, "", "")
}

// canceled: after an error nobody knows; the log tells, and goes on.
func canceled(t *testing.T, l Log) {
	s := open(t, l)
	prev := put(t, s, "log.a", "a1", 0)
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if at, err := s.Append(gone, "log.a", []byte("a2"), prev); err == nil {
		last(t, s, "log.a", at, "log.a", "a2")
	}
	m, err := s.Last(t.Context(), "log.a")
	if err != nil {
		t.Fatal(err)
	}
	if string(m.Data) != "a1" && string(m.Data) != "a2" {
		t.Errorf("the last is %q", m.Data)
	}
	put(t, s, "log.a", "a3", m.Place)
}

// ownBytes: neither the bytes that were handed in nor those that came out are shared with anybody.
func ownBytes(t *testing.T, l Log) {
	s := open(t, l)
	data := []byte("kept")
	at, err := s.Append(t.Context(), "log.a", data, 0)
	if err != nil {
		t.Fatal(err)
	}
	clear(data)
	m, err := s.Last(t.Context(), "log.a")
	is(t, "what was handed in", m, err, at, "log.a", "kept")
	clear(m.Data)
	last(t, s, "log.a", at, "log.a", "kept")
}

// reopened: what was stored is there when everything has been closed.
func reopened(t *testing.T, l Log) {
	s, end := l.Open(t)
	put(t, s, "log.a", "a1", 0)
	at := put(t, s, "log.a", "a2", 1)
	end()
	again := open(t, l)
	first(t, again, 1, everything, 1, "log.a", "a1")
	last(t, again, "log.a", at, "log.a", "a2")
	put(t, again, "log.a", "a3", at)
}

// closed: a writer that is closed fails, and does not take the log for empty.
func closed(t *testing.T, l Log) {
	s, end := l.Open(t)
	put(t, s, "log.a", "a1", 0)
	end()
	_, errAppend := s.Append(t.Context(), "log.a", []byte("a2"), 1)
	_, errFirst := s.First(t.Context(), 1, everything)
	_, errLast := s.Last(t.Context(), "log.b")
	for _, err := range []error{errAppend, errFirst, errLast} {
		if err == nil || errors.Is(err, hub.ErrEmpty) {
			t.Errorf("closed, and its error is %v", err)
		}
	}
}
