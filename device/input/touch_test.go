package input

import (
	"context"
	"encoding/binary"
	"errors"
	"image"
	"os"
	"path/filepath"
	"testing"

	"gatepost/device"
)

// panel returns a panel of 0 to 4095 over 800 x 480 pixels, and what writes events into it.
func panel(t *testing.T) (*Panel, func(...event)) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	p := &Panel{file: r, width: 800, height: 480, x: axis{0, 4095}, y: axis{0, 4095}, block: make([]byte, 64*eventSize)}
	return p, func(all ...event) {
		for _, e := range all {
			b := make([]byte, eventSize)
			binary.NativeEndian.PutUint16(b[timeSize:], e.kind)
			binary.NativeEndian.PutUint16(b[timeSize+2:], e.code)
			binary.NativeEndian.PutUint32(b[timeSize+4:], uint32(e.value))
			if _, err := w.Write(b); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestPanel(t *testing.T) {
	p, send := panel(t)
	sync := event{kindSync, syncReport, 0}
	send(
		event{kindAbs, singleX, 4095}, event{kindAbs, singleY, 0}, event{kindKey, touched, 1}, sync,
		event{kindAbs, singleX, 2000}, sync, // the finger moves
		event{kindKey, touched, 0}, sync,
		event{kindKey, touched, 1}, event{kindAbs, severalX, 0}, event{kindAbs, severalY, 9999}, sync, // position after contact
	)
	for _, want := range []image.Point{{799, 0}, {0, 479}} {
		if got, err := p.Next(t.Context()); got != want || err != nil {
			t.Errorf("%v, %v, want %v", got, err, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after its context: %v", err)
	}
	p.Close()
	if _, err := p.Next(t.Context()); !errors.Is(err, device.ErrGone) {
		t.Errorf("closed: %v", err)
	}
}

func TestNoPanel(t *testing.T) {
	if _, err := OpenPanel(filepath.Join(t.TempDir(), "event0"), 800, 480); !errors.Is(err, device.ErrGone) {
		t.Errorf("no node: %v", err)
	}
	if _, err := OpenPanel("/dev/null", 800, 480); err == nil || errors.Is(err, device.ErrGone) {
		t.Errorf("no panel: %v", err)
	}
}

func TestFindNode(t *testing.T) {
	dir := t.TempDir()
	for node, name := range map[string]string{"event3": "USB Barcode Scanner\n", "event10": "Touch", "event12": "USB Barcode Scanner\n"} {
		if err := os.MkdirAll(filepath.Join(dir, node, "device"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, node, "device/name"), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for pattern, want := range map[string]string{
		"*Barcode*": "/dev/input/event3", "Touch": "/dev/input/event10", "touch": "", "": "",
		filepath.Join(dir, "event1*"): filepath.Join(dir, "event10"), filepath.Join(dir, "mouse*"): "",
	} {
		got, err := findNode(pattern, dir, "/dev/input")
		if got != want || errors.Is(err, device.ErrGone) != (want == "") {
			t.Errorf("%q: %q, %v", pattern, got, err)
		}
	}
}
