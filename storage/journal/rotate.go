package journal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// A spare is the empty file that waits to become the newest one. It is made beside the gate's work, because filling it
// takes an SD card up to a second, and its space is a reserve for a disk that fills up.
type spare struct {
	mu    sync.Mutex // held while it is made or taken
	ready bool
}

// prepare makes the spare in the background. Its errors show when it is needed.
func (j *Journal) prepare() {
	j.ended.Go(func() {
		j.spare.mu.Lock()
		defer j.spare.mu.Unlock()
		j.makeSpare()
	})
}

// makeSpare makes the spare unless it is there. The caller holds spare.mu.
func (j *Journal) makeSpare() error {
	path, size := filepath.Join(j.dir, spareName), j.passSize()+moreSize
	if j.spare.ready {
		return nil
	}
	if used, err := usedBytes(j.dir); err != nil || used+size > j.MaxSize {
		return errors.Join(err, fmt.Errorf("%w: %d bytes of %d are used", ErrFull, used, j.MaxSize))
	}
	// One that an earlier run left is as good if nothing was ever put into it.
	if old := examine(path, true); old.err == nil && old.Device == j.Device && old.Head == (entry.Head{}) && old.size == size {
		j.spare.ready = true
		return nil
	}
	if err := spacious(j.dir, size); err != nil {
		return err
	}
	if err := makeFile(path, size, state{Device: j.Device}); err != nil {
		return room(err)
	}
	j.spare.ready = true
	return nil
}

// spacious returns ErrFull when the disk has no room for size bytes, so that a full disk is not written to in vain.
func spacious(dir string, size int64) error {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return err
	}
	if free := s.Bavail * uint64(s.Bsize); free < uint64(size) {
		return fmt.Errorf("%w: %d bytes are free on the disk", ErrFull, free)
	}
	return nil
}

// usedBytes sums the sizes of a journal's files but the spare.
func usedBytes(dir string) (sum int64, err error) {
	names, err := fileNames(dir)
	for _, name := range names {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			return 0, err
		}
		sum += info.Size()
	}
	return sum, err
}

// makeFile makes a file of size bytes that holds entries, each in its place, and s. The file gets its name when it is
// complete and on the disk, so that a power cut leaves either none or a whole one; when that fails nothing stays.
func makeFile(path string, size int64, s state, entries ...[]byte) (err error) {
	fresh := path + newSuffix
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(fresh) // its space may be needed
		}
	}()
	if err := writeFile(fresh, size, s, entries); err != nil {
		return err
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func writeFile(path string, size int64, s state, entries [][]byte) error {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: time.Second, PageSize: pageSize, NoFreelistSync: true})
	if err != nil {
		return err
	}
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			for _, name := range [][]byte{bodyName, tailName} {
				if _, err := tx.CreateBucket(name); err != nil {
					return err
				}
			}
			t, err := treeOf(tx)
			if err != nil {
				return err
			}
			body, err := t.body()
			if err != nil {
				return err
			}
			for _, raw := range entries {
				e, err := entry.Parse(raw)
				if err != nil {
					return err
				}
				if err := body.Put(key(e.Seq), raw); err != nil {
					return err
				}
			}
			return t.put(&s)
		})
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return err
	}
	return pad(path, size)
}

// pad appends zeros up to size: space that is allocated and was written costs a commit no more than its own bytes.
func pad(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	if missing := size - info.Size(); missing > 0 {
		if _, err := f.Write(make([]byte, missing)); err != nil {
			return err
		}
	}
	return f.Sync()
}

// begin puts a new file behind the newest one, or the first into an empty folder, that holds s and no entries.
func (j *Journal) begin(s state) error {
	j.spare.mu.Lock()
	defer j.spare.mu.Unlock()
	if err := j.makeSpare(); err != nil {
		return err
	}
	from, to := filepath.Join(j.dir, spareName), filepath.Join(j.dir, fileName(s.Start))
	db, file, err := openBolt(from)
	if err != nil {
		return err
	}
	err = guard(func() error {
		return db.Update(func(tx *bbolt.Tx) error {
			t, err := treeOf(tx)
			if err != nil {
				return err
			}
			return t.put(&s)
		})
	})
	if err == nil {
		err = os.Rename(from, to)
	}
	j.spare.ready = false // what is left of it is not trusted either
	if err != nil {
		closeBolt(db, file, errors.Is(err, ErrDamaged))
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if old := j.held.Load(); old != nil {
		j.sealed = append(j.sealed, span{old.Start, old.Head})
	}
	j.detach(false)
	j.used = 0
	j.db, j.file, j.unnamed = db, file, true // the next transaction waits for the name
	j.held.Store(&s)
	return nil
}

// turnOver puts a new file behind the newest one when n more entries do not fit, or when its period is over by a clock
// that is trusted. full says that it must; else a failure only means that the newest file goes on. The caller holds
// writing.
func (j *Journal) turnOver(now entry.Stamp, n int) (full bool, err error) {
	if j.closed {
		return true, ErrClosed
	}
	s := *j.held.Load()
	full = s.count() > 0 && s.count()+n > j.Entries || j.used > j.passSize()
	if !full && (!s.over(now, j.Period) || s.count() == 0) {
		return false, nil
	}
	if err := j.heal(); err != nil {
		return full, err
	}
	old := j.path()
	s = *j.held.Load()
	s.Start, s.Began = s.Head, 0
	if err := j.begin(s); err != nil {
		return full, fmt.Errorf("begin a new file: %w", err)
	}
	trim(old) // if that fails the next start does it
	j.prepare()
	return full, nil
}

// over reports whether the file's period has ended by the time now. A clock that was set back counts, too.
func (s *state) over(now entry.Stamp, period time.Duration) bool {
	return s.Began != 0 && now.Trust >= entry.TrustClock && now.Wall.Sub(time.UnixMilli(s.Began)).Abs() >= period
}
