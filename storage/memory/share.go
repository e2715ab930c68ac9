package memory

import (
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

const (
	maxShare  = 2000          // records of one Share
	maxParts  = 9             // days of one gate: a week, and what clocks differ by
	maxCopies = 15 * maxParts // days of all other gates
	idSize    = 8
)

// Have tells another gate what this one has already.
type Have struct {
	Day   string         // whose tags are made now, as 2006-01-02
	Parts map[string]int // how much of each key's, by the id of the key: records, or 1 for a key of the day
}

// A Share is what one gate tells another: what the Have it answers lacks, or the beginning of that. It holds keys, and is
// for gates of the venue alone.
type Share struct {
	Day  string   `json:"day"`
	Keys [][]byte `json:"keys,omitempty"` // of Day, each with when it was made
	Days []Part   `json:"days,omitempty"`
}

// A Part is records of one day of declarations, as its gate has sealed them.
type Part struct {
	Date    string `json:"date"`
	Key     []byte `json:"key"`
	Until   int64  `json:"until"`   // when the last of the day's records ends, milliseconds since 1970
	From    int    `json:"from"`    // how many records come before
	Records []byte `json:"records"` // one behind the other
}

// idOf names a key without telling it.
func idOf(key []byte) string {
	s := mac(key, "gatepost/name/1", "")
	return hex.EncodeToString(s[:idSize])
}

func isID(s string) bool {
	_, err := hex.DecodeString(s)
	return err == nil && len(s) == 2*idSize
}

// Changed returns a channel that is closed when there is more to share.
func (m *Memory) Changed() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.changed
}

// tell wakes who waits for something to share.
func (m *Memory) tell() {
	close(m.changed)
	m.changed = make(chan struct{})
}

// Have returns what other gates need not tell any more.
func (m *Memory) Have(now time.Time) Have {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	h := Have{Day: m.today.date, Parts: map[string]int{}}
	for _, k := range m.today.all {
		h.Parts[idOf(k)] = 1
	}
	for _, d := range m.days {
		if d.copied {
			h.Parts[d.id] = d.records
		}
	}
	return h
}

// Share returns what h lacks of this gate's own declarations and of the keys of the day. Without news it is empty: it has
// neither keys nor days. While the other gate has another day, it gets no key of this one.
func (m *Memory) Share(h Have, now time.Time) (s Share, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tick(now)
	s.Day = m.today.date
	if m.closed {
		return s, errors.New("share: memory is closed")
	}
	for _, k := range m.today.all {
		if _, has := h.Parts[idOf(k)]; !has && h.Day == s.Day {
			s.Keys = append(s.Keys, slices.Clone(k))
		}
	}
	left := maxShare
	for _, d := range slices.Backward(m.days) { // the newest first: who has no room for old ones must not miss it
		from := h.Parts[d.id]
		n := min(left, d.records-from)
		if d.copied || from < 0 || n <= 0 {
			continue
		}
		p := Part{d.date, slices.Clone(d.key), d.last.UnixMilli(), from, make([]byte, n*recordSize)}
		if _, err := d.log.ReadAt(p.Records, int64(from)*recordSize); err != nil {
			return s, fmt.Errorf("share: %w", err)
		}
		s.Days, left = append(s.Days, p), left-n
	}
	return s, nil
}

// Take takes in what another gate shared, and reports whether any of it was new. The same may come again, and in any
// order. What does not fit is left out, and tells of itself in the error. Nobody waits while the records are flushed.
func (m *Memory) Take(s Share, now time.Time) (news bool, err error) {
	news, written, err := m.take(s, now)
	for _, f := range written {
		if e := f.Sync(); !errors.Is(e, os.ErrClosed) { // closed: the day has ended meanwhile
			err = errors.Join(err, e)
		}
	}
	if err != nil {
		err = fmt.Errorf("take: %w", err)
	}
	return news, err
}

// take holds nobody up for longer than one key or one part takes, each of which may be a few flushes.
func (m *Memory) take(s Share, now time.Time) (news bool, written []*os.File, err error) {
	step := func(f func() (bool, error)) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.tick(now)
		if m.closed {
			err = errors.Join(err, errors.New("memory is closed"))
			return
		}
		took, err2 := f()
		news, err = news || took, errors.Join(err, err2)
	}
	for _, k := range s.Keys {
		step(func() (bool, error) {
			if s.Day != m.today.date {
				return false, nil
			}
			return m.takeKey(k)
		})
	}
	for _, p := range s.Days[:min(len(s.Days), maxParts)] {
		step(func() (bool, error) {
			d, err := m.takePart(p, now)
			if d != nil {
				written = append(written, d.log)
			}
			return d != nil, err
		})
	}
	return news, written, err
}

func (m *Memory) takeKey(key []byte) (news bool, err error) {
	id := idOf(key)
	switch {
	case len(key) != dayKeySize || wiped(key[8:]):
		return false, fmt.Errorf("key of the day of %d bytes, or of zeros", len(key))
	case slices.ContainsFunc(m.today.all, func(k []byte) bool { return idOf(k) == id }):
		return false, nil
	case len(m.today.all) >= maxDayKeys:
		return false, fmt.Errorf("more than %d keys of one day", maxDayKeys)
	}
	m.addDayKey(slices.Clone(key))
	return true, nil
}

// takePart returns the day that got new records, if one did.
func (m *Memory) takePart(p Part, now time.Time) (d *day, err error) {
	if len(p.Key) != keySize || wiped(p.Key) || p.From < 0 || len(p.Records)%recordSize != 0 || len(p.Records) > maxShare*recordSize {
		return nil, errors.New("declarations of a form that is not known here")
	}
	have := 0
	if d = m.dayOfKey(p.Key); d != nil {
		have = d.records
	}
	skip := have - p.From
	n := len(p.Records)/recordSize - skip
	if skip < 0 || n <= 0 || d != nil && !d.copied { // a gap before it, nothing new, or our own from who copied it
		return nil, nil
	}
	until := time.UnixMilli(p.Until)
	if d == nil && !m.wanted(p.Date, until, now) || !m.roomFor(n, p.Date) {
		return nil, nil
	}
	if d == nil && m.copies() >= maxCopies {
		return nil, errors.New("more days than the gates of a venue have")
	}
	if d == nil {
		d, err = m.beginCopy(p.Date, p.Key)
	} else {
		d = m.dayOfKey(p.Key) // unless it made room itself
	}
	if d == nil || err != nil {
		return nil, err
	}
	if until.After(d.last) {
		d.last = until
	}
	return d, d.copyIn(p.Records[skip*recordSize:])
}

func (m *Memory) copies() (n int) {
	for _, d := range m.days {
		if d.copied {
			n++
		}
	}
	return n
}

// dayOfKey returns the day that has this key, or nil.
func (m *Memory) dayOfKey(key []byte) *day {
	id := idOf(key)
	i := slices.IndexFunc(m.days, func(d *day) bool { return d.id == id })
	if i < 0 {
		return nil
	}
	return m.days[i]
}

// wanted reports whether declarations of a day may still stand.
func (m *Memory) wanted(date string, until, now time.Time) bool {
	_, err := time.Parse(isoDay, date)
	oldest, today, tomorrow := m.date(now.Add(-MaxAge)), m.date(now), m.date(now.AddDate(0, 0, 1))
	return err == nil && date >= oldest && date <= tomorrow && (date == today || now.Before(until))
}

// roomFor makes room for so many records by dropping older days than theirs, and reports whether there is enough.
func (m *Memory) roomFor(n int, date string) bool {
	for m.records()+n > MaxRecords {
		if m.days[0].date >= date {
			return false
		}
		m.dropOldest()
	}
	return true
}

// beginCopy begins a day of another gate.
func (m *Memory) beginCopy(date string, key []byte) (*day, error) {
	key = slices.Clone(key)
	name := date + "." + idOf(key)
	path := m.path("remember", name, "key")
	err := m.writeKey(path, key)
	var d *day
	if err == nil {
		d, err = m.openDay(name, key)
	}
	if err != nil {
		m.destroy(path)
		return nil, err
	}
	m.addDay(d)
	return d, syncDir(m.dir)
}

// copyIn appends records of the day's gate as they are, so that they keep their places; one that is damaged there is
// damaged here.
func (d *day) copyIn(sealed []byte) error {
	if _, err := d.log.WriteAt(sealed, int64(d.records)*recordSize); err != nil {
		return err
	}
	for b := range slices.Chunk(sealed, recordSize) {
		d.records++
		if plain, err := d.aead.Open(nil, b[:nonceSize], b[nonceSize:], nil); err == nil {
			d.take(plain)
		}
	}
	return nil
}
