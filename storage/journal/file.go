package journal

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
)

// One bucket holds the entries by their sequence (8 bytes, big-endian) and, behind them all, the state:
// the newest entries and the state share a page, so a commit writes as few pages as it can.
var (
	bucketName = []byte("journal")
	stateKey   = []byte("state of 1")
)

// A state is what the journal knows besides its entries. It is written with every commit.
type state struct {
	Device    string         `cbor:"1,keyasint"`
	Boot      uint32         `cbor:"2,keyasint"`
	Before    entry.Head     `cbor:"3,keyasint"` // the head before the first entry that is still here
	Head      entry.Head     `cbor:"4,keyasint"`
	Receipted uint64         `cbor:"5,keyasint"` // what the hub is known to hold
	Receipt   *entry.Receipt `cbor:"6,keyasint,omitempty"`
}

// pack returns the SHA-256 of the state's CBOR, then the CBOR.
func (s *state) pack() []byte {
	b, err := cbor.Marshal(s)
	if err != nil {
		panic(err) // no value of these types fails
	}
	sum := sha256.Sum256(b)
	return append(sum[:], b...)
}

func (s *state) unpack(raw []byte) error {
	if len(raw) < sha256.Size {
		return fmt.Errorf("%w: no state", ErrDamaged)
	}
	if sum := sha256.Sum256(raw[sha256.Size:]); string(sum[:]) != string(raw[:sha256.Size]) {
		return fmt.Errorf("%w: state does not fit its checksum", ErrDamaged)
	}
	if err := cbor.Unmarshal(raw[sha256.Size:], s); err != nil {
		return fmt.Errorf("%w: state: %w", ErrDamaged, err)
	}
	return nil
}

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// create makes a journal with no entries in dir unless there is one. The file gets its name when it is
// complete, so that a power cut leaves either none or a whole one.
func create(dir, device string) error {
	path := filepath.Join(dir, fileName)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if err := syncDir(filepath.Dir(dir)); err != nil {
		return err
	}
	fresh := path + ".new"
	if err := os.Remove(fresh); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	db, err := bbolt.Open(fresh, 0o600, &bbolt.Options{Timeout: time.Second, PageSize: pageSize})
	if err != nil {
		return room(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket(bucketName)
		if err != nil {
			return err
		}
		return b.Put(stateKey, (&state{Device: device}).pack())
	})
	if err = errors.Join(err, db.Close()); err != nil {
		return room(err)
	}
	if err := os.Rename(fresh, path); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the names in dir durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// lock takes f's lock as bbolt does, waiting for at most wait. how is LOCK_EX or LOCK_SH.
func lock(f *os.File, how int, wait time.Duration) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(wait); ; <-tick.C {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		if time.Now().After(end) {
			return ErrLocked
		}
	}
}
