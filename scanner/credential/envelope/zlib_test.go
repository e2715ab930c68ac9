package envelope

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"io"
	"strings"
	"sync"
	"testing"
)

func pack(t testing.TB, text string, writer func(io.Writer) io.WriteCloser) []byte {
	t.Helper()
	var b bytes.Buffer
	w := writer(&b)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func deflated(t testing.TB, text string) []byte {
	return pack(t, text, func(w io.Writer) io.WriteCloser {
		z, err := flate.NewWriter(w, flate.BestCompression)
		if err != nil {
			t.Fatal(err)
		}
		return z
	})
}

func zipped(t testing.TB, text string) []byte {
	return pack(t, text, func(w io.Writer) io.WriteCloser { return zlib.NewWriter(w) })
}

// A stream is read whole or not at all, also after a bad one, and by many at once.
func TestInflate(t *testing.T) {
	const text = "0123456789 every gate reads this"
	const most = 1 << 10
	flipped := zipped(t, text)
	flipped[len(flipped)-1] ^= 1
	good, bad := zipped(t, text), map[string][]byte{
		"nothing": {}, "a head": {0x78, 0x9c}, "a wrong sum": flipped, "a half": zipped(t, text)[:10], "a tail": append(zipped(t, text), 0),
		"too much": zipped(t, strings.Repeat(text, most)),
	}
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 20 {
				for name, b := range bad {
					if out, err := Inflate(b, most); err == nil {
						t.Errorf("%s gives %d bytes", name, len(out))
					}
				}
				if out, err := Inflate(good, most); err != nil || string(out) != text {
					t.Errorf("%q, %v", out, err)
				}
			}
		})
	}
	wg.Wait()
	if out, err := Inflate(zipped(t, text), len(text)); err != nil || string(out) != text {
		t.Errorf("exactly as many bytes as may be: %v", err)
	}
	if _, err := Inflate(zipped(t, text), len(text)-1); err == nil {
		t.Error("one byte too many")
	}
	zeros := strings.Repeat("0", 64<<10)
	if _, err := Inflate(zipped(t, zeros), 1<<20); err == nil {
		t.Error("a stream that grows a hundredfold")
	}
	if out, err := InflateRaw(deflated(t, text), most); err != nil || string(out) != text {
		t.Errorf("raw: %q, %v", out, err)
	}
	if _, err := InflateRaw(append(deflated(t, text), 0), most); err == nil {
		t.Error("raw: a tail")
	}
}
