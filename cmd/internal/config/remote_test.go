package config

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// A part from afar sets what it says and nothing else.
func TestRemote(t *testing.T) {
	base, err := ParseKiosk([]byte("schema = 1\nuplink.proxy = \"http://old.example:1\"\n[[lane]]\nname = \"a\"\nsource = \"auto\"\ndirection = \"in\"\n[[lane]]\nname = \"b\"\nsource = \"auto\"\ndirection = \"in\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]func(k *Kiosk) bool{
		"schema = 1\n": func(k *Kiosk) bool {
			return fmt.Sprint(k.Uplink, k.Venue, k.Lanes) == fmt.Sprint(base.Uplink, base.Venue, base.Lanes)
		},
		"schema = 1\nuplink.proxy = \"\"\n":                                       func(k *Kiosk) bool { return k.Proxy == nil },
		"schema = 1\nuplink.interval = \"5s\"\n":                                  func(k *Kiosk) bool { return k.Interval == 5*time.Second && k.Proxy.Host == "old.example:1" },
		"schema = 1\nvenue.retain = \"1h\"\n":                                     func(k *Kiosk) bool { return k.Retain == time.Hour },
		"\uFEFFschema = 1\r\n[[lane]]\r\nname = \"b\"\r\ndirection = \"out\"\r\n": func(k *Kiosk) bool { return k.Lanes[0].Direction == "in" && k.Lanes[1].Direction == "out" },
	} {
		r, err := ParseRemote([]byte(text))
		if err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		k, err := r.Over(base)
		if err != nil || !want(k) {
			t.Errorf("%q: %+v, %v", text, k, err)
		}
	}
	if base.Lanes[1].Direction != "in" || base.Proxy.Host != "old.example:1" {
		t.Error("the configuration itself has changed")
	}
	r, err := ParseRemote([]byte("schema = 1\nuplink.hub = \"https://hub.example\"\n"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Over(base); err == nil || !strings.Contains(err.Error(), "receipt") {
		t.Errorf("a kiosk without a receipt key gets a hub: %v", err)
	}
}

// Every fault is told with its line, and no password.
func TestRemoteFaults(t *testing.T) {
	_, err := ParseRemote([]byte(`schema = 1
data = "elsewhere"
[venue]
retain = "soon"
name = "mine"
[uplink]
hub = "http://hub.example"
proxy = "socks5://secret@proxy.example"
ca = "ca.pem"
interval = "1ms"
receipt_key = "mine.pem"
[[lane]]
name = "a"
direction = "up"
source = "sim:"
`))
	for _, want := range []string{
		"line 2: data: unknown", "line 4: venue.retain", "line 5: venue.name: unknown", "line 7: uplink.hub", "line 8: uplink.proxy", "line 9: uplink.ca",
		"line 10: uplink.interval", "line 11: uplink.receipt_key: unknown", "line 14: lane.0.direction", "line 15: lane.0.source: unknown",
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no %q in\n%v", want, err)
		}
	}
	if err != nil && strings.Contains(err.Error(), "secret") {
		t.Errorf("a password: %v", err)
	}
	if _, err := ParseRemote([]byte("uplink.interval = \"5s\"\n")); err == nil {
		t.Error("a file without a schema is taken")
	}
}
