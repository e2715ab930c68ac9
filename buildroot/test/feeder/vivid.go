package main

import (
	"errors"
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Requests and structures of linux/videodev2.h on 64-bit machines.
const (
	setFormat      = 0xc0d05605 // VIDIOC_S_FMT, 208 bytes
	requestBuffers = 0xc0145608 // VIDIOC_REQBUFS, 20 bytes
	queryBuffer    = 0xc0585609 // VIDIOC_QUERYBUF, 88 bytes
	queueBuffer    = 0xc058560f // VIDIOC_QBUF
	dequeueBuffer  = 0xc0585611 // VIDIOC_DQBUF
	streamOn       = 0x40045612 // VIDIOC_STREAMON
	setControl     = 0xc008561c // VIDIOC_S_CTRL, 8 bytes
	setTimings     = 0xc0845657 // VIDIOC_S_DV_TIMINGS, 132 bytes

	// Controls of vivid-ctrls.c.
	textMode  = 0x00f0f000 + 1  // VIVID_CID_OSD_TEXT_MODE
	loopVideo = 0x00f0f000 + 37 // VIVID_CID_LOOP_VIDEO
	noText    = 2

	videoOutput = 2                                // V4L2_BUF_TYPE_VIDEO_OUTPUT
	memoryMmap  = 1                                // V4L2_MEMORY_MMAP
	progressive = 1                                // V4L2_FIELD_NONE
	grey        = 'G' | 'R'<<8 | 'E'<<16 | 'Y'<<24 // both ends need the same format, or nothing is looped
	buffers     = 4                                // an output queue that runs dry shows colour bars
)

// timings is struct v4l2_dv_timings, which is packed: hence a pixel clock of two halves.
type timings struct {
	_             uint32 // type: 0
	width, height uint32
	_             [2]uint32 // progressive, polarities
	clock, _      uint32    // pixels a second
	porches       [9]uint32 // front, sync, back: horizontal, vertical, second field
	_             [17]uint32
}

// vga is CEA-861's 640x480 at 60 pictures a second, the smallest that the driver's output takes.
var vga = timings{
	width: width, height: height, clock: 25_175_000,
	porches: [9]uint32{16, 96, 48, 10, 2, 33},
}

// format is struct v4l2_format.
type format struct {
	kind, _                              uint32
	width, height, pixels, field, stride uint32
	_                                    [45]uint32
}

// buffer is struct v4l2_buffer.
type buffer struct {
	index, kind, used, _, field, _ uint32
	_                              [2]int64  // time
	_                              [5]uint32 // timecode, number of the picture
	memory                         uint32
	offset                         uint64
	length, _, _, _                uint32
}

func ioctl[T any](fd int, request uintptr, arg *T) error {
	for {
		_, _, e := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), request, uintptr(unsafe.Pointer(arg)))
		if e == 0 {
			return nil
		}
		if e != unix.EINTR {
			return e
		}
	}
}

// loop makes the input show what the output is given.
func loop(input string) error {
	fd, err := unix.Open(input, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	t := vga
	if err := ioctl(fd, setTimings, &t); err != nil {
		return fmt.Errorf("set timings: %w", err)
	}
	for _, control := range [][2]uint32{{loopVideo, 1}, {textMode, noText}} { // a text would cover the codes
		if err := ioctl(fd, setControl, &control); err != nil {
			return fmt.Errorf("set control %x: %w", control[0], err)
		}
	}
	return nil
}

// output is a video output that streams.
type output struct {
	fd   int
	mem  [][]byte
	free []buffer // not queued yet, while the stream is being started
	on   bool
}

func openOutput(path string) (*output, error) {
	fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	o := &output{fd: fd}
	if err := o.prepare(); err != nil {
		o.close()
		return nil, err
	}
	return o, nil
}

// prepare sets size and format, and maps the buffers.
func (o *output) prepare() error {
	t := vga
	if err := ioctl(o.fd, setTimings, &t); err != nil {
		return fmt.Errorf("set timings: %w", err)
	}
	f := format{kind: videoOutput, width: width, height: height, pixels: grey, field: progressive}
	if err := ioctl(o.fd, setFormat, &f); err != nil {
		return fmt.Errorf("set format: %w", err)
	}
	if f.width != width || f.height != height || f.pixels != grey || f.stride != width {
		return fmt.Errorf("the driver took %dx%d, stride %d, format %08x", f.width, f.height, f.stride, f.pixels)
	}
	if err := ioctl(o.fd, requestBuffers, &[5]uint32{buffers, videoOutput, memoryMmap}); err != nil {
		return fmt.Errorf("request buffers: %w", err)
	}
	for i := range uint32(buffers) {
		b := buffer{index: i, kind: videoOutput, memory: memoryMmap}
		if err := ioctl(o.fd, queryBuffer, &b); err != nil {
			return fmt.Errorf("query buffer: %w", err)
		}
		mem, err := unix.Mmap(o.fd, int64(uint32(b.offset)), int(b.length), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
		if err != nil {
			return fmt.Errorf("map buffer: %w", err)
		}
		o.mem, o.free = append(o.mem, mem), append(o.free, b)
	}
	return nil
}

// show queues one picture, at the pace at which the device shows them.
func (o *output) show(picture []byte) error {
	b := buffer{kind: videoOutput, memory: memoryMmap}
	if len(o.free) > 0 {
		b, o.free = o.free[0], o.free[1:]
	} else if err := o.next(&b); err != nil {
		return err
	}
	if copy(o.mem[b.index], picture) != len(picture) {
		return errors.New("the picture is larger than a buffer")
	}
	b.used, b.field = uint32(len(picture)), progressive
	return ioctl(o.fd, queueBuffer, &b)
}

// next waits for a buffer that was shown.
func (o *output) next(b *buffer) error {
	if !o.on {
		kind := uint32(videoOutput)
		if err := ioctl(o.fd, streamOn, &kind); err != nil {
			return fmt.Errorf("start: %w", err)
		}
		o.on = true
	}
	return ioctl(o.fd, dequeueBuffer, b)
}

func (o *output) close() {
	for _, m := range o.mem {
		unix.Munmap(m)
	}
	unix.Close(o.fd)
}
