package memory

import (
	"cmp"
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"
)

const (
	maxForm  = 56
	someKeys = 4 // of one record; a person with more has several

	plainSize  = 1 + 8 + 8 + 1 + maxForm + 1 + someKeys*tagSize
	nonceSize  = 12
	recordSize = nonceSize + plainSize + 16
)

// A record says until when the declaration of those whom its sums name stands, or that what they declared before does not.
type record struct {
	forget bool
	until  time.Time // the record is of no use from then on
	at     time.Time // when it was made
	form   string
}

// known is what one day tells of one sum.
type known struct {
	stands []record  // declarations that were not taken back later on that day; each ends before the one before it
	forgot time.Time // when something was last taken back
}

// A day is the declarations of one day at one gate: a key file and an append-only file of sealed records, all of one
// size so that a damaged one spoils no other.
type day struct {
	date    string
	id      string // of the key
	copied  bool   // from another gate, which alone adds to it
	key     []byte
	aead    cipher.AEAD
	log     *os.File
	records int
	by      map[sum]known
	last    time.Time // when the last of them ends
}

// name is how its files are told from those of other days.
func (d *day) name() string {
	if d.copied {
		return d.date + "." + d.id
	}
	return d.date
}

func (d *day) sum(person string) sum { return mac(d.key, "gatepost/remember/1", person) }

func (d *day) close() error {
	clear(d.key)
	return d.log.Close()
}

// declared returns what stands longest of what is known by one of the keys, and when something was last taken back.
//
// What one gate declares and another one takes back has no order but their clocks'. The later one counts; a refusal from
// more than a day ahead, which only a wrong clock can have made, does not.
func (m *Memory) declared(keys []string, now time.Time) (p Past) {
	soon := now.AddDate(0, 0, 1)
	for _, key := range keys {
		var all []known
		var forgot time.Time
		for _, d := range m.days {
			k := d.by[d.sum(key)]
			all = append(all, k)
			if k.forgot.After(forgot) && k.forgot.Before(soon) {
				forgot = k.forgot
			}
		}
		for _, k := range all {
			for _, r := range k.stands {
				stands := now.Before(r.until) && (r.at.After(forgot) || k.forgot.Equal(forgot)) // in one day its order counts
				if stands && r.until.After(p.Until) {
					p.Until, p.Form = r.until, r.form
				}
			}
		}
		if forgot.After(p.Refused) {
			p.Refused = forgot
		}
	}
	return p
}

// Declare remembers until when the person's declaration on a form stands, for MaxAge at the most. With an
// error it may be remembered until the program ends, but no longer.
func (m *Memory) Declare(keys []string, form string, until, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	if len(keys) == 0 || !until.After(now) {
		return nil
	}
	if m.closed {
		return errors.New("remember: memory is closed")
	}
	if len(form) > maxForm {
		return fmt.Errorf("remember: form's name of %d bytes", len(form))
	}
	d, err := m.dayOf(now)
	if err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	until = until.Truncate(time.Millisecond)
	if end := now.Add(MaxAge); until.After(end) {
		until = end.Truncate(time.Millisecond)
	}
	if err := d.put(keys, record{until: until, at: now, form: form}, m.rand); err != nil {
		return fmt.Errorf("remember: %w", err)
	}
	m.bound()
	m.tell()
	return nil
}

// Forget forgets every declaration of the person, and notes the time for Past. That is known until then, which is when
// nothing that was declared before can be fresh any more; for MaxAge at the most.
func (m *Memory) Forget(keys []string, until, now time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	if len(keys) == 0 || m.closed {
		return nil
	}
	if end := now.Add(MaxAge); until.After(end) {
		until = end
	}
	r := record{forget: true, until: until, at: now}
	today, err := m.dayOf(now)
	if err == nil {
		err = today.put(keys, r, m.rand)
	}
	errs := []error{err}
	for _, d := range m.days {
		if d != today && !d.copied && d.knows(keys) {
			errs = append(errs, d.put(keys, r, m.rand))
		}
	}
	m.tell()
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("forget: %w", err)
	}
	return nil
}

// knows reports whether something stands that was declared under one of the keys.
func (d *day) knows(keys []string) bool {
	return slices.ContainsFunc(keys, func(k string) bool { return len(d.by[d.sum(k)].stands) > 0 })
}

// put takes r into the memory and appends it, sealed, to the file.
func (d *day) put(keys []string, r record, rand io.Reader) error {
	var sealed []byte
	for some := range slices.Chunk(keys, someKeys) {
		plain := make([]byte, plainSize)
		if !r.forget {
			plain[0] = 1
		}
		binary.BigEndian.PutUint64(plain[1:], uint64(r.until.UnixMilli()))
		binary.BigEndian.PutUint64(plain[9:], uint64(r.at.UnixMilli()))
		plain[17] = byte(copy(plain[18:18+maxForm], r.form))
		sums := plain[18+maxForm:]
		sums[0] = byte(len(some))
		for i, k := range some {
			s := d.sum(k)
			copy(sums[1+i*tagSize:], s[:])
		}
		d.take(plain)
		nonce := make([]byte, nonceSize)
		if _, err := io.ReadFull(rand, nonce); err != nil {
			return err
		}
		sealed = append(sealed, d.aead.Seal(nonce, nonce, plain, nil)...)
	}
	// A write that failed half-way must not shift the records behind it.
	if _, err := d.log.WriteAt(sealed, int64(d.records)*recordSize); err != nil {
		return err
	}
	d.records += len(sealed) / recordSize
	return d.log.Sync()
}

// take reads an opened record into the index.
func (d *day) take(plain []byte) {
	r := record{
		forget: plain[0] == 0, until: time.UnixMilli(int64(binary.BigEndian.Uint64(plain[1:]))),
		at: time.UnixMilli(int64(binary.BigEndian.Uint64(plain[9:]))), form: string(plain[18 : 18+min(int(plain[17]), maxForm)]),
	}
	if r.until.After(d.last) {
		d.last = r.until
	}
	sums := plain[18+maxForm:]
	for i := range min(int(sums[0]), someKeys) {
		s := sum(sums[1+i*tagSize:])
		k := d.by[s]
		if r.forget {
			k = known{forgot: r.at}
		} else {
			k.stands = slices.DeleteFunc(k.stands, func(old record) bool { return !old.until.After(r.until) })
			k.stands = append(k.stands, r)
		}
		d.by[s] = k
	}
}

// dayOf returns the day of now, which it begins if need be.
func (m *Memory) dayOf(now time.Time) (*day, error) {
	date := m.date(now)
	if i := slices.IndexFunc(m.days, func(d *day) bool { return d.date == date && !d.copied }); i >= 0 {
		return m.days[i], nil
	}
	path := m.path("remember", date, "key")
	key, err := m.newKey(path)
	if err != nil {
		m.destroy(path)
		return nil, err
	}
	d, err := m.openDay(date, key)
	if err != nil {
		m.destroy(path)
		return nil, err
	}
	m.addDay(d)
	return d, syncDir(m.dir)
}

func (m *Memory) addDay(d *day) {
	m.days = append(m.days, d)
	slices.SortStableFunc(m.days, func(a, b *day) int { return cmp.Compare(a.date, b.date) })
}

// loadDays reads the days that are on the disk.
func (m *Memory) loadDays() error {
	logs, err := m.dates("remember", "log")
	if err != nil {
		return err
	}
	for _, date := range logs { // of a day whose key is gone
		if _, err := os.Stat(m.path("remember", date, "key")); errors.Is(err, os.ErrNotExist) {
			os.Remove(m.path("remember", date, "log"))
		}
	}
	dates, err := m.dates("remember", "key")
	if err != nil {
		return err
	}
	for _, date := range dates {
		key, err := readKey(m.path("remember", date, "key"))
		var d *day
		if err == nil {
			d, err = m.openDay(date, key)
		}
		if err != nil {
			m.lose("declarations of %s: %v", date, err)
			m.destroy(m.path("remember", date, "key"))
			os.Remove(m.path("remember", date, "log"))
			continue
		}
		m.days = append(m.days, d)
	}
	return nil
}

// openDay opens the file of a day, which is named by its date, and reads its records.
func (m *Memory) openDay(name string, key []byte) (*day, error) {
	seal := mac(key, "gatepost/remember/seal/1", "")
	block, err := aes.NewCipher(seal[:])
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, err
	}
	f, err := os.OpenFile(m.path("remember", name, "log"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	date, _, copied := strings.Cut(name, ".")
	d := &day{date: date, id: idOf(key), copied: copied, key: key, aead: aead, log: f, by: map[sum]known{}}
	damaged, err := d.load()
	if err != nil {
		f.Close()
		return nil, err
	}
	if damaged > 0 {
		m.lose("declarations of %s: %d damaged records are forgotten", name, damaged)
	}
	return d, nil
}

// load reads the records. A last one that is torn was never acknowledged; the next is written over it. Nor is the end
// of a copy believed: its gate has it still.
func (d *day) load() (damaged int, err error) {
	good := 0
	b := make([]byte, recordSize)
	for d.records < MaxRecords {
		if _, err := io.ReadFull(d.log, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		} else if err != nil {
			return damaged, err
		}
		d.records++
		plain, err := d.aead.Open(nil, b[:nonceSize], b[nonceSize:], nil)
		if err != nil {
			damaged++
			continue
		}
		d.take(plain)
		good = d.records
	}
	if d.copied {
		d.records = good
	}
	return damaged, nil
}

// expire destroys the days whose last declaration has ended and those that are too old by their date; of those that were
// copied one at a time, since many may end together and somebody stands at the gate.
func (m *Memory) expire(now time.Time) {
	m.redate(now)
	today, oldest := m.date(now), m.date(now.Add(-MaxAge))
	copies := 0
	m.days = slices.DeleteFunc(m.days, func(d *day) bool {
		ended := d.date != today && !now.Before(d.last) || d.date < oldest
		if ended && d.copied {
			copies++
		}
		if !ended || d.copied && copies > 1 {
			return false
		}
		m.drop(d)
		return true
	})
}

// redate gives days of the future, which a clock leaves behind that was ahead or has gone back, the newest
// free dates of the last week: they live no longer than any other, and no two of this gate share a date.
func (m *Memory) redate(now time.Time) {
	tomorrow, at := m.date(now.AddDate(0, 0, 1)), now
	for i := len(m.days) - 1; i >= 0 && m.days[i].date > tomorrow; i-- {
		d := m.days[i]
		for !d.copied && slices.ContainsFunc(m.days, func(o *day) bool { return !o.copied && o.date == m.date(at) }) {
			at = at.AddDate(0, 0, -1)
		}
		old := d.name()
		d.date = m.date(at)
		err := os.Rename(m.path("remember", old, "key"), m.path("remember", d.name(), "key"))
		if err = errors.Join(err, os.Rename(m.path("remember", old, "log"), m.path("remember", d.name(), "log")), syncDir(m.dir)); err != nil {
			m.lose("declarations of %s: %v", old, err)
		}
	}
	slices.SortFunc(m.days, func(a, b *day) int { return cmp.Compare(a.date, b.date) })
}

// bound drops the oldest day when there are too many records.
func (m *Memory) bound() {
	if m.records() > MaxRecords {
		m.dropOldest()
	}
}

func (m *Memory) records() (n int) {
	for _, d := range m.days {
		n += d.records
	}
	return n
}

func (m *Memory) dropOldest() {
	d := m.days[0]
	m.lose("declarations of %s: %d records made room for newer ones", d.name(), d.records)
	m.drop(d)
	m.days = m.days[1:]
}

// drop destroys a day: the key first, because the records are nothing without it.
func (m *Memory) drop(d *day) {
	m.destroy(m.path("remember", d.name(), "key"))
	if err := errors.Join(d.close(), os.Remove(m.path("remember", d.name(), "log")), syncDir(m.dir)); err != nil {
		m.lose("declarations of %s: %v", d.name(), err)
	}
}
