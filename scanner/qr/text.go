package qr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/simplifiedchinese"
)

// The mode indicators of ISO/IEC 18004:2015, table 2, and of GB/T 18284 for hanzi.
const (
	modeEnd          = 0x0
	modeNumeric      = 0x1
	modeAlphanumeric = 0x2
	modeAppend       = 0x3
	modeByte         = 0x4
	modeFNC1First    = 0x5
	modeECI          = 0x7
	modeKanji        = 0x8
	modeFNC1Second   = 0x9
	modeHanzi        = 0xd
)

var errShort = errors.New("the code's data ends too early")

// A symbol is what one code says: segments still in their charsets, and its place in a set of codes if it is part of one.
type symbol struct {
	parts []part
	set   set
}

// A part is one run of bytes in one charset; without one it is bytes whose charset no ECI declared.
type part struct {
	bytes   []byte
	charset encoding.Encoding
}

// A set is structured append: this code is number index of count, and parity is the XOR of all their bytes.
// A count of 0 means that the code stands alone.
type set struct{ index, count, parity int }

// parse reads the segments in the data codewords of a code of that version, 1 to 40.
func parse(codewords []byte, version int) (symbol, error) {
	p := parser{bits: bitStream{data: codewords}, version: version}
	for p.bits.left() >= 4 {
		mode := p.bits.take(4)
		if mode == modeEnd {
			break
		}
		if err := p.segment(mode); err != nil {
			return symbol{}, err
		}
	}
	return p.out, nil
}

type parser struct {
	bits    bitStream
	version int
	charset encoding.Encoding // the last ECI's; nil where none was declared
	fnc1    bool
	out     symbol
}

func (p *parser) segment(mode int) error {
	switch mode {
	case modeFNC1First:
		p.fnc1 = true
	case modeFNC1Second:
		return p.application()
	case modeAppend:
		place := p.bits.take(8)
		p.out.set = set{index: place >> 4, count: place&15 + 1, parity: p.bits.take(8)}
	case modeECI:
		return p.eci()
	case modeNumeric:
		return p.numeric(p.count(10, 12, 14))
	case modeAlphanumeric:
		return p.alphanumeric(p.count(9, 11, 13))
	case modeByte:
		return p.eightBit(p.count(8, 16, 16))
	case modeKanji:
		return p.kanji(p.count(8, 10, 12))
	case modeHanzi:
		return p.hanzi()
	default:
		return fmt.Errorf("segment of unknown mode %d", mode)
	}
	return p.bits.err()
}

// count takes a segment's character count, whose width in bits grows with the version (table 3).
func (p *parser) count(small, medium, large int) int {
	switch {
	case p.version <= 9:
		return p.bits.take(small)
	case p.version <= 26:
		return p.bits.take(medium)
	}
	return p.bits.take(large)
}

func (p *parser) add(b []byte, charset encoding.Encoding) {
	p.out.parts = join(p.out.parts, part{b, charset})
}

// join appends parts, to the last one if that has the same charset: a character may be cut by two segments or codes.
func join(parts []part, more ...part) []part {
	for _, p := range more {
		if n := len(parts); n > 0 && parts[n-1].charset == p.charset {
			parts[n-1].bytes = slices.Concat(parts[n-1].bytes, p.bytes)
		} else {
			parts = append(parts, p)
		}
	}
	return parts
}

func (p *parser) numeric(n int) error {
	var digits []byte
	for width, size := 3, 10; n > 0 && p.bits.err() == nil; n -= width {
		if n < 3 {
			width, size = n, 3*n+1
		}
		group := fmt.Sprintf("%0*d", width, p.bits.take(size))
		if len(group) > width {
			return fmt.Errorf("a group of %d digits holds %d", width, len(group))
		}
		digits = append(digits, group...)
	}
	p.add(digits, encoding.Nop)
	return p.bits.err()
}

func (p *parser) alphanumeric(n int) error {
	const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"
	var text []byte
	for ; n > 1 && p.bits.err() == nil; n -= 2 {
		pair := p.bits.take(11)
		if pair >= 45*45 {
			return errors.New("no such pair of letters")
		}
		text = append(text, letters[pair/45], letters[pair%45])
	}
	if n == 1 {
		last := p.bits.take(6)
		if last >= 45 {
			return errors.New("no such letter")
		}
		text = append(text, letters[last])
	}
	if p.fnc1 { // clause 7.4.8.2: % is the separator GS, and %% is one %
		text = []byte(strings.NewReplacer("%%", "%", "%", "\x1d").Replace(string(text)))
	}
	p.add(text, encoding.Nop)
	return p.bits.err()
}

func (p *parser) eightBit(n int) error {
	if 8*n > p.bits.left() {
		return errShort
	}
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(p.bits.take(8))
	}
	p.add(b, p.charset)
	return nil
}

// kanji reads double-byte Shift-JIS of 13 bits a character (clause 7.4.6).
func (p *parser) kanji(n int) error {
	return p.double(n, 0xc0, 0x1f00, 0x8140, 0xc140, japanese.ShiftJIS)
}

// hanzi reads GB 2312 of 13 bits a character, after four bits that must say so (GB/T 18284).
func (p *parser) hanzi() error {
	if p.bits.take(4) != 1 {
		return errors.New("hanzi of an unknown subset")
	}
	return p.double(p.count(8, 10, 12), 0x60, 0xa00, 0xa1a1, 0xa6a1, simplifiedchinese.GB18030)
}

// double reads n characters of two bytes, packed as high*base+low; one below limit has low added to it, any other high.
func (p *parser) double(n, base, limit, low, high int, charset encoding.Encoding) error {
	if 13*n > p.bits.left() {
		return errShort
	}
	b := make([]byte, 0, 2*n)
	for range n {
		v := p.bits.take(13)
		c := v/base<<8 | v%base
		if c < limit {
			c += low
		} else {
			c += high
		}
		b = append(b, byte(c>>8), byte(c))
	}
	p.add(b, charset)
	return nil
}

// eci reads a charset's number, of one to three bytes (clause 7.4.2). An unknown one leaves the bytes undeclared.
func (p *parser) eci() error {
	n := p.bits.take(8)
	switch {
	case n < 0x80:
	case n < 0xc0:
		n = n&0x3f<<8 | p.bits.take(8)
	case n < 0xe0:
		n = n&0x1f<<16 | p.bits.take(16)
	default:
		return errors.New("malformed ECI")
	}
	p.charset = charsetOf(n)
	return p.bits.err()
}

// application reads what FNC1 in second position brings: two digits, or one letter plus 100 (clause 7.4.8.3).
func (p *parser) application() error {
	p.fnc1 = true
	switch n := p.bits.take(8); {
	case n < 100:
		p.add(fmt.Appendf(nil, "%02d", n), encoding.Nop)
	case 'A' <= n-100 && n-100 <= 'Z', 'a' <= n-100 && n-100 <= 'z':
		p.add([]byte{byte(n - 100)}, encoding.Nop)
	default:
		return errors.New("no such application indicator")
	}
	return p.bits.err()
}

// text joins the parts as UTF-8. Bytes that no ECI declares are all in one charset: UTF-8 if they are valid in it,
// else Shift-JIS if valid, else ISO 8859-1.
func text(parts []part) string {
	var undeclared []byte
	for _, p := range parts {
		if p.charset == nil {
			undeclared = append(undeclared, p.bytes...)
		}
	}
	guess := guess(undeclared)
	var b strings.Builder
	for _, p := range parts {
		charset := p.charset
		if charset == nil {
			charset = guess
		}
		b.WriteString(decoded(p.bytes, charset))
	}
	return b.String()
}

// decoded returns b as UTF-8; what its charset does not know becomes U+FFFD.
func decoded(b []byte, charset encoding.Encoding) string {
	u, err := charset.NewDecoder().Bytes(b)
	if err != nil {
		u = b
	}
	return strings.ToValidUTF8(string(u), string(utf8.RuneError))
}

// A bitStream takes numbers from a string of bits, the highest first. Past the end it gives zeros and err tells.
type bitStream struct {
	data []byte
	at   int // in bits
}

func (b *bitStream) left() int { return 8*len(b.data) - b.at }

func (b *bitStream) take(n int) int {
	v := 0
	for range n {
		v <<= 1
		if b.left() > 0 {
			v |= int(b.data[b.at/8]>>(7-b.at%8)) & 1
		}
		b.at++
	}
	return v
}

func (b *bitStream) err() error {
	if b.left() < 0 {
		return errShort
	}
	return nil
}
