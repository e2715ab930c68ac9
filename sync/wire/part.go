package wire

import (
	"bytes"
	"crypto/sha256"
	"encoding/base32"
	"errors"
	"fmt"
	"regexp"
	"strconv"
)

const (
	// MaxPart is the most bytes of the text of one part.
	MaxPart = 150

	partSize = 80 // bytes of an enrolment in one part, so that its text stays below MaxPart
	maxParts = 16
	maxCodes = 4 // of which parts are kept at once
	idSize   = 5 // bytes of an enrolment's hash that its parts carry
)

// alphabet32 is RFC 4648's, without padding: all of it, and what stands around it, is in the alphanumeric mode of a QR
// code, and a barcode scanner can type it.
var alphabet32 = base32.StdEncoding.WithPadding(base32.NoPadding)

// partText is a part: prefix with version, hash, number, how many there are, bytes.
var partText = regexp.MustCompile(`^GPE1:([A-Z2-7]{8}):([1-9][0-9]?)/([1-9][0-9]?):([A-Z2-7]{1,128})$`)

// ErrParts means that parts of one code do not make the whole that their hash promises. They are forgotten.
var ErrParts = errors.New("the parts do not fit together")

// EnrolmentParts returns an enrolment as the texts of QR codes, of about the same length.
func EnrolmentParts(raw []byte) []string {
	n := max(1, (len(raw)+partSize-1)/partSize)
	size := (len(raw) + n - 1) / n
	parts := make([]string, n)
	for i := range parts {
		piece := raw[min(i*size, len(raw)):min((i+1)*size, len(raw))]
		parts[i] = fmt.Sprintf("GPE1:%s:%d/%d:%s", shortID(raw), i+1, n, alphabet32.EncodeToString(piece))
	}
	return parts
}

func shortID(raw []byte) string {
	sum := sha256.Sum256(raw)
	return alphabet32.EncodeToString(sum[:idSize])
}

// Parts puts enrolments together from the texts of their parts, in any order, repeated and mixed with those of other
// codes. It keeps parts of four codes at the most, those that were seen last. The zero Parts is empty.
type Parts struct{ codes []*partial }

// partial is a code of which some parts are there; the others are nil.
type partial struct {
	id     string
	pieces [][]byte
}

// Add takes a text. ok is false of one that is no part. have counts the parts of its code that are there, of is how many
// it has; when that is all, whole are the enrolment's bytes and its parts are forgotten. The error is ErrParts.
func (p *Parts) Add(text string) (have, of int, whole []byte, ok bool, err error) {
	m := partText.FindStringSubmatch(text)
	if m == nil || len(text) > MaxPart {
		return 0, 0, nil, false, nil
	}
	i, _ := strconv.Atoi(m[2]) // the pattern lets digits through alone
	n, _ := strconv.Atoi(m[3])
	piece, bad := alphabet32.DecodeString(m[4])
	if i > n || n > maxParts || bad != nil || len(piece) == 0 {
		return 0, 0, nil, false, nil
	}
	c := p.take(m[1], n)
	c.pieces[i-1] = piece
	for _, piece := range c.pieces {
		if piece != nil {
			have++
		}
	}
	if have < n {
		p.codes = append(p.codes, c)
		return have, n, nil, true, nil
	}
	whole = bytes.Join(c.pieces, nil)
	if shortID(whole) != c.id {
		return 0, n, nil, true, ErrParts
	}
	return n, n, whole, true, nil
}

// take removes the code id from those that are kept, or begins it; the oldest one goes where there are too many.
func (p *Parts) take(id string, n int) *partial {
	for i, c := range p.codes {
		if c.id == id && len(c.pieces) == n {
			p.codes = append(p.codes[:i], p.codes[i+1:]...)
			return c
		}
	}
	if len(p.codes) >= maxCodes {
		p.codes = p.codes[1:]
	}
	return &partial{id, make([][]byte, n)}
}
