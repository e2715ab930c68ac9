// Package envelope takes off, and puts on, what health codes are wrapped in: base45 and zlib. What is inside is its caller's.
package envelope

import (
	"errors"
	"strings"
)

// alphabet is RFC 9285's, in which a space is the digit 36: nothing may be trimmed.
const alphabet = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

var errBase45 = errors.New("not base45")

// Encode45 writes b in base45.
func Encode45(b []byte) string {
	var s strings.Builder
	for ; len(b) >= 2; b = b[2:] {
		n := int(b[0])<<8 | int(b[1])
		s.Write([]byte{alphabet[n%45], alphabet[n/45%45], alphabet[n/45/45]})
	}
	if len(b) == 1 {
		s.Write([]byte{alphabet[b[0]%45], alphabet[b[0]/45]})
	}
	return s.String()
}

// Decode45 reads base45. It trims nothing.
func Decode45(s string) ([]byte, error) {
	out := make([]byte, 0, len(s)*2/3)
	for len(s) > 0 {
		group := min(3, len(s))
		n, weight := 0, 1
		for i := range group {
			digit := strings.IndexByte(alphabet, s[i])
			if digit < 0 {
				return nil, errBase45
			}
			n += digit * weight
			weight *= 45
		}
		s = s[group:]
		switch {
		case group == 3 && n <= 0xFFFF:
			out = append(out, byte(n>>8), byte(n))
		case group == 2 && n <= 0xFF:
			out = append(out, byte(n))
		default:
			return nil, errBase45
		}
	}
	return out, nil
}
