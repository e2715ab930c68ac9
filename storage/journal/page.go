package journal

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
)

// This file reads a bbolt file page by page, with every number checked before it is used, because bbolt
// itself trusts its pages: its own checker runs in a goroutine of its own, where a fault ends the program.
// The layout is that of bbolt 1.5, file version 2, on little-endian machines.

const (
	pageHeader = 16 // id u64, flags u16, count u16, overflow u32
	elemSize   = 16 // of a branch's or a leaf's element
	maxDepth   = 16

	flagBranch, flagLeaf, flagMeta, flagFreelist = 0x01, 0x02, 0x04, 0x10

	metaMagic, metaVersion = 0xED0CDAED, 2
)

// noFreelist stands for a list of free pages that is not kept.
const noFreelist = 1<<64 - 1

// errStop ends a walk early.
var errStop = errors.New("enough")

// An image is one consistent version of the file.
type image struct {
	r     io.ReaderAt
	pages uint64 // from 0; every number of a page in use lies below it
	used  []bool // by page
	root  uint64
	free  uint64 // where the list of free pages begins
	tx    uint64
}

// newestImage reads the meta pages and returns the version that the newer one leads to. torn is set when one of the two
// is not valid: then the version may be the one before the last commit.
func newestImage(r io.ReaderAt, size int64) (m image, err error) {
	m, torn, err := readMetas(r, size)
	if err == nil && torn != "" {
		err = fmt.Errorf("%w: %s", ErrDamaged, torn)
	}
	return m, err
}

func readMetas(r io.ReaderAt, size int64) (m image, torn string, err error) {
	r = patient{r}
	valid := 0
	for id := range uint64(2) {
		next, err := readMeta(r, id)
		if err != nil {
			torn = fmt.Sprintf("meta page %d: %v", id, err)
			continue
		}
		if valid++; valid == 1 || next.tx > m.tx {
			m = next
		}
	}
	switch {
	case valid == 0:
		return m, torn, fmt.Errorf("%w: neither meta page is valid", ErrDamaged)
	case m.pages < 2 || m.pages > uint64(size)/pageSize:
		return m, torn, fmt.Errorf("%w: %d bytes hold no %d pages", ErrDamaged, size, m.pages)
	case m.free != noFreelist:
		return m, torn, fmt.Errorf("%w: it has a list of free pages", ErrDamaged)
	}
	m.used = make([]bool, m.pages)
	m.used[0], m.used[1] = true, true
	return m, torn, nil
}

// A patient reader reads again what fails: a bad contact or a busy USB bridge fails once, a bad sector always. Entries
// are given up for the second alone.
type patient struct{ io.ReaderAt }

func (p patient) ReadAt(b []byte, at int64) (n int, err error) {
	const tries = 5
	for range tries {
		if n, err = p.ReaderAt.ReadAt(b, at); err == nil || errors.Is(err, io.EOF) {
			break
		}
	}
	return n, err
}

func readMeta(r io.ReaderAt, id uint64) (m image, err error) {
	var p [pageHeader + 64]byte
	if _, err := r.ReadAt(p[:], int64(id)*pageSize); err != nil {
		return m, err
	}
	le, b := binary.LittleEndian, p[pageHeader:]
	sum := fnv.New64a()
	sum.Write(b[:56])
	switch {
	case le.Uint32(b) != metaMagic || le.Uint32(b[4:]) != metaVersion:
		return m, fmt.Errorf("not bbolt's")
	case le.Uint64(b[56:]) != sum.Sum64():
		return m, fmt.Errorf("does not fit its checksum")
	case le.Uint32(b[8:]) != pageSize:
		return m, fmt.Errorf("pages of %d bytes", le.Uint32(b[8:]))
	}
	return image{r: r, root: le.Uint64(b[16:]), free: le.Uint64(b[32:]), pages: le.Uint64(b[40:]), tx: le.Uint64(b[48:])}, nil
}

// page reads page id with its overflow and notes that it is in use.
func (m *image) page(id uint64) (flags, count uint16, p []byte, err error) {
	if id < 2 || id >= m.pages {
		return 0, 0, nil, fmt.Errorf("%w: page %d of %d", ErrDamaged, id, m.pages)
	}
	p = make([]byte, pageSize)
	if _, err := m.r.ReadAt(p, int64(id)*pageSize); err != nil {
		return 0, 0, nil, fmt.Errorf("%w: read page %d: %w", ErrDamaged, id, err)
	}
	le := binary.LittleEndian
	flags, count = le.Uint16(p[8:]), le.Uint16(p[10:])
	more := uint64(le.Uint32(p[12:]))
	if le.Uint64(p) != id || more >= m.pages-id {
		return 0, 0, nil, fmt.Errorf("%w: header of page %d", ErrDamaged, id)
	}
	for i := id; i <= id+more; i++ {
		if m.used[i] {
			return 0, 0, nil, fmt.Errorf("%w: page %d is used twice", ErrDamaged, i)
		}
		m.used[i] = true
	}
	if more > 0 {
		p = append(p, make([]byte, more*pageSize)...)
		if _, err := m.r.ReadAt(p[pageSize:], int64(id+1)*pageSize); err != nil {
			return 0, 0, nil, fmt.Errorf("%w: read page %d: %w", ErrDamaged, id+1, err)
		}
	}
	return flags, count, p, nil
}

// A leaf is one key and its value.
type leaf struct {
	key, value []byte
	bucket     bool
}

// walk calls fn for the keys of the tree below page id, in order, but for branches that lie before seek. All of them
// must be at least low and, unless high is nil, less than high.
func (m *image) walk(id uint64, seek, low, high []byte, depth int, fn func(leaf) error) error {
	flags, count, p, err := m.page(id)
	if err != nil {
		return err
	}
	switch {
	case flags == flagLeaf:
		return leaves(p, count, low, high, fn)
	case flags != flagBranch || count == 0 || depth == maxDepth:
		return fmt.Errorf("%w: page %d is no part of a tree", ErrDamaged, id)
	}
	for i := range int(count) {
		e := elem(p, i)
		key, err := field(e, p, 0, 4)
		if err != nil {
			return err
		}
		end := high
		if i+1 < int(count) {
			if end, err = field(elem(p, i+1), p, 0, 4); err != nil {
				return err
			}
		}
		if bytes.Compare(key, low) < 0 || end != nil && bytes.Compare(key, end) >= 0 {
			return fmt.Errorf("%w: order of keys on page %d", ErrDamaged, id)
		}
		if end != nil && bytes.Compare(end, seek) <= 0 {
			continue
		}
		if err := m.walk(binary.LittleEndian.Uint64(e[8:]), seek, key, end, depth+1, fn); err != nil {
			return err
		}
	}
	return nil
}

// leaves calls fn for the elements of a leaf page.
func leaves(p []byte, count uint16, low, high []byte, fn func(leaf) error) error {
	for i := range int(count) {
		e := elem(p, i)
		key, err := field(e, p, 4, 8)
		if err != nil {
			return err
		}
		both, err := field(e, p, 4, 8, 12)
		if err != nil {
			return err
		}
		flags := binary.LittleEndian.Uint32(e)
		if c := bytes.Compare(key, low); c < 0 || c == 0 && i > 0 || high != nil && bytes.Compare(key, high) >= 0 || flags > 1 {
			return fmt.Errorf("%w: order of keys on a leaf page", ErrDamaged)
		}
		if err := fn(leaf{key, both[len(key):], flags == 1}); err != nil {
			return err
		}
		low = key
	}
	return nil
}

// elem returns the page from its element i on, or less than an element when there is none.
func elem(p []byte, i int) []byte { return p[min(pageHeader+i*elemSize, len(p)):] }

// field returns the bytes that an element points to: pos is where its offset stands, sizes where the
// lengths of what lies there one after the other.
func field(e, p []byte, pos int, sizes ...int) ([]byte, error) {
	if len(e) < elemSize {
		return nil, fmt.Errorf("%w: element beyond its page", ErrDamaged)
	}
	from, n := uint64(binary.LittleEndian.Uint32(e[pos:])), uint64(0)
	for _, s := range sizes {
		n += uint64(binary.LittleEndian.Uint32(e[s:]))
	}
	if from+n > uint64(len(e)) {
		return nil, fmt.Errorf("%w: key or value beyond its page", ErrDamaged)
	}
	return e[from : from+n : from+n], nil
}

// buckets returns the values of the two buckets: each a page number, or a whole small page.
func (m *image) buckets() (body, tail []byte, err error) {
	err = m.walk(m.root, nil, nil, nil, 0, func(l leaf) error {
		switch {
		case l.bucket && bytes.Equal(l.key, bodyName):
			body = l.value
		case l.bucket && bytes.Equal(l.key, tailName):
			tail = l.value
		default:
			return fmt.Errorf("%w: another bucket", ErrDamaged)
		}
		return nil
	})
	return body, tail, err
}

// bucket walks a bucket from the key seek on.
func (m *image) bucket(value, seek []byte, fn func(leaf) error) error {
	const header = 16 // root u64, sequence u64
	if len(value) < header {
		return fmt.Errorf("%w: bucket of %d bytes", ErrDamaged, len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return m.walk(root, seek, nil, nil, 0, fn)
	}
	p := value[header:]
	if len(p) < pageHeader || binary.LittleEndian.Uint16(p[8:]) != flagLeaf {
		return fmt.Errorf("%w: bucket without a page", ErrDamaged)
	}
	return leaves(p, binary.LittleEndian.Uint16(p[10:]), nil, nil, fn)
}

// from calls fn for each entry from seq on, as tree.from does, and returns the state that stands behind them.
func (m *image) from(seq uint64, fn func(seq uint64, raw []byte) error) (s state, err error) {
	body, tail, err := m.buckets()
	if err != nil {
		return s, err
	}
	var packed []byte
	take := func(l leaf) error {
		switch {
		case l.bucket || packed != nil:
			return fmt.Errorf("%w: a stranger among the entries", ErrDamaged)
		case bytes.Equal(l.key, stateKey):
			packed = l.value
			return nil
		case len(l.key) != 8:
			return fmt.Errorf("%w: key of %d bytes", ErrDamaged, len(l.key))
		}
		if at := binary.BigEndian.Uint64(l.key); at >= seq {
			return fn(at, l.value)
		}
		return nil
	}
	for _, value := range [][]byte{body, tail} {
		if err := m.bucket(value, key(seq), take); err != nil {
			return s, err
		}
	}
	if err := s.unpack(packed); err != nil {
		return s, err
	}
	if s.Tx != m.tx {
		return s, fmt.Errorf("%w: state of transaction %d in the tree of %d", ErrDamaged, s.Tx, m.tx)
	}
	return s, nil
}
