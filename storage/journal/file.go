package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"

	"gatepost/storage/entry"

	"github.com/fxamacker/cbor/v2"
	"go.etcd.io/bbolt"
)

// A file has two buckets. The newest entries stand in the tail, which with the state fills one page, so that a commit
// writes three: the tail, the root, and a meta page. When the page is full its entries move on into the body.
var (
	bodyName = []byte("body")
	tailName = []byte("tail")
	stateKey = []byte("state of 2") // in the tail, behind all entries, whose keys are their sequences, 8 bytes, big-endian
)

const (
	pageSize = 4096    // the same on every board, so that a card can be read on any of them
	fileSize = 4 << 20 // of the newest file at most; a sealed one keeps what it uses
	moreSize = 1 << 20 // of it, kept for what tells of a full disk
	passRoom = 256     // so many entries of other kinds fit behind the last passage
	tailSize = 3300    // bytes of the tail's entries
	elemCost = 16 + 8  // bytes of an entry in a page besides its own: element, key
)

// passSize is how many bytes of a file passages may use, when no new one can be made: twice what is expected of Entries.
func (o *Options) passSize() int64 {
	return max(64<<10, int64(o.Entries)*(fileSize-moreSize)/maxEntries)
}

// A state is what the journal knows besides its entries. It is written with every commit into the newest file; in a
// sealed one it stays as it was.
type state struct {
	Device    string         `cbor:"1,keyasint"`
	Boot      uint32         `cbor:"2,keyasint"`
	Before    entry.Head     `cbor:"3,keyasint"` // the head before the first entry that is still here
	Head      entry.Head     `cbor:"4,keyasint"`
	Receipted uint64         `cbor:"5,keyasint"` // what the hub is known to hold
	Receipt   *entry.Receipt `cbor:"6,keyasint,omitempty"`
	Start     entry.Head     `cbor:"7,keyasint"` // the head before the file's first entry
	Tx        uint64         `cbor:"8,keyasint"` // bbolt's number of the transaction: an older state in a newer tree is damage
	Began     int64          `cbor:"9,keyasint"` // wall time of the file's first entry with a trusted one, milliseconds since 1970

	packed []byte // as it stands in the file
}

// pack returns the SHA-256 of the state's CBOR, then the CBOR.
func (s *state) pack() []byte {
	b, err := cbor.Marshal(s)
	if err != nil {
		panic(err) // no value of these types fails
	}
	sum := sha256.Sum256(b)
	s.packed = append(sum[:], b...)
	return s.packed
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
	s.packed = bytes.Clone(raw)
	return nil
}

// count is how many entries the file holds at the most: a gap counts for all that it stands for.
func (s *state) count() int { return int(s.Head.Seq - s.Start.Seq) }

func key(seq uint64) []byte { return binary.BigEndian.AppendUint64(nil, seq) }

// A tree is the newest file within a transaction.
type tree struct {
	tx   *bbolt.Tx
	tail *bbolt.Bucket
}

func treeOf(tx *bbolt.Tx) (tree, error) {
	t := tree{tx, tx.Bucket(tailName)}
	if t.tail == nil {
		return t, fmt.Errorf("%w: no bucket", ErrDamaged)
	}
	t.tail.FillPercent = 1
	return t, nil
}

// body returns the bucket of the older entries, which most transactions do without.
func (t tree) body() (*bbolt.Bucket, error) {
	b := t.tx.Bucket(bodyName)
	if b == nil {
		return nil, fmt.Errorf("%w: no bucket", ErrDamaged)
	}
	b.FillPercent = 0.95 // entries only ever come at the end
	return b, nil
}

func (t tree) state() (s state, err error) { return s, s.unpack(t.tail.Get(stateKey)) }

func (t tree) put(s *state) error {
	s.Tx = uint64(t.tx.ID())
	return t.tail.Put(stateKey, s.pack())
}

// insert puts an entry behind all others.
func (t tree) insert(seq uint64, raw []byte) error {
	size := len(raw) + elemCost
	for k, v := range pairs(t.tail.Cursor(), nil) {
		size += len(k) + len(v) + elemCost
	}
	if size > tailSize {
		if err := t.move(); err != nil {
			return err
		}
	}
	return t.tail.Put(key(seq), raw)
}

// move moves the tail's entries into the body.
func (t tree) move() error {
	body, err := t.body()
	if err != nil {
		return err
	}
	var keys, values [][]byte
	for k, v := range pairs(t.tail.Cursor(), nil) {
		keys, values = append(keys, bytes.Clone(k)), append(values, bytes.Clone(v))
	}
	for i, k := range keys {
		if err := errors.Join(body.Put(k, values[i]), t.tail.Delete(k)); err != nil {
			return err
		}
	}
	return nil
}

// pairs yields the entries of a bucket from the key low on.
func pairs(c *bbolt.Cursor, low []byte) func(yield func(k, v []byte) bool) {
	return func(yield func(k, v []byte) bool) {
		for k, v := c.Seek(low); k != nil && !bytes.Equal(k, stateKey); k, v = c.Next() {
			if !yield(k, v) {
				return
			}
		}
	}
}

// from calls fn for each entry from seq on; valid within the transaction. errStop ends it.
func (t tree) from(seq uint64, fn func(seq uint64, raw []byte) error) error {
	body, err := t.body()
	if err != nil {
		return err
	}
	for _, b := range []*bbolt.Bucket{body, t.tail} {
		for k, v := range pairs(b.Cursor(), key(seq)) {
			if len(k) != 8 {
				return fmt.Errorf("%w: key of %d bytes", ErrDamaged, len(k))
			}
			if err := fn(binary.BigEndian.Uint64(k), v); err != nil {
				return err
			}
		}
	}
	return nil
}
