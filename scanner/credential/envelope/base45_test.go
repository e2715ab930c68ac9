package envelope

import (
	"bytes"
	"testing"
)

// The examples of RFC 9285, sections 4.3 and 4.4.
func TestBase45(t *testing.T) {
	for plain, code := range map[string]string{"AB": "BB8", "Hello!!": "%69 VD92EX0", "base-45": "UJCLQE7W581", "ietf!": "QED8WEX0", "": ""} {
		if got := Encode45([]byte(plain)); got != code {
			t.Errorf("%q is written as %q, not %q", plain, got, code)
		}
		if got, err := Decode45(code); err != nil || string(got) != plain {
			t.Errorf("%q is read as %q, %v", code, got, err)
		}
	}
	for _, bad := range []string{"GGW", "A", "BB8A", "bb8", "::", "::: ", "BB\u00e9"} {
		if got, err := Decode45(bad); err == nil {
			t.Errorf("%q is read as %x", bad, got)
		}
	}
}

func FuzzBase45(f *testing.F) {
	f.Add([]byte("Hello!!"))
	f.Fuzz(func(t *testing.T, b []byte) {
		got, err := Decode45(Encode45(b))
		if err != nil || !bytes.Equal(got, b) {
			t.Errorf("got %x, %v", got, err)
		}
	})
}
