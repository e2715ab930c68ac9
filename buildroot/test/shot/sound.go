package main

import (
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
)

// As QEMU writes sounds unless it is told otherwise: 44,100 samples a second, two channels of 16 bits, behind a header of 44
// bytes that is true only when QEMU ended in order.
const (
	header = 44
	rate   = 44100
	frame  = 4         // bytes
	window = rate / 50 // a fiftieth of a second
	quiet  = 500       // of 32,767: below is silence
)

// heard returns an error unless somewhere in the file a tone of that pitch was played.
func heard(file, hertz string) error {
	want, err := strconv.ParseFloat(hertz, 64)
	if err != nil {
		return err
	}
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	loudest := 0
	for at := header; at+window*frame <= len(data); at += window * frame / 2 {
		pitch, loud := tone(data[at : at+window*frame])
		if loud > quiet && math.Abs(pitch-want) < want/12 {
			return nil
		}
		loudest = max(loudest, loud)
	}
	return fmt.Errorf("%s has no tone of %s Hz; it lasts %d s, the loudest of 32767 is %d", filepath.Base(file), hertz, len(data)/frame/rate, loudest)
}

// tone returns pitch and loudness of the left channel, by how often it rises through zero.
func tone(data []byte) (hertz float64, loud int) {
	first, last, turns := -1, -1, 0
	before := 0
	for i := 0; i+frame <= len(data); i += frame {
		s := int(int16(binary.LittleEndian.Uint16(data[i:])))
		loud = max(loud, s, -s)
		if before < 0 && s >= 0 {
			if first < 0 {
				first = i
			} else {
				turns++
			}
			last = i
		}
		before = s
	}
	if turns == 0 {
		return 0, loud
	}
	return float64(turns) * rate * frame / float64(last-first), loud
}
