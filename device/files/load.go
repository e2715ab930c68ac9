package files

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/draw"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"strconv"

	"gatepost/device"
)

// What is read of a file at the most.
const (
	maxFile = 64 << 20 // bytes
	maxSide = 8192     // pixels
	maxArea = 16 << 20 // pixels
)

// Load reads one picture as a GREY frame without a time. What kind of picture it is follows from its first bytes,
// and its size is checked before anything is allocated for it.
func Load(path string) (device.Frame, error) {
	file, err := os.Open(path)
	if err != nil {
		return device.Frame{}, err // names the path and what was tried
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return device.Frame{}, fmt.Errorf("read picture: %w", err)
	}
	if len(data) > maxFile {
		return device.Frame{}, fmt.Errorf("picture file of more than %d MiB", maxFile>>20)
	}
	return decode(data)
}

func decode(data []byte) (device.Frame, error) {
	switch {
	case bytes.HasPrefix(data, []byte("P5")), bytes.HasPrefix(data, []byte("P2")):
		return decodePGM(data)
	case bytes.HasPrefix(data, []byte("\x89PNG")):
		return decodeImage(data, png.DecodeConfig, png.Decode)
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		return decodeImage(data, jpeg.DecodeConfig, jpeg.Decode)
	}
	return device.Frame{}, errors.New("neither PGM nor PNG nor JPEG")
}

func checkSize(w, h int) error {
	if w < 1 || h < 1 || w > maxSide || h > maxSide || w*h > maxArea {
		return fmt.Errorf("picture of %d x %d pixels is out of bounds", w, h)
	}
	return nil
}

func grey(w, h int, pix []byte) device.Frame {
	return device.Frame{Format: device.Grey, Width: w, Height: h, Stride: w, Data: pix}
}

func decodeImage(data []byte, header func(io.Reader) (image.Config, error), whole func(io.Reader) (image.Image, error)) (device.Frame, error) {
	c, err := header(bytes.NewReader(data))
	if err != nil {
		return device.Frame{}, fmt.Errorf("read picture's header: %w", err)
	}
	if err := checkSize(c.Width, c.Height); err != nil {
		return device.Frame{}, err
	}
	m, err := whole(bytes.NewReader(data))
	if err != nil {
		return device.Frame{}, fmt.Errorf("decode picture: %w", err)
	}
	g := image.NewGray(image.Rect(0, 0, c.Width, c.Height))
	if y, ok := m.(*image.YCbCr); ok { // its Y is the brightness
		m = &image.Gray{Pix: y.Y, Stride: y.YStride, Rect: y.Rect}
	}
	draw.Draw(g, g.Rect, image.NewUniform(color.White), image.Point{}, draw.Src)
	draw.Draw(g, g.Rect, m, m.Bounds().Min, draw.Over)
	return grey(c.Width, c.Height, g.Pix), nil
}

// decodePGM reads a portable graymap of at most 8 bits a pixel, binary (P5) or plain (P2).
func decodePGM(data []byte) (device.Frame, error) {
	rest := data[2:]
	var size [3]int // width, height, white
	for i := range size {
		var err error
		if size[i], rest, err = number(rest); err != nil {
			return device.Frame{}, err
		}
	}
	w, h, white := size[0], size[1], size[2]
	if err := checkSize(w, h); err != nil {
		return device.Frame{}, err
	}
	if white < 1 || white > 255 {
		return device.Frame{}, fmt.Errorf("graymap with %d levels: only 8 bits a pixel are read", white)
	}
	pix := make([]byte, w*h)
	if data[1] == '5' {
		if len(rest) < 1+w*h {
			return device.Frame{}, fmt.Errorf("graymap of %d x %d pixels ends too early", w, h)
		}
		copy(pix, rest[1:]) // one space ends the header
	} else if err := plain(pix, rest); err != nil {
		return device.Frame{}, err
	}
	for i, p := range pix {
		pix[i] = byte(min(int(p)*255/white, 255))
	}
	return grey(w, h, pix), nil
}

func plain(pix, data []byte) error {
	for i := range pix {
		n, rest, err := number(data)
		if err != nil {
			return err
		}
		pix[i], data = byte(min(n, 255)), rest
	}
	return nil
}

// number takes a decimal number of up to five digits, after white space and comments.
func number(data []byte) (n int, rest []byte, err error) {
	data = bytes.TrimLeft(data, " \t\r\n")
	for len(data) > 0 && data[0] == '#' {
		_, data, _ = bytes.Cut(data, []byte("\n"))
		data = bytes.TrimLeft(data, " \t\r\n")
	}
	end := 0
	for end < min(len(data), 6) && data[end] >= '0' && data[end] <= '9' {
		end++
	}
	if end == 0 || end == 6 {
		return 0, nil, errors.New("graymap with a number missing or too long")
	}
	n, err = strconv.Atoi(string(data[:end]))
	return n, data[end:], err
}
