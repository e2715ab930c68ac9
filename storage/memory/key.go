package memory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

const (
	// maxDayKeys bounds the keys of one day: as many gates as a venue can have.
	maxDayKeys = 16

	dayKeySize = 8 + keySize // when it was made, milliseconds since 1970; and the key
)

// dayKeys are what makes the tags of one day: the key of this gate and those that other gates of the venue made. Tags are
// written under the one that was made first, so that gates that can see each other write the same; whoever is looked for
// is looked for under all of them.
type dayKeys struct {
	date string   // at the venue
	all  [][]byte // of dayKeySize, as they stand in the file
}

// first returns the key under which tags are written.
func (k dayKeys) first() []byte { return slices.MinFunc(k.all, bytes.Compare) }

func (k dayKeys) tag(person string) sum { return tagUnder(k.first(), person) }

// tags returns the person's tags under every key.
func (k dayKeys) tags(person string) (tags []sum) {
	for _, key := range k.all {
		tags = append(tags, tagUnder(key, person))
	}
	return tags
}

func tagUnder(key []byte, person string) sum { return mac(key[8:], "gatepost/tag/1", person) }

func (k dayKeys) clear() {
	for _, key := range k.all {
		clear(key)
	}
}

// turnDay sees to it that there is a key of the day of now, and reports whether that is a new one.
//
// A clock that steps back over midnight finds the keys of tomorrow and goes on with them. Where it steps
// back by more than a day, they get the earlier date, or they would outlive their day by the whole step.
func (m *Memory) turnDay(now time.Time) bool {
	date := m.date(now)
	switch {
	case m.today.date == date || m.today.date == m.date(now.AddDate(0, 0, 1)):
		return false
	case m.today.date > date:
		old := m.path("day", m.today.date, "key")
		m.today.date = date
		if err := os.Rename(old, m.path("day", date, "key")); err != nil {
			m.lose("key of the day: %v", err)
		}
		return false
	}
	if m.today.date != "" {
		m.destroy(m.path("day", m.today.date, "key"))
		m.today.clear()
	}
	m.yesterday, m.today = m.today.date, dayKeys{date: date}
	key := binary.BigEndian.AppendUint64(nil, uint64(now.UnixMilli()))
	key = append(key, make([]byte, keySize)...)
	if _, err := io.ReadFull(m.rand, key[8:]); err != nil {
		m.lose("no randomness for the key of %s: %v", date, err)
	}
	m.addDayKey(key)
	return true
}

// addDayKey takes in a key of today, and keeps it in the day's file.
func (m *Memory) addDayKey(key []byte) {
	m.today.all = append(m.today.all, key)
	m.tell()
	if err := m.writeKey(m.path("day", m.today.date, "key"), slices.Concat(m.today.all...)); err != nil {
		m.lose("key of %s will not survive a restart: %v", m.today.date, err)
	}
}

// loadToday reads the newest keys of a day and destroys any others.
func (m *Memory) loadToday() (k dayKeys, err error) {
	dates, err := m.dates("day", "key")
	if err != nil || len(dates) == 0 {
		return k, err
	}
	newest := len(dates) - 1
	for _, d := range dates[:newest] {
		m.destroy(m.path("day", d, "key"))
	}
	path := m.path("day", dates[newest], "key")
	raw, err := os.ReadFile(path)
	if err == nil && (len(raw) < dayKeySize || len(raw) > maxDayKeys*dayKeySize) {
		err = fmt.Errorf("%d bytes are not from 1 to %d keys", len(raw), maxDayKeys)
	}
	if err != nil {
		m.lose("key of %s: %v", dates[newest], err)
		m.destroy(path)
		return dayKeys{}, nil
	}
	k.date = dates[newest]
	for key := range slices.Chunk(raw, dayKeySize) {
		if len(key) == dayKeySize && !wiped(key[8:]) { // else it is torn, and the next is written over it
			k.all = append(k.all, key)
		}
	}
	if len(k.all) == 0 {
		m.lose("key of %s: it was overwritten", k.date)
		m.destroy(path)
		return dayKeys{}, nil
	}
	return k, nil
}

// path names a file by what it is for, its date and its kind.
func (m *Memory) path(use, date, kind string) string {
	return filepath.Join(m.dir, use+"-"+date+"."+kind)
}

// dates lists the dates of which there are such files, oldest first. Behind the date of what another gate told stands a
// dot and what names it.
func (m *Memory) dates(use, kind string) (dates []string, err error) {
	names, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		name, ok := strings.CutPrefix(n.Name(), use+"-")
		name, ok2 := strings.CutSuffix(name, "."+kind)
		date, id, copied := strings.Cut(name, ".")
		if _, err := time.Parse(isoDay, date); ok && ok2 && err == nil && copied == isID(id) {
			dates = append(dates, name)
		}
	}
	slices.Sort(dates)
	return dates, nil
}

// newKey makes a random key and keeps it in a file of its own.
func (m *Memory) newKey(path string) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(m.rand, key); err != nil {
		return nil, fmt.Errorf("no randomness: %w", err)
	}
	return key, m.writeKey(path, key)
}

// wiped tells whether a key is all zeros, as destroy leaves it: what is made under it is everybody's to compute.
func wiped(key []byte) bool { return len(bytes.Trim(key, "\x00")) == 0 }

// writeKey puts keys into a file, durably.
func (m *Memory) writeKey(path string, keys []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(keys)
	return errors.Join(err, f.Sync(), f.Close(), syncDir(m.dir))
}

func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%d bytes instead of %d", len(key), keySize)
	} else if err == nil && wiped(key) {
		err = errors.New("it was overwritten")
	}
	return key, err
}

// destroy overwrites a file of keys and removes it. What fails is tried again at the next start, and a
// file that was overwritten is worth nothing even if it stays.
func (m *Memory) destroy(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		info, err2 := f.Stat()
		if err = err2; err == nil {
			_, err = f.Write(make([]byte, min(info.Size(), maxDayKeys*dayKeySize)))
		}
		err = errors.Join(err, f.Sync(), f.Close())
	}
	if err := errors.Join(err, os.Remove(path), syncDir(m.dir)); err != nil {
		m.lose("key could not be destroyed: %v", err)
	}
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
