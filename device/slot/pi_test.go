package slot

import (
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// firmware leaves what a Pi's does, and returns the Pi.
func firmware(t *testing.T, autoboot []byte, numbers map[string]uint32) Pi {
	t.Helper()
	dir := t.TempDir()
	p := Pi{Autoboot: filepath.Join(dir, "autoboot.txt"), Chosen: dir}
	if err := os.WriteFile(p.Autoboot, autoboot, 0o644); err != nil {
		t.Fatal(err)
	}
	for name, n := range numbers {
		if err := os.WriteFile(filepath.Join(dir, name), binary.BigEndian.AppendUint32(nil, n), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

func TestPi(t *testing.T) {
	for _, c := range []struct {
		def       Slot
		numbers   map[string]uint32
		booted    Slot
		wantTried bool
	}{
		{A, map[string]uint32{"partition": 2}, A, false},
		{A, map[string]uint32{"partition": 2, "tryboot": 0}, A, false},
		{A, map[string]uint32{"partition": 3, "tryboot": 1}, B, true},
		{B, map[string]uint32{"partition": 3, "tryboot": 0}, B, false},
	} {
		p, err := OpenPi(firmware(t, Autoboot(c.def), c.numbers))
		if err != nil {
			t.Fatal(err)
		}
		def, err := p.Default()
		s, tried := p.Booted()
		if err != nil || def != c.def || s != c.booted || tried != c.wantTried {
			t.Errorf("%+v: default %v, booted %v, tried %v, %v", c, def, s, tried, err)
		}
	}
}

func TestNoPi(t *testing.T) {
	if _, err := OpenPi(Pi{Autoboot: filepath.Join(t.TempDir(), "none")}); !errors.Is(err, ErrNoBoard) {
		t.Error(err)
	}
	if _, err := OpenPi(firmware(t, Autoboot(A), nil)); !errors.Is(err, ErrNoBoard) {
		t.Error(err)
	}
	if _, err := OpenPi(firmware(t, []byte("[all]\nboot_partition=7\n"), map[string]uint32{"partition": 2})); err == nil {
		t.Error("a partition that is no slot")
	}
}

func FuzzAutoboot(f *testing.F) {
	f.Add(Autoboot(A))
	f.Add(Autoboot(B))
	f.Add([]byte("[tryboot]\nboot_partition=3\n[all]\r\nboot_partition=2\r\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := ParseAutoboot(raw)
		if err != nil {
			return
		}
		if again, err := ParseAutoboot(Autoboot(s)); err != nil || again != s || len(Autoboot(s)) != AutobootSize {
			t.Errorf("%v, %v", again, err)
		}
	})
}
