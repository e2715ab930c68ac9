package wire

import (
	"crypto/ed25519"
	"errors"
	"strings"
	"testing"
	"time"
)

var (
	badgeKey  = ed25519.NewKeyFromSeed([]byte(strings.Repeat("b", 32)))
	someBadge = Badge{
		Number: "g-017", Role: RoleGuard, Venue: "Nhà máy Mẫu",
		Issued: time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2027, 11, 1, 0, 0, 0, 0, time.UTC),
	}
)

func TestBadge(t *testing.T) {
	text, err := SignBadge(badgeKey, someBadge)
	if err != nil || len(text) > MaxBadge {
		t.Fatal(len(text), err)
	}
	pub := badgeKey.Public().(ed25519.PublicKey)
	if got, ok, err := ParseBadge(pub, text); !ok || err != nil || got != someBadge {
		t.Errorf("%+v, %v, %v", got, ok, err)
	}
	if _, ok, err := ParseBadge(pub, "GPE1:"+text[5:]); ok || err != nil {
		t.Errorf("another kind of code: %v, %v", ok, err)
	}
	other := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
	for what, c := range map[string]struct {
		key  ed25519.PublicKey
		text string
	}{
		"another issuer": {other, text},
		"no issuer":      {nil, text},
		"one letter":     {pub, text[:20] + string('A'+('B'-text[20])&1) + text[21:]},
		"cut":            {pub, text[:len(text)-8]},
		"empty":          {pub, badgePrefix},
		"no base32":      {pub, badgePrefix + "0189"},
		"endless":        {pub, text + strings.Repeat("A", MaxBadge)},
	} {
		if got, ok, err := ParseBadge(c.key, c.text); !ok || !errors.Is(err, ErrBadge) || got != (Badge{}) {
			t.Errorf("%s: %+v, %v, %v", what, got, ok, err)
		}
	}
}

func TestBadgesThatNobodySigns(t *testing.T) {
	for what, change := range map[string]func(*Badge){
		"no number":      func(b *Badge) { b.Number = "" },
		"a name":         func(b *Badge) { b.Number = "Nguyễn Văn A" },
		"another role":   func(b *Badge) { b.Role = "king" },
		"an endless end": func(b *Badge) { b.Venue = strings.Repeat("x", maxWord+1) },
		"over at once":   func(b *Badge) { b.Expires = b.Issued },
	} {
		b := someBadge
		change(&b)
		if text, err := SignBadge(badgeKey, b); err == nil {
			t.Errorf("%s: %s", what, text)
		}
	}
}

func FuzzBadge(f *testing.F) {
	text, err := SignBadge(badgeKey, someBadge)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(text)
	f.Add(badgePrefix)
	pub := badgeKey.Public().(ed25519.PublicKey)
	f.Fuzz(func(t *testing.T, text string) {
		b, ok, err := ParseBadge(pub, text)
		if !ok && (err != nil || strings.HasPrefix(text, badgePrefix)) || err != nil && !errors.Is(err, ErrBadge) {
			t.Errorf("%q: %v, %v", text, ok, err)
		}
		if ok && err == nil && b.check() != nil {
			t.Errorf("%q gives a badge that nobody signs", text)
		}
	})
}
