package journal

import (
	"bytes"
	"encoding/binary"
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

// An image is one consistent version of the file.
type image struct {
	r     io.ReaderAt
	pages uint64 // from 0; every number of a page in use lies below it
	used  []bool // by page
	root  uint64
	free  uint64 // where the list of free pages begins
	tx    uint64
}

// openImage reads the meta pages. doubt is set when one of the two is not valid, which a power cut in
// the middle of a commit may leave, and damage, too; then the version before the last commit may be all
// there is.
func openImage(r io.ReaderAt, size int64) (m image, doubt string, err error) {
	valid := 0
	for id := range uint64(2) {
		next, err := readMeta(r, id)
		if err != nil {
			doubt = fmt.Sprintf("meta page %d: %v", id, err)
			continue
		}
		if valid++; valid == 1 || next.tx > m.tx {
			m = next
		}
	}
	if valid == 0 {
		return m, doubt, fmt.Errorf("%w: neither meta page is valid", ErrDamaged)
	}
	if m.pages < 2 || m.pages > uint64(size)/pageSize {
		return m, doubt, fmt.Errorf("%w: %d bytes hold no %d pages", ErrDamaged, size, m.pages)
	}
	m.used = make([]bool, m.pages)
	m.used[0], m.used[1] = true, true
	return m, doubt, nil
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
		return 0, 0, nil, fmt.Errorf("read page %d: %w", id, err)
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
			return 0, 0, nil, fmt.Errorf("read page %d: %w", id+1, err)
		}
	}
	return flags, count, p, nil
}

// A leaf is one key and its value.
type leaf struct {
	key, value []byte
	bucket     bool
}

// walk calls fn for every key of the tree below page id, in order. All of them must be at least low
// and, unless high is nil, less than high.
func (m *image) walk(id uint64, low, high []byte, depth int, fn func(leaf) error) error {
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
		key, err := span(e, p, 0, 4)
		if err != nil {
			return err
		}
		end := high
		if i+1 < int(count) {
			if end, err = span(elem(p, i+1), p, 0, 4); err != nil {
				return err
			}
		}
		if bytes.Compare(key, low) < 0 || end != nil && bytes.Compare(key, end) >= 0 {
			return fmt.Errorf("%w: order of keys on page %d", ErrDamaged, id)
		}
		if err := m.walk(binary.LittleEndian.Uint64(e[8:]), key, end, depth+1, fn); err != nil {
			return err
		}
	}
	return nil
}

// leaves calls fn for the elements of a leaf page.
func leaves(p []byte, count uint16, low, high []byte, fn func(leaf) error) error {
	for i := range int(count) {
		e := elem(p, i)
		key, err := span(e, p, 4, 8)
		if err != nil {
			return err
		}
		both, err := span(e, p, 4, 8, 12)
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

// span returns the bytes that an element points to: pos is where its offset stands, sizes where the
// lengths of what lies there one after the other.
func span(e, p []byte, pos int, sizes ...int) ([]byte, error) {
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

// bucket walks the bucket whose value stands in the root: a page number, or a whole small page.
func (m *image) bucket(value []byte, fn func(leaf) error) error {
	const header = 16 // root u64, sequence u64
	if len(value) < header {
		return fmt.Errorf("%w: bucket of %d bytes", ErrDamaged, len(value))
	}
	if root := binary.LittleEndian.Uint64(value); root != 0 {
		return m.walk(root, nil, nil, 0, fn)
	}
	p := value[header:]
	if len(p) < pageHeader || binary.LittleEndian.Uint16(p[8:]) != flagLeaf {
		return fmt.Errorf("%w: bucket without a page", ErrDamaged)
	}
	return leaves(p, binary.LittleEndian.Uint16(p[10:]), nil, nil, fn)
}

// account checks that every page that is not in use is in the list of free pages, and no other.
func (m *image) account() error {
	flags, n, p, err := m.page(m.free)
	if err != nil {
		return err
	}
	if flags != flagFreelist {
		return fmt.Errorf("%w: page %d is no list of free pages", ErrDamaged, m.free)
	}
	ids, count := p[pageHeader:], uint64(n)
	if n == 0xFFFF && len(ids) >= 8 { // then the true count stands first
		ids, count = ids[8:], binary.LittleEndian.Uint64(ids)
	}
	if count > uint64(len(ids)/8) {
		return fmt.Errorf("%w: list of %d free pages", ErrDamaged, count)
	}
	next := uint64(2)
	for i := range count {
		id := binary.LittleEndian.Uint64(ids[8*i:])
		for ; next < m.pages && m.used[next]; next++ {
		}
		if id != next || id >= m.pages {
			return fmt.Errorf("%w: page %d in the list of free pages", ErrDamaged, id)
		}
		next++
	}
	for ; next < m.pages; next++ {
		if !m.used[next] {
			return fmt.Errorf("%w: page %d is neither used nor free", ErrDamaged, next)
		}
	}
	return nil
}
