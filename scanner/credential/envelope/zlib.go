package envelope

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
)

// Inflate reads a zlib stream (RFC 1950) that is all of b and grows to most bytes at the most: what would grow further is
// refused before it has.
func Inflate(b []byte, most int) ([]byte, error) {
	rest := bytes.NewReader(b)
	z, err := zlib.NewReader(rest)
	if err != nil {
		return nil, err
	}
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
