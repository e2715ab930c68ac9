package main

import (
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// A tone among silence is heard, and no other.
func TestHeard(t *testing.T) {
	data := make([]byte, header+2*rate*frame)
	for i := rate / 2; i < rate/2+rate/20; i++ {
		s := int16(9000 * math.Sin(2*math.Pi*1500*float64(i)/rate))
		binary.LittleEndian.PutUint16(data[header+i*frame:], uint16(s))
	}
	file := filepath.Join(t.TempDir(), "heard.wav")
	if err := os.WriteFile(file, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for hertz, want := range map[string]bool{"1500": true, "400": false, "2700": false, "x": false} {
		if err := heard(file, hertz); err == nil != want {
			t.Errorf("%s Hz: %v", hertz, err)
		}
	}
}
