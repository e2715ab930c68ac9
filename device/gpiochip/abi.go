package gpiochip

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"gatepost/device"

	"golang.org/x/sys/unix"
)

// Requests, structures and flags of linux/gpio.h, version 2, for lines one at a time.
const (
	getChipInfo  = 0x8044b401 // GPIO_GET_CHIPINFO_IOCTL
	getLineInfo  = 0xc100b405 // GPIO_V2_GET_LINEINFO_IOCTL
	getLine      = 0xc250b407 // GPIO_V2_GET_LINE_IOCTL
	setConfig    = 0xc110b40d // GPIO_V2_LINE_SET_CONFIG_IOCTL
	getValues    = 0xc010b40e // GPIO_V2_LINE_GET_VALUES_IOCTL
	setValues    = 0xc010b40f // GPIO_V2_LINE_SET_VALUES_IOCTL
	outputValues = 2          // GPIO_V2_LINE_ATTR_ID_OUTPUT_VALUES

	activeLow    = 1 << 1
	input        = 1 << 2
	output       = 1 << 3
	edgeRising   = 1 << 4
	edgeFalling  = 1 << 5
	biasPullUp   = 1 << 8
	biasPullDown = 1 << 9
	biasDisabled = 1 << 10
)

type chipInfo struct {
	name, label [32]byte
	lines       uint32
}

type lineInfo struct {
	name, consumer [32]byte
	offset, _      uint32 // and the number of attributes
	_              uint64 // flags
	_              [10]attribute
	_              [4]uint32
}

type attribute struct {
	id, _ uint32
	value uint64
}

type lineConfig struct {
	flags    uint64
	numAttrs uint32
	_        [5]uint32
	attrs    [10]struct {
		attribute
		mask uint64
	}
}

type lineRequest struct {
	offsets  [64]uint32
	consumer [32]byte
	config   lineConfig
	numLines uint32
	_        [6]uint32 // the first: how many events to keep; 0 is the kernel's 16
	fd       int32
}

type lineValues struct{ bits, mask uint64 }

// eventSize is the size of struct gpio_v2_line_event.
const eventSize = 48

// ioctl says device.ErrGone when the chip was taken away.
func ioctl[T any](fd uintptr, request uintptr, arg *T) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, fd, request, uintptr(unsafe.Pointer(arg)))
		switch e {
		case 0:
			return nil
		case unix.EINTR:
		case unix.ENODEV, unix.ENXIO:
			return fmt.Errorf("%w: %w", device.ErrGone, e)
		default:
			return e
		}
	}
}

// call is ioctl on an open file, which stays open meanwhile.
func call[T any](f *os.File, request uintptr, arg *T) error {
	raw, err := f.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	err = raw.Control(func(fd uintptr) { failed = ioctl(fd, request, arg) })
	return errors.Join(err, failed)
}

// text returns what stands before the first zero.
func text(b [32]byte) string { return unix.ByteSliceToString(b[:]) }
