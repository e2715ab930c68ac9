// Package journal keeps a kiosk's entries in one bbolt file, DIR/journal.db.
//
// An entry is kept when Append has returned it: its bytes and the page that leads to them are on the
// disk by then (two fdatasyncs). An error from Append means that the entry is not kept and will not
// be sent, and that the journal tries again with the next one. One exception cannot be avoided: when the
// disk fails in the very last step and the power goes before the next write, the entry may be found at
// the next start although its caller was told that it failed.
//
// The pages of bbolt carry no checksum, so Open reads the whole file before it lets bbolt near it: every
// page that is in use, every link of the chain, and the list of free pages, in which a wrong number
// would let the next write destroy good entries. What is wrong is ErrDamaged, never a crash.
//
// The package does not promise that a disk tells the truth about its flushes, does not hide an entry from
// who holds the disk (see entry.Seal), and does not notice that a whole older file was put in its place;
// the hub does, by comparing heads.
package journal

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// What a caller may branch on. Every error is wrapped.
var (
	ErrFull    = errors.New("journal is full")           // the disk or MaxSize; it works again when there is room
	ErrDamaged = errors.New("journal is damaged")        // the file is not what this package wrote
	ErrLocked  = errors.New("journal is in use")         // by another process
	ErrDevice  = errors.New("journal of another device") // a card that was moved
	ErrFork    = errors.New("not on this chain")         // a receipt that this chain never earned
	ErrPruned  = errors.New("entry is deleted")          // asked for an entry before First
	ErrClosed  = errors.New("journal is closed")
)

const (
	fileName    = "journal.db"
	pageSize    = 4096    // the same on every board, so that a card can be read on any of them
	defaultSize = 1 << 30 // of the file
	reserve     = 1 << 20 // beyond MaxSize, for receipts and deletions: a full journal must be able to shrink
	growth      = 1 << 20 // the file grows by this much
)

// Options say whose journal it is and how large it may become.
type Options struct {
	Device  string        // id of the device that owns the journal
	MaxSize int           // bytes of the file, 0 = 1 GiB
	Lock    time.Duration // how long to wait for the file's lock, 0 = 1 s
}

// A Journal is safe for concurrent use.
type Journal struct {
	path    string
	max     int
	queue   chan *pending // Append → writer
	changed chan struct{}
	quit    chan struct{} // closed by Close
	done    chan struct{} // closed when the writer has ended
	closing sync.Once
	held    atomic.Pointer[state] // what was last committed
	doubt   string

	writing sync.Mutex // one transaction at a time; guards the two below
	health  health
	closed  bool

	mu   sync.RWMutex // guards the two below; readers hold it for reading
	db   *bbolt.DB    // nil when it could not be opened again
	file *os.File     // of db
}

// health says what must be done about the file before the next transaction.
type health uint8

const (
	sound  health = iota
	adopt         // a commit failed; if it reached the disk after all, take it over
	revoke        // a commit failed; if it reached the disk after all, its entries must go again
	broken        // bbolt panicked, or the file is not as it was left
)

// Open opens the journal in dir, or begins one, and counts a new boot.
// It reads the whole file, which takes a tenth of a second for 100,000 entries on a PC.
func Open(dir string, o Options) (*Journal, error) {
	if o.MaxSize == 0 {
		o.MaxSize = defaultSize
	}
	if o.Lock == 0 {
		o.Lock = time.Second
	}
	j := &Journal{
		path: filepath.Join(dir, fileName), max: o.MaxSize,
		queue: make(chan *pending), changed: make(chan struct{}, 1),
		quit: make(chan struct{}), done: make(chan struct{}),
	}
	if err := j.open(dir, o); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	go j.write()
	return j, nil
}

func (j *Journal) open(dir string, o Options) error {
	if err := create(dir, o.Device); err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err := lock(f, syscall.LOCK_EX, o.Lock); err != nil {
		f.Close()
		return err
	}
	found, err := inspect(f, 0)
	if err == nil && found.Device != o.Device {
		err = fmt.Errorf("%w: %q", ErrDevice, found.Device)
	}
	if err != nil {
		f.Close()
		return err
	}
	j.doubt = found.doubt
	j.held.Store(&found.state)
	if err := j.attach(f); err != nil {
		return err
	}
	err = j.update(adopt, func(_ *bbolt.Bucket, s *state) error { s.Boot++; return nil })
	if err != nil {
		j.detach(false)
	}
	return err
}

// attach gives the locked file f to bbolt. It closes f when it fails.
func (j *Journal) attach(f *os.File) error {
	err := guard(func() (err error) {
		j.db, err = bbolt.Open(j.path, 0o600, &bbolt.Options{
			Timeout: time.Second, PageSize: pageSize, FreelistType: bbolt.FreelistMapType, NoStatistics: true,
			OpenFile: func(string, int, os.FileMode) (*os.File, error) { return f, nil },
		})
		return err
	})
	if err != nil {
		j.db = nil
		f.Close()
		return err
	}
	j.db.AllocSize = growth
	j.file = f
	return nil
}

// detach lets go of the file. After a panic inside bbolt its locks may be held for ever, so that its own
// Close would hang: then only the file is closed, which frees the file's lock, and the mapping is lost.
func (j *Journal) detach(panicked bool) {
	switch {
	case j.db == nil:
	case panicked:
		j.file.Close()
	default:
		j.db.Close()
	}
	j.db, j.file = nil, nil
}

// Close ends the writer and lets go of the file. An Append that is running returns first.
func (j *Journal) Close() error {
	j.closing.Do(func() { close(j.quit) })
	<-j.done
	j.writing.Lock()
	defer j.writing.Unlock()
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	j.detach(false)
	return nil
}

// update runs fn in one transaction and returns when it is durable. fn gets a copy of the held state
// to change. When update fails, nothing has happened; onFail says how the next transaction makes sure.
// Only the adding of entries, which is revoked on failure, stops at the journal's size.
func (j *Journal) update(onFail health, fn func(b *bbolt.Bucket, s *state) error) error {
	j.writing.Lock()
	defer j.writing.Unlock()
	if j.closed {
		return ErrClosed
	}
	if err := j.heal(); err != nil {
		return fmt.Errorf("recover from a failed write: %w", err)
	}
	j.db.MaxSize = j.max
	if onFail != revoke {
		j.db.MaxSize += reserve
	}
	held, next := j.held.Load(), *j.held.Load()
	err := guard(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketName)
			if b == nil || !bytes.Equal(b.Get(stateKey), held.pack()) {
				return fmt.Errorf("%w: another hand has written to it", ErrDamaged)
			}
			if err := fn(b, &next); err != nil {
				return err
			}
			j.health = onFail // until the commit is through
			return b.Put(stateKey, next.pack())
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

// heal opens the file anew after a failed commit. An fdatasync that failed leaves pages that look
// written and are not: a meta page in that state would lead bbolt to overwrite pages which the disk still
// needs. So both meta pages are written and synced once more before anything else. Until that works the
// journal can still be read.
func (j *Journal) heal() error {
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
	f, err := os.OpenFile(j.path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	if err = lock(f, syscall.LOCK_EX, time.Second); err == nil {
		err = settle(f)
	}
	if err == nil && j.health == broken {
		_, err = inspect(f, 0)
	}
	if err != nil {
		f.Close()
		return err
	}
	if err := j.attach(f); err != nil {
		return err
	}
	if err := j.reconcile(); err != nil {
		j.detach(errors.Is(err, ErrDamaged))
		return err
	}
	j.health = sound
	return nil
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
	var found state
	held := j.held.Load()
	return guard(func() error {
		return j.db.Update(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketName)
			if b == nil {
				return fmt.Errorf("%w: no bucket", ErrDamaged)
			}
			raw := b.Get(stateKey)
			if err := found.unpack(raw); err != nil {
				return err
			}
			if bytes.Equal(raw, held.pack()) {
				return nil
			}
			switch j.health {
			case broken:
				return fmt.Errorf("%w: it is not as it was left", ErrDamaged)
			case adopt:
				j.held.Store(&found)
				return nil
			}
			for seq := held.Head.Seq + 1; seq <= found.Head.Seq; seq++ {
				if err := b.Delete(key(seq)); err != nil {
					return err
				}
			}
			return b.Put(stateKey, held.pack())
		})
	})
}

// view runs fn in a read transaction.
func (j *Journal) view(fn func(b *bbolt.Bucket) error) error {
	j.mu.RLock()
	defer j.mu.RUnlock()
	if j.db == nil {
		return ErrClosed // or broken; the next write says which
	}
	return guard(func() error {
		return j.db.View(func(tx *bbolt.Tx) error {
			b := tx.Bucket(bucketName)
			if b == nil {
				return fmt.Errorf("%w: no bucket", ErrDamaged)
			}
			return fn(b)
		})
	})
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
	for _, e := range []error{syscall.ENOSPC, syscall.EDQUOT, syscall.EFBIG, syscall.ENOMEM, berrors.ErrMaxSizeReached} {
		if errors.Is(err, e) || strings.Contains(err.Error(), e.Error()) {
			return fmt.Errorf("%w: %w", ErrFull, err)
		}
	}
	return err
}

// Boot returns the number of this run, from 1.
func (j *Journal) Boot() uint32 { return j.held.Load().Boot }

// Head returns the end of the chain.
func (j *Journal) Head() entry.Head { return j.held.Load().Head }

// First returns the sequence of the first entry that is still here, or that will come when there is none.
func (j *Journal) First() uint64 { return j.held.Load().Before.Seq + 1 }

// Doubt says why entries that were acknowledged before this start may be missing at the end of the chain;
// it is empty when there is no reason to think so. Such a loss shows when the hub compares heads.
func (j *Journal) Doubt() string { return j.doubt }

// Changed receives after entries were appended; several may share one signal. It serves one listener.
func (j *Journal) Changed() <-chan struct{} { return j.changed }
