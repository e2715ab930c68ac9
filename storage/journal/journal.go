// Package journal keeps a kiosk's entries in a folder of small bbolt files, one a period.
//
// An entry is kept when Append has returned it: its bytes and the pages that lead to them are on the disk by then (two
// fdatasyncs). An error from Append means that the entry is not kept and will not be sent, and that the journal tries
// again with the next one. One exception cannot be avoided: when the disk fails in the very last step and the power
// goes before the next write, the entry may be found at the next start although its caller was told that it failed.
//
// Only the newest file is ever written. Its space was filled with zeros before, so that a commit allocates nothing; when
// it is full, or its period is over, it is sealed and from then on only read, until all of it is receipted and old
// enough to be deleted whole. So the cost of an entry, the memory and what a damaged page can harm do not grow with the
// history.
//
// The pages of bbolt carry no checksum, so Open reads the newest file before it lets bbolt near it, with a page reader
// of this package that checks every number (page.go), and sealed files are read by that alone. The chain of hashes says
// what is whole. A file in which something is wrong is set aside, never deleted; the entries that the chain vouches for
// are carried over, and a gap stands for the others (repair.go).
//
// The package does not promise that a disk tells the truth about its flushes, does not hide an entry from who holds the
// disk (see entry.Seal), and does not notice that the whole folder was put back from an older copy; the hub does, by
// comparing heads.
package journal

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"gatepost/storage/entry"

	"go.etcd.io/bbolt"
)

// What a caller may branch on. Every error is wrapped.
var (
	ErrFull    = errors.New("journal is full")           // the disk or MaxSize; it works again when there is room
	ErrDamaged = errors.New("journal is damaged")        // a file is not what this package wrote
	ErrLocked  = errors.New("journal is in use")         // by another process
	ErrDevice  = errors.New("journal of another device") // a card that was moved
	ErrFork    = errors.New("not on this chain")         // a receipt that this chain never earned
	ErrPruned  = errors.New("entry is deleted")          // asked for an entry before First
	ErrGap     = errors.New("entry is lost")             // a gap stands for it
	ErrAhead   = errors.New("entry has not come yet")    // asked for one behind Head
	ErrClosed  = errors.New("journal is closed")
)

// Format numbers what this package writes, and the newest that it reads: an update that an older system could not go back from
// has a higher one.
const Format = 1

// maxEntries bounds the entries of a file: what two levels of bbolt's tree nearly hold.
const maxEntries = 4096

// Options say whose journal it is and how large it may become.
type Options struct {
	Device  string        // id of the device that owns the journal
	Entries int           // of one file, 0 = 4096, which is also the most
	Period  time.Duration // of one file, by a clock that is trusted, 0 = 24 h
	MaxSize int64         // bytes of all files, 0 = 1 GiB
	Lock    time.Duration // how long to wait for the folder's lock, 0 = 1 s
}

// A Journal is safe for concurrent use.
type Journal struct {
	Options
	dir     string
	locked  *os.File // holds the folder's lock
	queue   queue
	changed chan struct{}
	ended   sync.WaitGroup        // the making of spares
	held    atomic.Pointer[state] // what was last committed
	spare   spare

	writing sync.Mutex // one transaction at a time; guards the five below
	health  health
	used    int64 // bytes of the newest file that have been in use
	unnamed bool  // the newest file's name may not be durable
	closed  bool
	repairs []Repair

	mu     sync.RWMutex // guards the three below; readers hold it for reading
	db     *bbolt.DB    // of the newest file; nil when it could not be opened again
	file   *os.File     // of db
	sealed []span       // the older files, oldest first
}

// A span is what a sealed file holds: the entries behind start up to head. Between two neighbours nothing is missing.
type span struct{ start, head entry.Head }

// Open opens the journal in the folder dir, or begins one, and counts a new boot. What it finds damaged it repairs;
// Repairs tells. It reads the whole of the newest file and the ends of the others; Scrub reads the rest.
func Open(dir string, o Options) (*Journal, error) {
	if o.Entries <= 0 || o.Entries > maxEntries {
		o.Entries = maxEntries
	}
	o.Period = or(o.Period, 24*time.Hour)
	o.MaxSize = or(o.MaxSize, 1<<30)
	o.Lock = or(o.Lock, time.Second)
	j := &Journal{Options: o, dir: dir, queue: queue{turn: make(chan struct{}, 1)}, changed: make(chan struct{}, 1)}
	if err := j.open(); err != nil {
		j.release()
		return nil, fmt.Errorf("open journal: %w", err)
	}
	j.prepare()
	return j, nil
}

func or[T int64 | time.Duration](v, other T) T {
	if v > 0 {
		return v
	}
	return other
}

func (j *Journal) open() error {
	if err := makeDir(j.dir); err != nil {
		return err
	}
	var err error
	if j.locked, err = lockDir(j.dir, true, j.Lock); err != nil {
		return err
	}
	f := &folder{}
	if err := f.survey(j.dir, j.Device, false); err != nil {
		return err
	}
	if len(f.found) == 0 {
		err = j.begin(state{Device: j.Device})
	} else if j.repairs, err = f.repair(j.dir, j.Device); err == nil {
		err = j.goOn(f)
	}
	if err != nil {
		return err
	}
	return j.update(adopt, func(_ tree, s *state) error { s.Boot++; return nil })
}

// goOn takes over the files that were surveyed and, where need be, repaired.
func (j *Journal) goOn(f *folder) error {
	newest := f.found[len(f.found)-1]
	j.held.Store(&newest.state)
	for _, old := range f.found[:len(f.found)-1] {
		if err := trim(filepath.Join(j.dir, old.name)); err != nil {
			return err
		}
		j.sealed = append(j.sealed, old.span())
	}
	for _, name := range f.purged {
		if err := os.Remove(filepath.Join(j.dir, name)); err != nil {
			return err
		}
	}
	return j.attach()
}

// release lets go of every file.
func (j *Journal) release() {
	j.detach(false)
	if j.locked != nil {
		j.locked.Close()
	}
}

// Close lets go of the folder. A transaction that is running ends first, and who waits for one gets ErrClosed.
func (j *Journal) Close() error {
	j.writing.Lock()
	defer j.writing.Unlock()
	j.ended.Wait()
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.closed {
		j.closed = true
		j.release()
	}
	return nil
}

// path is where the newest file lies.
func (j *Journal) path() string { return filepath.Join(j.dir, fileName(j.held.Load().Start)) }

// Boot returns the number of this run, from 1.
func (j *Journal) Boot() uint32 { return j.held.Load().Boot }

// Head returns the end of the chain.
func (j *Journal) Head() entry.Head { return j.held.Load().Head }

// First returns the sequence of the first entry that is still here, or that will come when there is none.
func (j *Journal) First() uint64 { return j.held.Load().Before.Seq + 1 }

// Changed receives after entries were appended; several may share one signal. It serves one listener.
func (j *Journal) Changed() <-chan struct{} { return j.changed }
