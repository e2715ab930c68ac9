package v4l

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/jpeg"
	"slices"
	"testing"
	"time"

	"gatepost/device"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

func TestChooseFormat(t *testing.T) {
	offer := func(codes ...webcam.PixelFormat) map[webcam.PixelFormat]string {
		m := map[webcam.PixelFormat]string{'R' | 'G'<<8 | 'B'<<16 | '3'<<24: "RGB"}
		for _, c := range codes {
			m[c] = "a format"
		}
		return m
	}
	for _, c := range []struct {
		offered map[webcam.PixelFormat]string
		want    webcam.PixelFormat
	}{
		{offer(fourMJPEG, fourYUYV, fourGrey), fourGrey},
		{offer(fourMJPEG, fourYUYV), fourYUYV},
		{offer(fourJPEG, fourMJPEG), fourMJPEG},
		{offer(fourJPEG), fourJPEG},
		{offer(), 0},
		{nil, 0}, // a metadata node
	} {
		if got, ok := chooseFormat(c.offered); got != c.want || ok != (c.want != 0) {
			t.Errorf("of %v chose %#x, %v", c.offered, got, ok)
		}
	}
	// What the kernel's header computes to.
	if fourGrey != 0x59455247 || fourYUYV != 0x56595559 || fourMJPEG != 0x47504a4d {
		t.Errorf("formats are %#x, %#x, %#x", fourGrey, fourYUYV, fourMJPEG)
	}
}

func TestChooseSize(t *testing.T) {
	one := func(w, h uint32) webcam.FrameSize {
		return webcam.FrameSize{MinWidth: w, MaxWidth: w, MinHeight: h, MaxHeight: h}
	}
	steps := func(lowW, highW, stepW, lowH, highH, stepH uint32) webcam.FrameSize {
		return webcam.FrameSize{MinWidth: lowW, MaxWidth: highW, StepWidth: stepW, MinHeight: lowH, MaxHeight: highH, StepHeight: stepH}
	}
	for _, c := range []struct {
		name    string
		offered []webcam.FrameSize
		w, h    uint32
	}{
		{"the usual ones", []webcam.FrameSize{one(1920, 1080), one(640, 480), one(1280, 720), one(320, 240)}, 640, 480},
		{"next above", []webcam.FrameSize{one(320, 240), one(1280, 720), one(800, 600), one(1920, 1080)}, 800, 600},
		{"720p", []webcam.FrameSize{one(1920, 1080), one(1280, 720), one(352, 288)}, 1280, 720},
		{"only small ones", []webcam.FrameSize{one(160, 120), one(320, 240)}, 320, 240},
		{"only large ones", []webcam.FrameSize{one(3840, 2160), one(1920, 1080)}, 1920, 1080},
		{"a range", []webcam.FrameSize{steps(32, 3840, 8, 32, 2160, 8)}, 640, 480},
		{"a range off its steps", []webcam.FrameSize{steps(30, 3840, 16, 30, 2160, 16)}, 638, 478},
		{"a range above", []webcam.FrameSize{steps(1000, 3840, 2, 700, 2160, 2)}, 1000, 700},
		{"a continuous range, which comes as zeros", []webcam.FrameSize{{}}, 640, 480},
		{"none told", nil, 640, 480},
		{"nonsense", []webcam.FrameSize{one(1<<31, 1<<31), steps(9, 3, 1, 9, 3, 1)}, 640, 480},
	} {
		if w, h := chooseSize(c.offered); w != c.w || h != c.h {
			t.Errorf("%s: chose %d x %d, want %d x %d", c.name, w, h, c.w, c.h)
		}
	}
}

func jpegOf(t *testing.T, w, h int) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, w, h)), nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestModeFrame(t *testing.T) {
	for _, c := range []struct {
		name   string
		mode   mode
		data   []byte
		stride int // -1: no such frame
	}{
		{"grey", mode{device.Grey, 640, 480}, make([]byte, 640*480), 640},
		{"yuyv", mode{device.YUYV, 640, 480}, make([]byte, 2*640*480), 1280},
		{"padded rows", mode{device.Grey, 638, 480}, make([]byte, 640*480), 640},
		{"another size was granted", mode{device.Grey, 640, 480}, make([]byte, 1280*720), -1},
		{"a smaller one", mode{device.YUYV, 640, 480}, make([]byte, 2*320*240), -1},
		{"cut short", mode{device.Grey, 640, 480}, make([]byte, 640*480-1), -1},
		{"nothing", mode{device.Grey, 640, 480}, nil, -1},
		{"a JPEG", mode{device.MJPEG, 640, 480}, jpegOf(t, 320, 200), 0},
		{"no JPEG", mode{device.MJPEG, 640, 480}, make([]byte, 100), -1},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := device.Frame{Data: c.data, Stride: 7}
			err := c.mode.frame(&f)
			if (err != nil) != (c.stride < 0) {
				t.Fatal(err)
			}
			if err == nil && (f.Stride != c.stride || f.Format != c.mode.format) {
				t.Errorf("%v, stride %d, want %d", f.Format, f.Stride, c.stride)
			}
			if c.mode.format == device.MJPEG && err == nil && (f.Width != 320 || f.Height != 200) {
				t.Errorf("%d x %d: the JPEG's own size counts", f.Width, f.Height)
			}
		})
	}
}

func TestInOrder(t *testing.T) {
	got := inOrder([]string{"/dev/video10", "/dev/video2", "/dev/video-x", "/dev/video0", "/dev/video"})
	if want := []string{"/dev/video0", "/dev/video2", "/dev/video10"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

// A driver plays a script: each wait takes its next step, whose frames are then ready.
type driver struct {
	t     *testing.T
	steps []step
	ready []byte          // one byte a frame of 2 x 2 pixels, which are all of it
	out   map[uint32]bool // buffers that are not given back
	index uint32
	err   error // of the next GetFrame
	shut  bool
}

type step struct {
	frames string
	wait   error
	get    error
}

func (d *driver) WaitForFrame(uint32) error {
	if len(d.steps) == 0 {
		return new(webcam.Timeout)
	}
	s := d.steps[0]
	d.steps = d.steps[1:]
	d.ready, d.err = []byte(s.frames), s.get
	return s.wait
}

func (d *driver) GetFrame() ([]byte, uint32, error) {
	if d.err != nil {
		return nil, 0, d.err
	}
	if len(d.ready) == 0 {
		return nil, 0, unix.EAGAIN
	}
	data := bytes.Repeat(d.ready[:1], 4)
	if d.ready[0] == '-' { // a frame cut short
		data = data[:3]
	}
	d.ready = d.ready[1:]
	d.index++
	d.out[d.index] = true
	return data, d.index, nil
}

func (d *driver) ReleaseFrame(index uint32) error {
	if !d.out[index] {
		d.t.Errorf("buffer %d is given back and was not taken", index)
	}
	delete(d.out, index)
	return nil
}

func (d *driver) Close() error {
	d.shut = true
	return nil
}

func play(t *testing.T, steps ...step) (*Camera, *driver) {
	d := &driver{t: t, steps: steps, out: map[uint32]bool{}}
	at := time.Date(2021, 10, 1, 6, 0, 0, 0, time.UTC)
	return &Camera{cam: d, mode: mode{device.Grey, 2, 2}, now: func() time.Time { return at }}, d
}

func TestNext(t *testing.T) {
	late := step{wait: new(webcam.Timeout)}
	for _, c := range []struct {
		name  string
		steps []step
		want  string // the frame's bytes; empty: the camera is gone
	}{
		{"a frame", []step{{frames: "a"}}, "aaaa"},
		{"the newest of three", []step{{frames: "abc"}}, "cccc"},
		{"no more than wait at once", []step{{frames: "abcdefgh"}}, "dddd"},
		{"late", []step{late, late, {frames: "a"}}, "aaaa"},
		{"woken for nothing", []step{{}, {frames: "a"}}, "aaaa"},
		{"cut short, then whole", []step{{frames: "-"}, {frames: "a"}}, "aaaa"},
		{"silent", nil, ""},
		{"always of a wrong size", slices.Repeat([]step{{frames: "-"}}, 100), ""},
		{"unplugged while waiting", []step{{wait: unix.ENODEV}, {frames: "a"}}, ""},
		{"unplugged while reading", []step{{get: unix.ENODEV}, {frames: "a"}}, ""},
		{"any other fault", []step{{get: unix.EIO}, {frames: "a"}}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			cam, d := play(t, c.steps...)
			var f device.Frame
			err := cam.Next(t.Context(), &f)
			if c.want == "" {
				if !errors.Is(err, device.ErrGone) {
					t.Errorf("got %q, %v", f.Data, err)
				}
				return
			}
			if err != nil || string(f.Data) != c.want || f.Stride != 2 || !f.At.Equal(cam.now()) {
				t.Errorf("got %q, stride %d at %v, %v", f.Data, f.Stride, f.At, err)
			}
			if len(d.out) != 0 {
				t.Errorf("%d buffers are not given back", len(d.out))
			}
		})
	}
}

func TestNextEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cam, d := play(t, step{frames: "a"})
	if err := cam.Next(ctx, new(device.Frame)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if err := cam.Close(); err != nil || !d.shut {
		t.Errorf("closed: %v, %v", d.shut, err)
	}
}

func TestOpenWhatIsNoCamera(t *testing.T) {
	for _, path := range []string{t.TempDir() + "/video0", "/dev/null"} {
		if _, err := Open(path); !errors.Is(err, device.ErrGone) {
			t.Errorf("%s: %v", path, err)
		}
	}
}
