package config

import (
	"fmt"
	"strings"
	"testing"
)

func TestLAN(t *testing.T) {
	peer := "[[peer]]\nname = %q\naddress = \"https://192.0.2.2:8444\"\nkey = \"peer.pub.pem\"\n"
	k, err := ParseKiosk([]byte("schema = 1\n[lan]\nlisten = \"192.0.2.1:8444\"\ntokens = \"words\"\n" + fmt.Sprintf(peer, "gate-2") + fmt.Sprintf(peer, "gate-3")))
	if err != nil || len(k.Peers) != 2 || k.Peers[1].Name != "gate-3" {
		t.Fatalf("%+v, %v", k, err)
	}
	k.resolve("/etc/gate")
	if k.Peers[0].Key != "/etc/gate/peer.pub.pem" || k.LAN.Tokens != "/etc/gate/words" {
		t.Errorf("%+v", k)
	}
	many := ""
	for i := range maxPeers + 1 {
		many += fmt.Sprintf(peer, fmt.Sprint(i))
	}
	for text, want := range map[string]string{
		"[lan]\nlisten = \"192.0.2.1\"":                        "line 3: lan.listen",
		"[lan]\ntokens = \"words\"":                            "line 3: lan.tokens",
		"[[peer]]\naddress = \"https://192.0.2.2:8444\"":       "peer.0.name",
		"[[peer]]\nname = \"a\"\naddress = \"http://192.0.2\"": "line 4: peer.0.address",
		"[[peer]]\nname = \"a\"":                               "peer.0.key",
		fmt.Sprintf(peer, "a") + fmt.Sprintf(peer, "a"):        "peer.1.name",
		many: "16 peers",
	} {
		if _, err := ParseKiosk([]byte("schema = 1\n" + text + "\n")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestLoopback(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "localhost:80": true, "127.9.9.9:80": true,
		":80": false, "0.0.0.0:80": false, "[::]:80": false, "192.0.2.7:80": false, "localhost.example:80": false, "127.0.0.1": false, "": false,
	} {
		if got := Loopback(address); got != want {
			t.Errorf("%q: %v", address, got)
		}
	}
}
