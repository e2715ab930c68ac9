// Package v4l reads a camera through Video4Linux: USB cameras (UVC) and whatever else captures single-planar frames
// by memory mapping, in GREY, YUYV or MJPEG.
//
// The newest frame is delivered and older ones are dropped. Any fault but a wait that was too short means that the
// camera is gone: close it and open it again, which is also how a camera that was plugged in anew is found. A Pi's
// ribbon-cable camera delivers raw Bayer frames here and is not supported.
package v4l

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image/jpeg"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"gatepost/device"

	"github.com/blackjack/webcam"
	"golang.org/x/sys/unix"
)

const (
	buffers  = 3  // one being filled, one waiting, one being copied
	patience = 10 // waits of a second, or frames of a wrong size, until the camera counts as gone
)

// A Camera is a scanner.Camera, for one goroutine. It streams from Open to Close.
type Camera struct {
	cam  webcamera
	mode mode
	now  func() time.Time
}

// webcamera is what Next needs of a *webcam.Webcam.
type webcamera interface {
	WaitForFrame(seconds uint32) error
	GetFrame() ([]byte, uint32, error)
	ReleaseFrame(index uint32) error
	Close() error
}

// Find returns the first video node, by number, that captures frames in a format that Open takes.
func Find() (path string, ok bool) {
	nodes, err := filepath.Glob("/dev/video*")
	if err != nil {
		return "", false
	}
	for _, path := range inOrder(nodes) {
		if captures(path) {
			return path, true
		}
	}
	return "", false
}

// inOrder sorts nodes by their numbers: video2 comes before video10. What has no number is left out.
func inOrder(nodes []string) []string {
	number := func(path string) int {
		n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(path), "video"))
		if err != nil {
			return -1
		}
		return n
	}
	nodes = slices.DeleteFunc(nodes, func(path string) bool { return number(path) < 0 })
	slices.SortFunc(nodes, func(a, b string) int { return number(a) - number(b) })
	return nodes
}

// captures tells whether a node offers a format. Opening is not enough: a UVC camera's metadata node opens as well.
func captures(path string) bool {
	cam, err := webcam.Open(path)
	if err != nil {
		return false
	}
	defer cam.Close()
	_, ok := chooseFormat(cam.GetSupportedFormats())
	return ok
}

// Open starts the camera at path, such as /dev/video0. All its errors are device.ErrGone: wait, and open it again.
func Open(path string) (*Camera, error) {
	cam, err := webcam.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open camera: %w: %w", device.ErrGone, err)
	}
	m, err := start(cam)
	if err != nil {
		cam.Close()
		return nil, fmt.Errorf("start camera: %w: %w", device.ErrGone, err)
	}
	return &Camera{cam: cam, mode: m, now: time.Now}, nil
}

func start(cam *webcam.Webcam) (mode, error) {
	code, ok := chooseFormat(cam.GetSupportedFormats())
	if !ok {
		return mode{}, errors.New("it offers none of GREY, YUYV and MJPEG")
	}
	w, h := chooseSize(cam.GetSupportedFrameSizes(code))
	// The size that comes back is the one asked for, whatever was granted: mode.frame checks each frame against it.
	granted, _, _, err := cam.SetImageFormat(code, w, h)
	if err != nil {
		return mode{}, fmt.Errorf("set format: %w", err)
	}
	if granted != code {
		return mode{}, errors.New("it granted another format than it offers")
	}
	if err := cam.SetBufferCount(buffers); err != nil {
		return mode{}, err
	}
	if err := cam.StartStreaming(); err != nil {
		return mode{}, err
	}
	return mode{formatOf(code), int(w), int(h)}, nil
}

// Next waits for a frame that is newer than the last one and fills f. It notices within a second that ctx is done.
// Besides ctx.Err() its errors are all device.ErrGone, wrapped.
func (c *Camera) Next(ctx context.Context, f *device.Frame) error {
	missed := errors.New("no frame came")
	for range patience {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.cam.WaitForFrame(1) // in seconds, the shortest wait there is
		if _, late := errors.AsType[*webcam.Timeout](err); late {
			continue
		}
		if err == nil {
			err = c.newest(f)
		}
		if err == nil {
			err = c.mode.frame(f)
			if err == nil {
				f.At = c.now()
				return nil
			}
			missed = err
			continue
		}
		if !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("read camera: %w: %w", device.ErrGone, err)
		}
	}
	return fmt.Errorf("read camera: %w: %w", device.ErrGone, missed)
}

// newest copies the last of the frames that wait into f.Data, and gives all of them back. EAGAIN means that none waits.
func (c *Camera) newest(f *device.Frame) error {
	frame, index, err := c.cam.GetFrame()
	if err != nil {
		return err
	}
	for range buffers { // as many as can wait, or a fast camera would keep us here
		later, i, err := c.cam.GetFrame()
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err != nil {
			return err
		}
		if err := c.cam.ReleaseFrame(index); err != nil {
			return err
		}
		frame, index = later, i
	}
	f.Data = append(f.Data[:0], frame...)
	return c.cam.ReleaseFrame(index)
}

// Close stops the camera. Frames that were handed out are copies and stay good.
func (c *Camera) Close() error { return c.cam.Close() }

// jpegSize returns the size that a JPEG's header states.
func jpegSize(data []byte) (w, h int, err error) {
	c, err := jpeg.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}
