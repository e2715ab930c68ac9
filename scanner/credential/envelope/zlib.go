package envelope

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"errors"
	"io"
	"sync"
)

// maxRatio is how much larger than itself a stream may grow: health codes grow by three to six times.
const maxRatio = 64

// readers keeps readers of zlib: the 44 KB of a new one cost a fifth of what a whole code does.
var readers sync.Pool

// Inflate reads a zlib stream (RFC 1950) that is all of b and grows to most bytes at the most, and to no more than maxRatio
// times b: what would grow further is refused before it has.
func Inflate(b []byte, most int) (out []byte, err error) {
	rest := bytes.NewReader(b)
	z, ok := readers.Get().(io.ReadCloser)
	if ok {
		err = z.(zlib.Resetter).Reset(rest, nil)
	} else {
		z, err = zlib.NewReader(rest)
	}
	if err != nil {
		return nil, err
	}
	defer readers.Put(z)
	return inflate(z, rest, most)
}

// InflateRaw is Inflate of a stream without zlib's head and sum (RFC 1951).
func InflateRaw(b []byte, most int) ([]byte, error) {
	rest := bytes.NewReader(b)
	return inflate(flate.NewReader(rest), rest, most)
}

func inflate(z io.Reader, rest *bytes.Reader, most int) ([]byte, error) {
	most = min(most, maxRatio*int(rest.Size()))
	out, err := io.ReadAll(io.LimitReader(z, int64(most)+1))
	switch {
	case err != nil:
		return nil, err
	case len(out) > most:
		return nil, errors.New("too large")
	case rest.Len() > 0:
		return nil, errors.New("bytes after it")
	}
	return out, nil
}
