package main

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests of linux/uinput.h, and codes of linux/input-event-codes.h.
const (
	deviceCreate = 0x5501     // UI_DEV_CREATE
	deviceSetup  = 0x405c5503 // UI_DEV_SETUP, 92 bytes
	axisSetup    = 0x401c5504 // UI_ABS_SETUP, 28 bytes
	setEventBit  = 0x40045564
	setKeyBit    = 0x40045565
	setAxisBit   = 0x40045567

	key, absolute = 1, 3
	absX, absY    = 0, 1
	touched       = 330
	shift         = 42
	axisMax       = 1000
)

// The rows of a US keyboard, from the code of their first key on.
var rows = []struct {
	code           uint16
	plain, shifted string
}{
	{2, "1234567890-=", "!@#$%^&*()_+"},
	{16, "qwertyuiop[]\n", "QWERTYUIOP{}"},
	{30, "asdfghjkl;'`", "ASDFGHJKL:\"~"},
	{43, "\\zxcvbnm,./", "|ZXCVBNM<>?"},
	{57, " ", ""},
}

type event struct {
	kind, code uint16
	value      int32
}

// An input is a device that this program plays.
type input struct{ *os.File }

// plug makes a keyboard, or, with axes, a touch panel.
func plug(name string, axes []uint16) (*input, error) {
	f, err := os.OpenFile("/dev/uinput", os.O_WRONLY, 0)
	if err != nil {
		return nil, err
	}
	fd := int(f.Fd())
	bits := [][2]int{{setEventBit, key}, {setKeyBit, touched}}
	if len(axes) == 0 {
		bits = [][2]int{{setEventBit, key}}
		for code := 1; code < 84; code++ {
			bits = append(bits, [2]int{setKeyBit, code})
		}
	}
	for _, axis := range axes {
		bits = append(bits, [2]int{setEventBit, absolute}, [2]int{setAxisBit, int(axis)})
	}
	for _, b := range bits {
		if err := unix.IoctlSetInt(fd, uint(b[0]), b[1]); err != nil {
			return nil, fmt.Errorf("set bit %d: %w", b[1], err)
		}
	}
	for _, axis := range axes {
		var setup [28]byte // struct uinput_abs_setup: code, then value, minimum, maximum, …
		binary.NativeEndian.PutUint16(setup[:], axis)
		binary.NativeEndian.PutUint32(setup[12:], axisMax)
		if err := ioctl(fd, axisSetup, unsafe.Pointer(&setup)); err != nil {
			return nil, err
		}
	}
	var setup [92]byte // struct uinput_setup: bus, vendor, product, version, then the name
	binary.NativeEndian.PutUint16(setup[:], 3)
	copy(setup[8:87], name)
	if err := ioctl(fd, deviceSetup, unsafe.Pointer(&setup)); err != nil {
		return nil, err
	}
	return &input{f}, ioctl(fd, deviceCreate, nil)
}

func ioctl(fd int, request uintptr, arg unsafe.Pointer) error {
	if _, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(arg)); e != 0 {
		return e
	}
	return nil
}

// press types one letter of ASCII; what the keyboard lacks is left out.
func (d *input) press(letter rune) error {
	for _, row := range rows {
		if i := strings.IndexRune(row.plain, letter); i >= 0 {
			code := row.code + uint16(i)
			return d.send(event{key, code, 1}, event{}, event{key, code, 0}, event{})
		}
		if i := strings.IndexRune(row.shifted, letter); i >= 0 {
			code := row.code + uint16(i)
			return d.send(event{key, shift, 1}, event{key, code, 1}, event{}, event{key, code, 0}, event{key, shift, 0}, event{})
		}
	}
	return nil
}

// send writes events; the zero one ends a report.
func (d *input) send(all ...event) error {
	for _, e := range all {
		var b [24]byte // struct input_event on a 64-bit machine; the kernel puts the time in
		binary.NativeEndian.PutUint16(b[16:], e.kind)
		binary.NativeEndian.PutUint16(b[18:], e.code)
		binary.NativeEndian.PutUint32(b[20:], uint32(e.value))
		if _, err := d.Write(b[:]); err != nil {
			return err
		}
	}
	return nil
}
