package memory

import (
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

// A dayKey makes the tags of one day.
type dayKey struct {
	date string // at the venue
	key  []byte
}

func (k dayKey) tag(person string) [tagSize]byte { return mac(k.key, "gatepost/tag/1", person) }

// turnDay sees to it that the key is of the day of now, and reports whether it is a new one.
//
// A clock that steps back over midnight finds the key of tomorrow and goes on with it. Where it steps
// back by more than a day, the key gets the earlier date, or it would outlive its day by the whole step.
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
		clear(m.today.key)
	}
	key, err := m.newKey(m.path("day", date, "key"))
	if err != nil {
		m.lose("key of %s will not survive a restart: %v", date, err)
	}
	m.today = dayKey{date, key}
	return true
}

// loadToday reads the newest key of a day and destroys any other.
func (m *Memory) loadToday() (k dayKey, err error) {
	dates, err := m.dates("day", "key")
	if err != nil || len(dates) == 0 {
		return k, err
	}
	newest := len(dates) - 1
	for _, d := range dates[:newest] {
		m.destroy(m.path("day", d, "key"))
	}
	k.date = dates[newest]
	k.key, err = readKey(m.path("day", k.date, "key"))
	if err != nil {
		m.lose("key of %s: %v", k.date, err)
		m.destroy(m.path("day", k.date, "key"))
		return dayKey{}, nil
	}
	return k, nil
}

// path names a file by what it is for, its date and its kind.
func (m *Memory) path(use, date, kind string) string {
	return filepath.Join(m.dir, use+"-"+date+"."+kind)
}

// dates lists the dates of which there are such files, oldest first.
func (m *Memory) dates(use, kind string) (dates []string, err error) {
	names, err := os.ReadDir(m.dir)
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		date, ok := strings.CutPrefix(n.Name(), use+"-")
		if date, ok2 := strings.CutSuffix(date, "."+kind); ok && ok2 {
			if _, err := time.Parse(isoDay, date); err == nil {
				dates = append(dates, date)
			}
		}
	}
	slices.Sort(dates)
	return dates, nil
}

// newKey makes a random key and keeps it in a file of its own. With an error the key is still good, but
// only in this process.
func (m *Memory) newKey(path string) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(m.rand, key); err != nil {
		return key, fmt.Errorf("no randomness: %w", err)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return key, err
	}
	_, err = f.Write(key)
	return key, errors.Join(err, f.Sync(), f.Close(), syncDir(m.dir))
}

func readKey(path string) ([]byte, error) {
	key, err := os.ReadFile(path)
	if err == nil && len(key) != keySize {
		err = fmt.Errorf("%d bytes instead of %d", len(key), keySize)
	}
	return key, err
}

// destroy overwrites a key's file and removes it. What fails is tried again at the next start, and a
// file that was overwritten is worth nothing even if it stays.
func (m *Memory) destroy(path string) {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return
	}
	if err == nil {
		_, err = f.Write(make([]byte, keySize))
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
