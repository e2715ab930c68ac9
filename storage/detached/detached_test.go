package detached

import (
	"crypto/ed25519"
	"strings"
	"testing"
)

func TestVerify(t *testing.T) {
	key := ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))
	pub := key.Public().(ed25519.PublicKey)
	other := ed25519.NewKeyFromSeed([]byte(strings.Repeat("o", ed25519.SeedSize))).Public().(ed25519.PublicKey)
	sig := Sign(key, "form\n", []byte("text"))
	crlf := "\r\n " + strings.TrimSpace(string(sig)) + "\r\n"
	for what, c := range map[string]struct {
		key                ed25519.PublicKey
		context, text, sig string
		want               bool
	}{
		"as signed":        {pub, "form\n", "text", string(sig), true},
		"other line ends":  {pub, "form\n", "text", crlf, true},
		"another use":      {pub, "image\n", "text", string(sig), false},
		"moved border":     {pub, "form\nt", "ext", string(sig), true}, // why a context ends with a line feed
		"another text":     {pub, "form\n", "texts", string(sig), false},
		"another key":      {other, "form\n", "text", string(sig), false},
		"no key":           {nil, "form\n", "text", string(sig), false},
		"no base64":        {pub, "form\n", "text", "?", false},
		"nothing":          {pub, "form\n", "text", "", false},
		"half a signature": {pub, "form\n", "text", string(sig[:44]), false},
	} {
		if got := Verify(c.key, c.context, []byte(c.text), []byte(c.sig)); got != c.want {
			t.Errorf("%s: %v", what, got)
		}
	}
}
