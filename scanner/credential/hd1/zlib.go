package hd1

import (
	"encoding/binary"
	"hash/adler32"
)

// maxInflated is the most bytes that a declaration may grow to.
const maxInflated = 4 << 10

// deflate wraps b as one stored block of RFC 1950 and 1951: a signature does not compress, the standard
// library's writer adds five bytes more, and the same declaration gives the same code with any Go.
func deflate(b []byte) []byte {
	out := []byte{0x78, 0x01, 0x01}
	out = binary.LittleEndian.AppendUint16(out, uint16(len(b)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(b)))
	out = append(out, b...)
	return binary.BigEndian.AppendUint32(out, adler32.Checksum(b))
}
