// Package flash writes an image to cards: only the blocks that are used, whole or not at all, and read back.
//
// Of an image it needs the block map, which is in the format of bmap-tools, so that either's files serve the other. The map
// holds the hash of every range, and whoever makes the image signs the map: nothing that they did not make stays on a card.
package flash

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"gatepost/storage/detached"

	"golang.org/x/sys/unix"
)

const (
	blockSize  = 4096
	sectorSize = 512
	chunkSize  = 1 << 20  // bytes of the longest range that New makes, and of one write
	maxMap     = 64 << 20 // bytes of a map's text
	maxImage   = 1 << 40  // bytes
)

// A Map tells which blocks of an image are used and what they hold.
type Map struct {
	Size   int64   // of the image in bytes, whole sectors
	Ranges []Range // ascending, none over another, at most chunkSize long when New made them
}

// A Range is the bytes from..to of an image, whole blocks but for the image's end.
type Range struct {
	from, to int64
	sum      [sha256.Size]byte
}

// Used returns how many bytes the ranges have.
func (m Map) Used() (n int64) {
	for _, r := range m.Ranges {
		n += r.to - r.from
	}
	return n
}

// New maps an image, of which the holes in its file are not used.
func New(image *os.File) (m Map, err error) {
	if m.Size, err = image.Seek(0, io.SeekEnd); err != nil {
		return m, err
	}
	if m.Size == 0 || m.Size%sectorSize != 0 || m.Size > maxImage {
		return m, fmt.Errorf("%d bytes are no image of a disk: it has whole sectors of %d bytes", m.Size, sectorSize)
	}
	for at := int64(0); at < m.Size; {
		from, err := image.Seek(at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) { // only a hole is left
			break
		} else if err != nil {
			return m, err
		}
		if at, err = image.Seek(from, unix.SEEK_HOLE); err != nil {
			return m, err
		}
		if err := m.add(image, from/blockSize*blockSize, at); err != nil {
			return m, err
		}
	}
	if len(m.Ranges) == 0 || m.Ranges[0].from != 0 {
		return m, errors.New("no image of a disk: it begins with a hole")
	}
	return m, nil
}

// add appends the ranges that cover from..to.
func (m *Map) add(image io.ReaderAt, from, to int64) error {
	if n := len(m.Ranges); n > 0 {
		from = max(from, m.Ranges[n-1].to) // its block was taken whole
	}
	buf := make([]byte, chunkSize)
	for ; from < to; from += chunkSize {
		n := int64(len(buf))
		if from+n > to {
			n = min((to-from+blockSize-1)/blockSize*blockSize, m.Size-from)
		}
		if _, err := image.ReadAt(buf[:n], from); err != nil {
			return err
		}
		m.Ranges = append(m.Ranges, Range{from, from + n, sha256.Sum256(buf[:n])})
	}
	return nil
}

// document is the file of a map. Source: the format's description in bmap-tools, version 2.0.
type document struct {
	XMLName xml.Name `xml:"bmap"`
	Version string   `xml:"version,attr"`
	Size    int64    `xml:"ImageSize"`
	Block   int64    `xml:"BlockSize"`
	Blocks  int64    `xml:"BlocksCount"`
	Mapped  int64    `xml:"MappedBlocksCount"`
	Kind    string   `xml:"ChecksumType"`
	Sum     string   `xml:"BmapFileChecksum"`
	Ranges  []span   `xml:"BlockMap>Range"`
}

// span is a range as it is written: "7-12" or "7", in blocks.
type span struct {
	Sum    string `xml:"chksum,attr"`
	Blocks string `xml:",chardata"`
}

// Marshal returns the map's file.
func (m Map) Marshal() ([]byte, error) {
	blank := strings.Repeat("0", 2*sha256.Size) // stands for the file's own hash while that is made
	d := document{
		Version: "2.0", Size: m.Size, Block: blockSize, Blocks: blocks(m.Size), Mapped: blocks(m.Used()), Kind: "sha256", Sum: blank,
	}
	for _, r := range m.Ranges {
		text := fmt.Sprintf("%d-%d", r.from/blockSize, blocks(r.to)-1)
		d.Ranges = append(d.Ranges, span{hex.EncodeToString(r.sum[:]), text})
	}
	text, err := xml.MarshalIndent(d, "", " ")
	if err != nil {
		return nil, fmt.Errorf("write block map: %w", err)
	}
	text = append([]byte("<?xml version=\"1.0\" ?>\n"), append(text, '\n')...)
	sum := sha256.Sum256(text)
	return bytes.Replace(text, []byte(blank), []byte(hex.EncodeToString(sum[:])), 1), nil
}

func blocks(size int64) int64 { return (size + blockSize - 1) / blockSize }

// Parse reads a map's file.
func Parse(text []byte) (m Map, err error) {
	if len(text) > maxMap {
		return m, fmt.Errorf("block map of %d bytes exceeds %d", len(text), maxMap)
	}
	var d document
	if err := xml.Unmarshal(text, &d); err != nil {
		return m, fmt.Errorf("not a block map: %w", err)
	}
	d.trim()
	switch {
	case !strings.HasPrefix(d.Version, "2."):
		return m, fmt.Errorf("block map of version %q; 2.0 is known", d.Version)
	case d.Block != blockSize || d.Kind != "sha256":
		return m, fmt.Errorf("block map with blocks of %d bytes and hashes by %q; %d and sha256 are known", d.Block, d.Kind, blockSize)
	case d.Size <= 0 || d.Size%sectorSize != 0 || d.Size > maxImage || d.Blocks != blocks(d.Size):
		return m, fmt.Errorf("block map of an image of %d bytes in %d blocks", d.Size, d.Blocks)
	case len(d.Ranges) == 0:
		return m, errors.New("block map has no range")
	}
	m.Size = d.Size
	for _, s := range d.Ranges {
		r, err := s.read(m.Size)
		if n := len(m.Ranges); err == nil && (n == 0 && r.from != 0 || n > 0 && r.from < m.Ranges[n-1].to) {
			err = errors.New("not behind the one before")
		}
		if err != nil {
			return Map{}, fmt.Errorf("block map, range %q: %w", s.Blocks, err)
		}
		m.Ranges = append(m.Ranges, r)
	}
	return m, nil
}

// trim takes away the spaces that bmap-tools writes around each value.
func (d *document) trim() {
	d.Kind = strings.TrimSpace(d.Kind)
	for i := range d.Ranges {
		d.Ranges[i].Blocks = strings.TrimSpace(d.Ranges[i].Blocks)
	}
}

func (s span) read(size int64) (r Range, err error) {
	first, last, several := strings.Cut(s.Blocks, "-")
	if !several {
		last = first
	}
	from, err1 := strconv.ParseInt(first, 10, 64)
	to, err2 := strconv.ParseInt(last, 10, 64)
	sum, err3 := hex.DecodeString(s.Sum)
	if err := errors.Join(err1, err2, err3); err != nil {
		return r, err
	}
	if from < 0 || to < from || to >= blocks(size) || len(sum) != sha256.Size {
		return r, errors.New("not a range of this image with its hash")
	}
	r.from, r.to = from*blockSize, min((to+1)*blockSize, size)
	copy(r.sum[:], sum)
	return r, nil
}

// imageContext is signed before a map's bytes, so that the signature serves nothing else.
const imageContext = "gatepost/image/1\n"

// ErrSignature means that a map was not signed by the key, or was changed since.
var ErrSignature = errors.New("the block map does not carry its maker's signature")

// Sign returns the content of the signature's file, see package detached.
func Sign(key ed25519.PrivateKey, text []byte) []byte {
	return detached.Sign(key, imageContext, text)
}

// Verify checks what Sign wrote. It fails with ErrSignature.
func Verify(key ed25519.PublicKey, text, signature []byte) error {
	if !detached.Verify(key, imageContext, text, signature) {
		return ErrSignature
	}
	return nil
}
