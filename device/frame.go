// Package device holds the plain data that the parts of a gate hand upwards: today a camera's frame.
// The parts themselves, one folder each below this one, do no more than speak to their hardware;
// what a frame shows and what follows from it is decided above them.
package device

import (
	"errors"
	"time"
)

// Format says how the bytes of a Frame are laid out.
type Format uint8

const (
	Grey  Format = iota + 1 // one byte of luma a pixel, V4L2's GREY
	YUYV                    // two bytes a pixel, luma first, V4L2's YUYV (4:2:2)
	MJPEG                   // one JPEG picture; its Huffman tables may be missing
)

func (f Format) String() string {
	switch f {
	case Grey:
		return "GREY"
	case YUYV:
		return "YUYV"
	case MJPEG:
		return "MJPEG"
	}
	return "unknown format"
}

// A Frame is one picture as the camera gave it.
type Frame struct {
	Format        Format
	Width, Height int    // pixels; of MJPEG, what its own header says
	Stride        int    // bytes from one row to the next; unused for MJPEG
	Data          []byte // owned by whoever holds the Frame, until it is handed to Next again
	At            time.Time
}

var (
	// ErrGone means that the part is not there: never plugged in, unplugged, or stopped answering.
	// It is a state to wait out, never a reason to exit.
	ErrGone = errors.New("device gone")
	// ErrEnd means that a source has no more to give, as a folder of pictures after its last one.
	ErrEnd = errors.New("end of source")
)
