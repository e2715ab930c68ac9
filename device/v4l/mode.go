package v4l

import (
	"fmt"

	"gatepost/device"

	"github.com/blackjack/webcam"
)

// A mode is what was agreed with the camera.
type mode struct {
	format        device.Format
	width, height int // as asked for; of GREY and YUYV that must be what comes
}

// Pixel formats as videodev2.h writes them, four letters with the first one lowest.
const (
	fourGrey  webcam.PixelFormat = 'G' | 'R'<<8 | 'E'<<16 | 'Y'<<24
	fourYUYV  webcam.PixelFormat = 'Y' | 'U'<<8 | 'Y'<<16 | 'V'<<24
	fourMJPEG webcam.PixelFormat = 'M' | 'J'<<8 | 'P'<<16 | 'G'<<24
	fourJPEG  webcam.PixelFormat = 'J' | 'P'<<8 | 'E'<<16 | 'G'<<24
)

// chooseFormat prefers what costs least to read: plain luma, then luma among colours, then a compressed picture.
func chooseFormat(offered map[webcam.PixelFormat]string) (webcam.PixelFormat, bool) {
	for _, f := range []webcam.PixelFormat{fourGrey, fourYUYV, fourMJPEG, fourJPEG} {
		if _, ok := offered[f]; ok {
			return f, true
		}
	}
	return 0, false
}

func formatOf(code webcam.PixelFormat) device.Format {
	switch code {
	case fourGrey:
		return device.Grey
	case fourYUYV:
		return device.YUYV
	}
	return device.MJPEG
}

// chooseSize takes the offered size nearest to 640 x 480 by area, of those between that and 1280 x 720, else of all.
// A range of sizes gives the point in it that is nearest to 640 x 480; no offer at all is taken as any size.
func chooseSize(offered []webcam.FrameSize) (w, h uint32) {
	const wantW, wantH, maxW, maxH = 640, 480, 1280, 720
	cost := uint32(0)
	for _, s := range offered {
		sw := inRange(wantW, s.MinWidth, s.MaxWidth, s.StepWidth)
		sh := inRange(wantH, s.MinHeight, s.MaxHeight, s.StepHeight)
		if sw == 0 || sh == 0 {
			continue
		}
		c := max(sw*sh, wantW*wantH) - min(sw*sh, wantW*wantH)
		if sw < wantW || sh < wantH || sw > maxW || sh > maxH {
			c += 1 << 30 // only where nothing lies between
		}
		if w == 0 || c < cost {
			w, h, cost = sw, sh, c
		}
	}
	if w == 0 {
		return wantW, wantH
	}
	return w, h
}

// inRange returns the number nearest to want, not above it if it can be, that a range allows; 0 where that is absurd.
func inRange(want, low, high, step uint32) uint32 {
	const absurd = 1 << 14
	if low > high || low > absurd {
		return 0
	}
	n := min(max(want, low), high)
	if step > 1 {
		n -= (n - low) % step
	}
	return n
}

// maxPadding is how many bytes a driver may add to a row to align it. A frame that is larger than its padded rows has
// another size than was asked for.
const maxPadding = 255

// frame fills in what f.Data holds, or tells that it cannot be a frame of this mode.
func (m mode) frame(f *device.Frame) error {
	f.Format, f.Width, f.Height, f.Stride = m.format, m.width, m.height, 0
	if m.format == device.MJPEG {
		w, h, err := jpegSize(f.Data)
		if err != nil {
			return fmt.Errorf("frame of %d bytes is no JPEG: %w", len(f.Data), err)
		}
		f.Width, f.Height = w, h
		return nil
	}
	row := m.width
	if m.format == device.YUYV {
		row *= 2
	}
	stride := len(f.Data) / m.height
	if len(f.Data)%m.height != 0 || stride < row || stride > row+maxPadding {
		return fmt.Errorf("frame of %d bytes is not one of %d x %d in %v", len(f.Data), m.width, m.height, m.format)
	}
	f.Stride = stride
	return nil
}
