package shc

import (
	"strconv"
	"strings"
	"time"
)

const (
	maxChunk  = 1191 // characters of the token in one of several codes
	maxChunks = 3    // codes of a card: with more its token is longer than any code's text that is read
	patience  = time.Minute
)

// A Joiner puts together the codes of one card that are shown one after the other. The zero Joiner is ready; it is not safe
// for concurrent use.
type Joiner struct {
	chunks []string // of the token, by index; "" has not come
	last   time.Time
}

// Add takes a code. ok is false when it is not one of several of a card. When all have come, token is the card as Parse takes
// it; until then have of of have. Codes of another card begin anew, and so does whoever is slow.
func (j *Joiner) Add(code string, now time.Time) (token string, have, of int, ok bool) {
	chunk, index, of, ok := part(code)
	if !ok {
		return "", 0, 0, false
	}
	if of != len(j.chunks) || now.Sub(j.last) > patience || j.chunks[index] != "" && j.chunks[index] != chunk {
		j.chunks = make([]string, of)
	}
	j.chunks[index], j.last = chunk, now
	for _, c := range j.chunks {
		if c != "" {
			have++
		}
	}
	if have < of {
		return "", have, of, true
	}
	token = strings.Join(j.chunks, "")
	j.chunks = nil
	return token, have, of, true
}

// part reads "shc:/2/3/…": the second of three codes.
func part(code string) (chunk string, index, of int, ok bool) {
	if len(code) < len(Prefix) || !strings.EqualFold(code[:len(Prefix)], Prefix) {
		return "", 0, 0, false
	}
	f := strings.Split(code[len(Prefix):], "/")
	if len(f) != 3 {
		return "", 0, 0, false
	}
	n, err1 := strconv.Atoi(f[0])
	of, err2 := strconv.Atoi(f[1])
	chunk, err3 := characters(f[2])
	if err1 != nil || err2 != nil || err3 != nil || of < 2 || of > maxChunks || n < 1 || n > of || chunk == "" || len(chunk) > maxChunk {
		return "", 0, 0, false
	}
	return chunk, n - 1, of, true
}
