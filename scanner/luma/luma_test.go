package luma

import (
	"bytes"
	"image"
	"image/color"
	"image/jpeg"
	"slices"
	"testing"

	"gatepost/device"
)

func TestSet(t *testing.T) {
	for _, c := range []struct {
		name  string
		frame device.Frame
		want  []byte
	}{
		{"grey", device.Frame{Format: device.Grey, Width: 3, Height: 2, Stride: 3, Data: []byte{1, 2, 3, 4, 5, 6}}, []byte{1, 2, 3, 4, 5, 6}},
		{"grey, padded rows, the last one not", device.Frame{Format: device.Grey, Width: 2, Height: 2, Stride: 4, Data: []byte{1, 2, 9, 9, 3, 4}}, []byte{1, 2, 3, 4}},
		{"luma comes first", device.Frame{Format: device.YUYV, Width: 2, Height: 2, Stride: 4, Data: []byte{1, 128, 2, 128, 3, 128, 4, 128}}, []byte{1, 2, 3, 4}},
		{"yuyv, padded", device.Frame{Format: device.YUYV, Width: 2, Height: 2, Stride: 5, Data: []byte{1, 128, 2, 128, 9, 3, 128, 4, 128, 9}}, []byte{1, 2, 3, 4}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var p Plane
			if err := p.Set(c.frame); err != nil {
				t.Fatal(err)
			}
			if p.Width != c.frame.Width || p.Height != c.frame.Height || p.Stride != p.Width || !slices.Equal(p.Pix, c.want) {
				t.Errorf("got %+v, want pixels %v", p, c.want)
			}
		})
	}
}

func TestSetReusesItsBuffer(t *testing.T) {
	f := device.Frame{Format: device.Grey, Width: 64, Height: 64, Stride: 64, Data: make([]byte, 64*64)}
	var p Plane
	if n := testing.AllocsPerRun(10, func() {
		if err := p.Set(f); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations a frame", n)
	}
}

func TestSetRefusesLies(t *testing.T) {
	const maxInt = int(^uint(0) >> 1)
	grey := func(w, h, stride, n int) device.Frame {
		return device.Frame{Format: device.Grey, Width: w, Height: h, Stride: stride, Data: make([]byte, n)}
	}
	yuyv := grey(4, 4, 7, 64)
	yuyv.Format = device.YUYV
	wrongJPEG := device.Frame{Format: device.MJPEG, Width: 17, Height: 16, Data: jpegOf(t, gradient(16, 16))}
	cutJPEG := device.Frame{Format: device.MJPEG, Width: 16, Height: 16, Data: jpegOf(t, gradient(16, 16))[:300]}
	for name, f := range map[string]device.Frame{
		"nothing":         {},
		"no format":       {Width: 1, Height: 1, Stride: 1, Data: make([]byte, 1)},
		"no width":        grey(0, 4, 4, 16),
		"negative height": grey(4, -4, 4, 16),
		"too wide":        grey(MaxSide+1, 1, MaxSide+1, MaxSide+1),
		"too large":       grey(MaxSide, MaxSide, MaxSide, 16),
		"huge":            grey(maxInt, maxInt, maxInt, 16),
		"stride":          grey(4, 4, 3, 16),
		"negative stride": grey(4, 4, -4, 16),
		"huge stride":     grey(4, 4, maxInt/2, 16),
		"one byte short":  grey(4, 4, 4, 15),
		"no data":         grey(4, 4, 4, 0),
		"yuyv stride":     yuyv,
		"no JPEG":         {Format: device.MJPEG, Width: 4, Height: 4, Data: []byte("not a picture")},
		"JPEG size":       wrongJPEG,
		"JPEG cut":        cutJPEG,
	} {
		t.Run(name, func(t *testing.T) {
			if err := new(Plane).Set(f); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestJPEG(t *testing.T) {
	data := jpegOf(t, gradient(48, 32))
	for name, d := range map[string][]byte{"whole": data, "without its Huffman tables": withoutTables(t, data)} {
		t.Run(name, func(t *testing.T) {
			var p Plane
			if err := p.Set(device.Frame{Format: device.MJPEG, Width: 48, Height: 32, Data: d}); err != nil {
				t.Fatal(err)
			}
			for _, x := range []int{0, 20, 47} {
				if got, want := int(p.Pix[16*p.Stride+x]), 5*x; got < want-6 || got > want+6 {
					t.Errorf("pixel %d is %d, want about %d", x, got, want)
				}
			}
		})
	}
}

// The standard library's encoder writes the standard tables for a picture in colours, in the same order.
func TestStandardTables(t *testing.T) {
	if !bytes.Contains(jpegOf(t, image.NewRGBA(image.Rect(0, 0, 8, 8))), standardTables()) {
		t.Error("these are not the encoder's tables")
	}
}

func TestFromImage(t *testing.T) {
	clear := image.NewNRGBA(image.Rect(5, 5, 7, 6))
	clear.SetNRGBA(6, 5, color.NRGBA{A: 255})
	p, err := FromImage(clear)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(p.Pix, []byte{255, 0}) {
		t.Errorf("a clear and a black pixel became %v", p.Pix)
	}
	part := gradient(48, 32).SubImage(image.Rect(10, 3, 12, 4))
	if p, err = FromImage(part); err != nil || !slices.Equal(p.Pix, []byte{50, 55}) {
		t.Errorf("part of a picture became %v, %v", p, err)
	}
	if _, err := FromImage(image.NewGray(image.Rect(0, 0, MaxSide+1, 1))); err == nil {
		t.Error("a picture beyond the limit was taken")
	}
	if _, err := FromImage(nil); err == nil {
		t.Error("nil was taken")
	}
}

func FuzzSet(f *testing.F) {
	f.Add(uint8(device.Grey), 4, 4, 4, make([]byte, 16))
	f.Add(uint8(device.YUYV), 4, 4, 8, make([]byte, 32))
	whole := jpegOf(f, gradient(16, 16))
	f.Add(uint8(device.MJPEG), 16, 16, 0, whole)
	f.Add(uint8(device.MJPEG), 16, 16, 0, withoutTables(f, whole))
	f.Fuzz(func(t *testing.T, format uint8, w, h, stride int, data []byte) {
		var p Plane
		err := p.Set(device.Frame{Format: device.Format(format), Width: w, Height: h, Stride: stride, Data: data})
		if err == nil && (p.Width != w || p.Height != h || len(p.Pix) != w*h) {
			t.Errorf("a frame of %d x %d became %d x %d, %d bytes", w, h, p.Width, p.Height, len(p.Pix))
		}
	})
}

// gradient is dark at the left, five grey levels lighter a pixel.
func gradient(w, h int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, w, h))
	for y := range h {
		for x := range w {
			m.SetGray(x, y, color.Gray{Y: uint8(min(255, 5*x))})
		}
	}
	return m
}

func jpegOf(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 95}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// withoutTables cuts out the DHT segment, as many cameras do. The encoder's tables are the standard ones.
func withoutTables(t testing.TB, data []byte) []byte {
	t.Helper()
	at := bytes.Index(data, []byte{0xff, 0xc4})
	if at < 0 {
		t.Fatal("the encoder wrote no tables")
	}
	size := 2 + int(data[at+2])<<8 + int(data[at+3])
	cut := slices.Concat(data[:at], data[at+size:])
	if _, err := jpeg.Decode(bytes.NewReader(cut)); err == nil {
		t.Fatal("a JPEG without tables decodes: there is still one in it")
	}
	return cut
}
