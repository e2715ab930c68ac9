package kiosk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"gatepost/device/files"
	"gatepost/device/input"
	"gatepost/device/serial"
	"gatepost/device/v4l"
	"gatepost/scanner"
)

// DefaultSource returns the source of a kiosk that was told none: the first camera, or else simulated people.
func DefaultSource() string {
	if path, ok := v4l.Find(); ok {
		return "v4l:" + path
	}
	return "sim:"
}

// OpenSource returns how to open the source that spec names:
//
//	v4l:/dev/video0     a camera
//	files:DIR           the pictures of a folder, in name order
//	wedge:/dev/input/…  a barcode scanner that is a keyboard,
//	wedge:*Barcode*     or the first one of such a name
//	serial:/dev/tty…    a barcode scanner at a serial line; also a pattern, as /dev/ttyACM*
//	sim:                invented people who come by themselves
//	sim:manual          people who come when Simulator is told so
//
// Simulated lanes are registered in s under their lane's name.
func OpenSource(spec, lane string, s *Simulator, log *slog.Logger) (func(context.Context) (Source, error), error) {
	kind, rest, ok := strings.Cut(spec, ":")
	if !ok {
		return nil, fmt.Errorf("source %q has no kind, as in \"v4l:/dev/video0\"", spec)
	}
	if rest == "" && kind != "sim" {
		return nil, fmt.Errorf("source %q names nothing behind the colon", spec)
	}
	switch kind {
	case "v4l":
		return func(context.Context) (Source, error) { return watch(v4l.Open(rest)) }, nil
	case "files":
		return func(context.Context) (Source, error) {
			return watch(files.Open(rest, func(name string, err error) { log.Warn("picture skipped", "file", name, "error", err) }))
		}, nil
	case "wedge":
		return func(context.Context) (Source, error) {
			path, err := input.FindNode(rest)
			if err != nil {
				return nil, err
			}
			w, err := input.Open(path)
			if err != nil {
				return nil, err
			}
			return reader{w, input.ErrLost}, nil
		}, nil
	case "serial":
		return func(context.Context) (Source, error) {
			r, err := serial.Open(rest, baud)
			if err != nil {
				return nil, err
			}
			return reader{r, serial.ErrLost}, nil
		}, nil
	case "sim":
		if rest != "" && rest != "manual" {
			return nil, fmt.Errorf("source %q is neither \"sim:\" nor \"sim:manual\"", spec)
		}
		return s.open(lane, rest == ""), nil
	}
	return nil, fmt.Errorf("source %q is neither v4l: nor files: nor wedge: nor serial: nor sim: with something behind", spec)
}

// eye is a camera with a scanner behind it.
type eye struct {
	*scanner.Scanner
	*view
	close func() error
}

func newEye(cam scanner.Camera, close func() error) eye {
	v := newView(cam)
	return eye{scanner.New(v, v.see), v, close}
}

func (e eye) Close() error { return e.close() }

// Next is the scanner's, not the camera's.
func (e eye) Next(ctx context.Context) (scanner.Sighting, error) { return e.Scanner.Next(ctx) }

func watch[C scanner.Camera](cam C, err error) (Source, error) {
	if err != nil {
		return nil, err
	}
	return newEye(cam, cam.Close), nil
}

// baud is the speed of a scanner at a UART; by USB it means nothing.
const baud = 115_200

// reader makes a barcode scanner a Source.
type reader struct {
	device interface {
		Next(context.Context) (string, error)
		Close() error
	}
	lost error // after which it works on
}

func (r reader) Close() error { return r.device.Close() }

func (r reader) Next(ctx context.Context) (scanner.Sighting, error) {
	text, err := r.device.Next(ctx)
	if errors.Is(err, r.lost) {
		text, err = "", nil // too long or broken: somebody stands there all the same, with a code that cannot be read
	}
	return scanner.Sighting{Texts: []string{text}, At: time.Now()}, err
}
