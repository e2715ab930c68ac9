package wire_test

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"
	"time"

	"gatepost/sync/wire"
)

func TestTime(t *testing.T) {
	hub := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{2}, 32))
	hubPub := hub.Public().(ed25519.PublicKey)
	nonce, at := strings.Repeat("0a", wire.NonceSize), time.UnixMilli(1795400000123).UTC()
	told := wire.NewTime(hub, "d1", nonce, at)
	if got, err := told.Check(hubPub, "d1", nonce); err != nil || !got.Equal(at) {
		t.Errorf("%v, %v", got, err)
	}
	later := told
	later.At++
	for name, c := range map[string]struct {
		t             wire.Time
		device, nonce string
	}{
		"of another contact": {told, "d1", strings.Repeat("0b", wire.NonceSize)},
		"for another device": {told, "d2", nonce},
		"changed":            {later, "d1", nonce},
		"nobody's":           {wire.Time{Nonce: nonce}, "d1", nonce},
	} {
		if got, err := c.t.Check(hubPub, c.device, c.nonce); err == nil {
			t.Errorf("%s: %v", name, got)
		}
	}
	if _, err := told.Check(pub, "d1", nonce); err == nil {
		t.Error("signed by another")
	}
	for s, ok := range map[string]bool{nonce: true, "": false, nonce[2:]: false, nonce + "00": false, strings.Repeat("zz", 16): false} {
		if err := wire.ParseNonce(s); (err == nil) != ok {
			t.Errorf("%q: %v", s, err)
		}
	}
}
