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
package memory

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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
	Refused       time.Time // since the program started: what was declared before then does not stand
}

// A Memory is safe for concurrent use. Each call takes the time from its caller. A person is a list of
// keys, of which the first is the strongest: a card's number, then a name that a namesake may share. One key in
// common is enough, unless both have several and differ in the first.
type Memory struct {
	dir  string
	loc  *time.Location
	rand io.Reader

	mu     sync.Mutex
	today  dayKey
	days   []*day // of declarations, oldest first
	people people
	losses []string
	closed bool
}

// Open opens the memory in dir, or begins one. loc says when a day ends. Damage does not stop it: what
// cannot be read is forgotten, and Losses tells.
func Open(dir string, loc *time.Location, now time.Time, rand io.Reader) (*Memory, error) {
	m := &Memory{dir: dir, loc: loc, rand: rand}
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
	var p Past
	for _, d := range m.days {
		if r, ok := d.find(keys); ok && now.Before(r.until) && r.until.After(p.Until) {
			p.Until, p.Form = r.until, r.form
		}
	}
	if who := m.people.find(keys, m.today); who != nil {
		p.Last, p.LastDirection = who.at, who.direction
	}
	p.Refused = m.people.refusal(keys)
	return p
}

// Pass notes that the person, whose Tag is tag, has passed.
func (m *Memory) Pass(keys []string, tag []byte, d entry.Direction, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	m.people.pass(keys, tag, m.today, d, now)
}

// Replay notes, at start, a passage that the journal tells of. Those of other days count for nothing:
// nobody can be recognised by their tags any more.
func (m *Memory) Replay(tag []byte, d entry.Direction, at time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.date(at) == m.today.date {
		m.people.pass(nil, tag, m.today, d, at)
	}
}

// Undo takes back the last passage of today's tag, which was annulled.
func (m *Memory) Undo(tag []byte, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	m.people.undo(tag)
}

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
	clear(m.today.key)
	clear(m.people.key)
	return errors.Join(errs...)
}

// mac returns the first 16 bytes of HMAC-SHA-256 over use and text.
func mac(key []byte, use, text string) (sum [tagSize]byte) {
	h := hmac.New(sha256.New, key)
	io.WriteString(h, use)
	h.Write([]byte{0})
	io.WriteString(h, text)
	copy(sum[:], h.Sum(nil))
	return sum
}
