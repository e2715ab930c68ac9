// Package memory keeps what one venue remembers about people: whose declaration still stands, who passed
// today and who is inside. It never holds a name or a number, neither on disk nor in the process, but only
// HMACs under random keys, and each key is destroyed when what it is for ends: the key of the day with the
// day, the key of the declarations of a day with the last of them, seven days later at the most. What was
// written under a key can then be tied to nobody, also by who has the venue's disk.
//
// It is a room of its own and no part of the journal because the two live by opposite laws: the journal
// keeps every byte until the hub has it, this package destroys what it knows by the calendar and sends
// nothing on. It is no part of admission, which reads no disk.
//
// It does not promise that nobody is asked twice: after a lost key or a full disk people are asked again.
// Whoever holds the disk and the keys can test guesses against today and against declarations that still
// stand. A key's bytes are overwritten before its file is removed; a flash card may keep an old copy.
//
// The gates of one venue tell each other what they know (share.go): the keys of the day, so that they know each other's
// tags, and the declarations, whose records each gate copies as they are. Nothing waits for that. What has been exchanged
// in whatever order, with whatever breaks, leaves every gate with the same answers, but for one thing: people who passed
// at two gates before those knew each other's keys are counted twice until they are seen again.
package memory

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"gatepost/storage/entry"
)

const (
	// MaxAge is how long a declaration is remembered at the most.
	MaxAge = 7 * 24 * time.Hour
	// MaxRecords bounds the remembered declarations.
	MaxRecords = 200_000

	keySize = 32
	tagSize = 16
	isoDay  = "2006-01-02"
)

// Past is what the venue remembers of a person. Zero values mean that it remembers nothing.
type Past struct {
	Until         time.Time // a declaration stands until then
	Form          string    // its form, by ref
	Last          time.Time // the last passage that counts, today or since the program started
	LastDirection entry.Direction
	LastGate      string    // where that was
	Refused       time.Time // what was declared before then does not stand
}

// A Memory is safe for concurrent use. Each call takes the time from its caller. A person is a list of
// keys, of which the first is the strongest: a card's number, then a name that a namesake may share. One key in
// common is enough, unless both have several and differ in the first.
type Memory struct {
	dir  string
	loc  *time.Location
	rand io.Reader

	mu        sync.Mutex
	today     dayKeys
	yesterday string // its date, if this process has seen it end
	days      []*day // of declarations, oldest first
	people    people
	losses    []string
	closed    bool
	changed   chan struct{} // closed when there is something new for the other gates
}

// Open opens the memory in dir, or begins one. loc says when a day ends. Damage does not stop it: what
// cannot be read is forgotten, and Losses tells.
func Open(dir string, loc *time.Location, now time.Time, rand io.Reader) (*Memory, error) {
	m := &Memory{dir: dir, loc: loc, rand: rand, changed: make(chan struct{})}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	processKey := make([]byte, keySize)
	if _, err := io.ReadFull(rand, processKey); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	m.people = newPeople(processKey)
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("open memory: %w", err)
	}
	m.tick(now)
	m.yesterday = "" // what its tags stand for went with the process that made them
	return m, nil
}

// load reads what is on the disk.
func (m *Memory) load() (err error) {
	if m.today, err = m.loadToday(); err != nil {
		return err
	}
	return m.loadDays()
}

// tick destroys what has ended by now.
func (m *Memory) tick(now time.Time) {
	if m.closed {
		return
	}
	if m.turnDay(now) {
		m.people.turnDay(now)
	}
	m.expire(now)
}

// date is the day of t at the venue.
func (m *Memory) date(t time.Time) string { return t.In(m.loc).Format(isoDay) }

// lose notes that something was forgotten before its time. It names no person.
func (m *Memory) lose(format string, args ...any) {
	const most = 100
	if len(m.losses) < most {
		m.losses = append(m.losses, fmt.Sprintf(format, args...))
	}
}

// Losses returns what was forgotten before its time since the last call, for the log.
func (m *Memory) Losses() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.losses
	m.losses = nil
	return l
}

// Tag returns 16 bytes that stand for the person at this venue today, or nil for nobody.
func (m *Memory) Tag(keys []string, now time.Time) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	if len(keys) == 0 || m.closed { // the key is wiped, and a tag under zeros would be everybody's to compute
		return nil
	}
	t := m.today.tag(keys[0])
	return t[:]
}

// Past returns what is remembered of the person.
func (m *Memory) Past(keys []string, now time.Time) Past {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	p := m.declared(keys, now)
	last := m.people.past(m.people.names(keys, m.today))
	p.Last, p.LastDirection, p.LastGate = last.at, last.direction, last.gate
	return p
}

// Pass notes that the person has passed at this gate.
func (m *Memory) Pass(keys []string, p Passage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(p.At)
	m.pass(keys, p)
}

func (m *Memory) pass(keys []string, p Passage) {
	n := m.people.names(keys, m.today)
	if len(p.Tag) == tagSize {
		n.tags = slices.Insert(n.tags, 0, sum(p.Tag))
		n.first++
	}
	if len(n.tags) > 0 {
		m.people.pass(n, visit{gate: p.Gate, seq: p.Seq, at: p.At, direction: p.Direction})
	}
}

// Replay notes a passage that a journal tells of: this gate's at start, or another gate's at any time. Those of one gate
// come in the order of their sequence, the same one may come again. It counts if it is of today, of the day that ended
// while the program ran, or of the next, which may have begun at the other gate: by other tags nobody can be recognised.
func (m *Memory) Replay(p Passage) {
	m.mu.Lock()
	defer m.mu.Unlock()
	today, err := time.Parse(isoDay, m.today.date)
	if date := m.date(p.At); err == nil && (date == m.today.date || date == m.yesterday || date == today.AddDate(0, 0, 1).Format(isoDay)) {
		m.pass(nil, p)
	}
}

// Undo takes back the passage that is entry seq of a gate.
func (m *Memory) Undo(gate string, seq uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.people.undo(gate, seq)
}

// Date returns the day of t at the venue, as 2006-01-02.
func (m *Memory) Date(t time.Time) string { return m.date(t) }

// Inside returns how many people came in and did not go out, and how many more did so more than 16 hours
// ago, of whom most have left unseen. After 72 hours nobody is counted.
func (m *Memory) Inside(now time.Time) (inside, stale int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	return m.people.inside(now)
}

// Close lets go of the files and wipes the keys from the process. The memory on disk stays.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var errs []error
	for _, d := range m.days {
		errs = append(errs, d.close())
	}
	m.days, m.closed = nil, true
	m.today.clear()
	clear(m.people.key)
	return errors.Join(errs...)
}

// A sum stands for somebody or something under a key.
type sum [tagSize]byte

// mac returns the first 16 bytes of HMAC-SHA-256 over use and text.
func mac(key []byte, use, text string) (s sum) {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, use)
	h.Write([]byte{0})
	io.WriteString(h, text)
	copy(s[:], h.Sum(nil))
	return s
}
