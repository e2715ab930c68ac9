package uplink

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gatepost/sync/wire"
)

// on returns what the stick at dir has for a device, as texts.
func on(t *testing.T, dir, device string) (list []string) {
	t.Helper()
	raws, err := open(t, dir).Orders(device)
	if err != nil {
		t.Fatal(err)
	}
	for _, raw := range raws {
		o, err := wire.ParseOrder(raw)
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, o.String())
	}
	slices.Sort(list)
	return list
}

// Orders lie on a stick for one device or for all; one that is limited to areas never lies there for all.
func TestOrdersOnAStick(t *testing.T) {
	const one, other = "00000000000000a1", "00000000000000b2"
	dir := t.TempDir()
	if got := on(t, dir, one); got != nil {
		t.Errorf("an empty stick has %v", got)
	}
	limited, err := wire.SignOrder(issuer, wire.Order{Kind: "policy", Serial: 8, Percent: 100, Areas: []string{"Mê Linh"}, Body: []byte("x")})
	if err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	for _, p := range []struct {
		device string
		raw    []byte
		ok     bool
	}{
		{"", order(t, "trust", 1), true},
		{one, order(t, "policy", 7), true},
		{one, limited, true},
		{"", limited, false},
		{"", []byte("junk"), false},
		{"../0000000000000", order(t, "trust", 1), false},
	} {
		if err := s.PutOrder(p.device, p.raw); (err == nil) != p.ok {
			t.Errorf("%q: %v", p.device, err)
		}
	}
	if got := on(t, dir, one); !slices.Equal(got, []string{"policy 7", "policy 8", "trust 1"}) {
		t.Errorf("for one: %v", got)
	}
	if got := on(t, dir, other); !slices.Equal(got, []string{"trust 1"}) {
		t.Errorf("for another: %v", got)
	}
	if err := s.KeepOrders(one, [][]byte{limited}); err != nil {
		t.Fatal(err)
	}
	if got := on(t, dir, one); !slices.Equal(got, []string{"policy 8", "trust 1"}) {
		t.Errorf("after the next import: %v", got)
	}
	if ids, err := s.Devices(); err != nil || len(ids) > 0 {
		t.Errorf("devices %v, %v", ids, err)
	}
	for name, raw := range files(t, dir) {
		if base := filepath.Base(name); len(base) > 60 || strings.Trim(base, "0123456789abcdefghijklmnopqrstuvwxyz.-") != "" {
			t.Errorf("name %q", base)
		}
		if _, err := wire.ParseOrder([]byte(raw)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A stick that is pulled out at any byte leaves whole orders and no others, and the next visit finishes.
func TestStickPulledOutUnderAnOrder(t *testing.T) {
	const one = "00000000000000a1"
	raw := order(t, "policy", 1)
	for cut := range len(raw) + 1 {
		dir := t.TempDir()
		folder := filepath.Join(dir, stickTop, stickDown, one)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		o, err := wire.ParseOrder(raw)
		if err != nil {
			t.Fatal(err)
		}
		part := filepath.Join(folder, orderFile(o)+stickPart)
		if err := os.WriteFile(part, raw[:cut], 0o644); err != nil {
			t.Fatal(err)
		}
		if got := on(t, dir, one); got != nil {
			t.Fatalf("cut at %d: %v", cut, got)
		}
		if err := open(t, dir).PutOrder(one, raw); err != nil {
			t.Fatal(err)
		}
		got, err := open(t, dir).Orders(one)
		if err != nil || len(got) != 1 || !bytes.Equal(got[0], raw) {
			t.Fatalf("cut at %d: %d orders, %v", cut, len(got), err)
		}
		if _, err := os.Stat(part); !os.IsNotExist(err) {
			t.Fatalf("cut at %d: the part stays", cut)
		}
		if err := os.WriteFile(filepath.Join(folder, "z.order"), raw[:cut], 0o644); err != nil { // a file system that lost its end
			t.Fatal(err)
		}
		if got := on(t, dir, one); cut < len(raw) && !slices.Equal(got, []string{"policy 1"}) {
			t.Fatalf("cut at %d: %v", cut, got)
		}
	}
}

// Whatever lies on a stick, it costs no more than its limits.
func TestBadOrdersOnAStick(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, stickTop, stickDown)
	if err := os.MkdirAll(filepath.Join(folder, "folder.order"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string][]byte{"large.order": make([]byte, wire.MaxOrder+1), "empty.order": nil, "notes.txt": []byte("hello")} {
		if err := os.WriteFile(filepath.Join(folder, name), raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("/etc/hostname", filepath.Join(folder, "link.order")); err != nil {
		t.Fatal(err)
	}
	if got := on(t, dir, "00000000000000a1"); got != nil {
		t.Errorf("%v", got)
	}
	for i := range 2*wire.MaxSlots + 1 {
		if err := os.WriteFile(filepath.Join(folder, orderFileOf(t, uint64(i+1))), order(t, "policy", uint64(i+1)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := open(t, dir).Orders("00000000000000a1")
	if err == nil || len(got) != 2*wire.MaxSlots {
		t.Errorf("%d orders, %v", len(got), err)
	}
}

func orderFileOf(t *testing.T, serial uint64) string {
	t.Helper()
	o, err := wire.ParseOrder(order(t, "policy", serial))
	if err != nil {
		t.Fatal(err)
	}
	return orderFile(o)
}
