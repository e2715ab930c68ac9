package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// openBolt gives a file to bbolt, which must have been read before.
func openBolt(path string) (db *bbolt.DB, file *os.File, err error) {
	err = guard(func() error {
		db, err = bbolt.Open(path, 0o600, &bbolt.Options{
			Timeout: time.Second, PageSize: pageSize, FreelistType: bbolt.FreelistMapType, NoFreelistSync: true, NoStatistics: true,
			MaxSize: fileSize,
			OpenFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
				file, err = os.OpenFile(name, flag, mode)
				return file, err
			},
		})
		return err
	})
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, nil, err
	}
	return db, file, nil
}

// attach takes the newest file.
func (j *Journal) attach() (err error) {
	j.db, j.file, err = openBolt(j.path())
	return err
}

// detach lets go of the newest file. The caller holds mu, or is Open.
func (j *Journal) detach(panicked bool) {
	if j.db != nil {
		closeBolt(j.db, j.file, panicked)
	}
	j.db, j.file = nil, nil
}

// closeBolt closes a file. After a panic inside bbolt its own locks may be held for ever, so that its Close would
// hang: then only the file is closed and its lock given back; the mapping, which would keep that, is lost.
func closeBolt(db *bbolt.DB, file *os.File, panicked bool) {
	if panicked {
		syscall.Flock(int(file.Fd()), syscall.LOCK_UN)
		file.Close()
	} else {
		db.Close()
	}
}

// health says what must be done about the newest file before the next transaction.
type health uint8

const (
	sound  health = iota
	adopt         // a commit failed; if it reached the disk after all, take it over
	revoke        // a commit failed; if it reached the disk after all, its entries must go again
	broken        // bbolt panicked, or the file is not as it was left
)

// update runs fn in one transaction and returns when it is durable. fn gets a copy of the held state
// to change. When update fails, nothing has happened; onFail says how the next transaction makes sure.
// The caller holds writing, or is Open.
func (j *Journal) update(onFail health, fn func(t tree, s *state) error) error {
	if j.closed {
		return ErrClosed
	}
	if err := j.heal(); err != nil {
		return fmt.Errorf("recover from a failed write: %w", err)
	}
	held, next := j.held.Load(), *j.held.Load()
	err := guard(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error {
			t, err := treeOf(tx)
			if err != nil {
				return err
			}
			if !bytes.Equal(t.tail.Get(stateKey), held.packed) {
				return fmt.Errorf("%w: another hand has written to it", ErrDamaged)
			}
			if err := fn(t, &next); err != nil {
				return err
			}
			j.health, j.used = onFail, tx.Size() // until the commit is through
			return t.put(&next)
		})
	})
	if err == nil {
		j.health = sound
		j.held.Store(&next)
		return nil
	}
	if errors.Is(err, ErrDamaged) {
		j.health = broken
		j.mu.Lock()
		j.detach(true)
		j.mu.Unlock()
	}
	return room(err)
}

// heal makes sure of the newest file's name, and opens the file anew after a failed commit. An fdatasync that failed
// leaves pages that look written and are not: a meta page in that state would lead bbolt to overwrite pages which the
// disk still needs. So both meta pages are written and synced once more before anything else. Until that works the
// journal can still be read.
func (j *Journal) heal() error {
	if j.unnamed {
		if err := syncDir(j.dir); err != nil {
			return err
		}
		j.unnamed = false
	}
	if j.health == sound {
		return nil
	}
	if j.db != nil {
		if err := settle(j.file); err != nil {
			return room(err)
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.detach(false)
	if err := j.settled(); err != nil {
		return room(err)
	}
	if err := j.attach(); err != nil {
		return err
	}
	if err := j.reconcile(); err != nil {
		j.detach(errors.Is(err, ErrDamaged))
		return err
	}
	j.health = sound
	return nil
}

// settled settles the newest file and, when it was broken, reads it and repairs what is damaged.
func (j *Journal) settled() error {
	f, err := os.OpenFile(j.path(), os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = errors.Join(settle(f), f.Close()); err != nil || j.health != broken {
		return err
	}
	found := examine(j.path(), true)
	if errors.Is(found.err, ErrDamaged) {
		return j.repairNewest(found)
	}
	return found.err
}

// settle writes both meta pages again and syncs them.
func settle(f *os.File) error {
	var meta [2 * pageSize]byte
	if _, err := f.ReadAt(meta[:], 0); err != nil {
		return err
	}
	if _, err := f.WriteAt(meta[:], 0); err != nil {
		return err
	}
	return syscall.Fdatasync(int(f.Fd()))
}

// reconcile compares the file with what is held after a failed commit. If the commit reached the disk
// after all, its entries go again, because their callers were told that they are not kept; a receipt or a
// deletion is taken over.
func (j *Journal) reconcile() error {
	next := *j.held.Load()
	err := guard(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error {
			t, err := treeOf(tx)
			if err != nil {
				return err
			}
			found, err := t.state()
			switch {
			case err != nil:
				return err
			case found.Tx == next.Tx: // it did not
			case j.health == broken:
				return fmt.Errorf("%w: it is not as it was left", ErrDamaged)
			case j.health == adopt:
				next = found
			default:
				if err := t.cut(next.Head.Seq); err != nil {
					return err
				}
			}
			return t.put(&next)
		})
	})
	if err == nil {
		j.held.Store(&next)
	}
	return err
}

// cut deletes the entries behind seq.
func (t tree) cut(seq uint64) error {
	body, err := t.body()
	if err != nil {
		return err
	}
	for _, b := range []*bbolt.Bucket{body, t.tail} {
		var behind [][]byte
		for k := range pairs(b.Cursor(), key(seq+1)) {
			behind = append(behind, bytes.Clone(k))
		}
		for _, k := range behind {
			if err := b.Delete(k); err != nil {
				return err
			}
		}
	}
	return nil
}

// guard turns a panic of bbolt, and a fault on a mapped page, into ErrDamaged.
func guard(fn func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, r)
		}
	}()
	return fn()
}

// room marks the errors that mean "no room" with ErrFull. Where bbolt grows its file it keeps only the
// text of the system's error, so the text is looked at too.
func room(err error) error {
	if err == nil {
		return nil
	}
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.ENOMEM, berrors.ErrMaxSizeReached} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}
