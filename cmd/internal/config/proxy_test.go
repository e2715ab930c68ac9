package config

import (
	"strings"
	"testing"
)

func TestProxy(t *testing.T) {
	for text, want := range map[string]string{
		``:                                     "",
		`proxy = ""`:                           "",
		`proxy = "http://proxy.example:3128"`:  "http://proxy.example:3128",
		`proxy = "http://gate:secret@[::1]:8"`: "http://gate:secret@[::1]:8",
	} {
		k, err := ParseKiosk([]byte("schema = 1\n[uplink]\n" + text + "\n"))
		if err != nil || (k.Proxy == nil) != (want == "") || k.Proxy != nil && k.Proxy.String() != want {
			t.Errorf("%s: %v, %v", text, k, err)
		}
	}
	for _, text := range []string{`proxy = "proxy.example:3128"`, `proxy = "socks5://secret@proxy.example"`, `proxy = "http://"`, `proxy = "http://secret@%zz"`} {
		_, err := ParseKiosk([]byte("schema = 1\n[uplink]\n" + text + "\n"))
		if err == nil || !strings.Contains(err.Error(), "line 3: uplink.proxy") || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", text, err)
		}
	}
}
