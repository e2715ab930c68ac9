package gpiochip

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"unsafe"

	"gatepost/device"

	"periph.io/x/conn/v3/gpio"
)

// The kernel takes the structures by their size, which stands in the request's number too.
func TestSizesAreTheKernels(t *testing.T) {
	for _, c := range []struct {
		name    string
		size    uintptr
		request uintptr
	}{
		{"chipInfo", unsafe.Sizeof(chipInfo{}), getChipInfo},
		{"lineInfo", unsafe.Sizeof(lineInfo{}), getLineInfo},
		{"lineRequest", unsafe.Sizeof(lineRequest{}), getLine},
		{"lineConfig", unsafe.Sizeof(lineConfig{}), setConfig},
		{"lineValues", unsafe.Sizeof(lineValues{}), getValues},
		{"lineValues", unsafe.Sizeof(lineValues{}), setValues},
	} {
		if want := c.request >> 16 & 0x3fff; c.size != want {
			t.Errorf("%s has %d bytes, its request %d", c.name, c.size, want)
		}
	}
	if at := unsafe.Offsetof(lineRequest{}.fd); at != 588 {
		t.Errorf("lineRequest.fd lies at %d, the kernel's at 588", at)
	}
}

func TestNoChipIsGone(t *testing.T) {
	for _, chip := range []string{filepath.Join(t.TempDir(), "gpiochip0"), "no-such-label"} {
		if _, err := Open(chip); !errors.Is(err, device.ErrGone) {
			t.Errorf("open %q: %v", chip, err)
		}
	}
}

func TestOtherFileIsNoChip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, chip := range []string{path, "/dev/null"} {
		if c, err := Open(chip); err == nil {
			t.Errorf("%s was opened as %s", chip, c)
		}
	}
}

func TestInputFlags(t *testing.T) {
	for _, c := range []struct {
		pull gpio.Pull
		edge gpio.Edge
		want uint64
	}{
		{gpio.PullNoChange, gpio.NoEdge, 0x4},
		{gpio.PullUp, gpio.BothEdges, 0x134},
		{gpio.PullDown, gpio.RisingEdge, 0x214},
		{gpio.Float, gpio.FallingEdge, 0x424},
	} {
		if got := inputFlags(c.pull, c.edge); got != c.want {
			t.Errorf("%s, %s: flags %#x, want %#x", c.pull, c.edge, got, c.want)
		}
	}
}
