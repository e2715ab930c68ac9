package files

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"gatepost/device"
)

func encoded(t testing.TB, m image.Image, kind string) []byte {
	t.Helper()
	var b bytes.Buffer
	err := png.Encode(&b, m)
	if kind == "jpeg" {
		b.Reset()
		err = jpeg.Encode(&b, m, &jpeg.Options{Quality: 100})
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pixels is two wide and one high: a grey of 100 and, at the right, what c says.
func pixels(c color.Color) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	m.Set(0, 0, color.Gray{Y: 100})
	m.Set(1, 0, c)
	return m
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		name string
		data []byte
		want []byte // of a picture two pixels wide
	}{
		{"P5", []byte("P5 2 1 255\n\x64\xc8"), []byte{100, 200}},
		{"P5 with comments", []byte("P5\n# made up\n2 # wide\n1\n255\n\x0a\x23"), []byte{10, '#'}},
		{"P5 of 16 levels", []byte("P5 2 1 15\n\x00\x0f"), []byte{0, 255}},
		{"P5 with a pixel above its white", []byte("P5 2 1 15\n\x00\xff"), []byte{0, 255}},
		{"P2", []byte("P2 2 2 255 1 2\n3\t999"), []byte{1, 2, 3, 255}},
		{"PNG", encoded(t, pixels(color.Gray{Y: 200}), "png"), []byte{100, 200}},
		{"PNG, clear on white", encoded(t, pixels(color.Transparent), "png"), []byte{100, 255}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f, err := decode(c.data)
			if err != nil {
				t.Fatal(err)
			}
			if f.Format != device.Grey || f.Width != 2 || f.Height != len(c.want)/2 || f.Stride != 2 || !slices.Equal(f.Data, c.want) {
				t.Errorf("got %+v, want pixels %v", f, c.want)
			}
		})
	}
}

func TestDecodeJPEG(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 30, 20))
	for i := range m.Pix {
		m.Pix[i] = 255 - byte(i%4/3) // white
	}
	for _, m := range []image.Image{m, image.NewGray(image.Rect(0, 0, 30, 20))} {
		f, err := decode(encoded(t, m, "jpeg"))
		if err != nil || f.Width != 30 || f.Height != 20 || len(f.Data) != 600 {
			t.Fatalf("%d x %d, %d bytes, %v", f.Width, f.Height, len(f.Data), err)
		}
		want, _, _, _ := m.At(3, 3).RGBA()
		if got := int(f.Data[333]); got < int(want>>8)-3 || got > int(want>>8)+3 {
			t.Errorf("brightness %d, want %d", got, want>>8)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	huge := encoded(t, image.NewGray(image.Rect(0, 0, 1, 1)), "png")
	copy(huge[16:24], "\x00\x00\xff\xff\x00\x00\xff\xff") // the header's width and height; its checksum is off now too
	for name, data := range map[string][]byte{
		"nothing":         nil,
		"text":            []byte("hello"),
		"P5 alone":        []byte("P5"),
		"P5 cut":          []byte("P5 2 2 255\nabc"),
		"P5 of no width":  []byte("P5 0 2 255\n"),
		"P5 too wide":     []byte("P5 8193 1 255\n"),
		"P5 too large":    []byte("P5 8192 8192 255\n"),
		"P5 beyond int":   []byte("P5 99999999999999999999 1 255\n"),
		"P5 negative":     []byte("P5 -1 1 255\n"),
		"P5 of 16 bits":   []byte("P5 1 1 65535\nab"),
		"P5 of no levels": []byte("P5 1 1 0\na"),
		"P2 cut":          []byte("P2 2 1 255 7"),
		"PNG alone":       []byte("\x89PNG\r\n\x1a\n"),
		"PNG too large":   huge,
		"JPEG alone":      []byte("\xff\xd8\xff"),
	} {
		if f, err := decode(data); err == nil {
			t.Errorf("%s: read as %d x %d", name, f.Width, f.Height)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	for name, data := range map[string]string{
		"b.PGM": "P5 1 1 255\nb", "a.pgm": "P5 1 1 255\na", "c.png": "no picture", "d.txt": "P5 1 1 255\nd",
		"e.jpeg": string(encoded(t, image.NewGray(image.Rect(0, 0, 9, 9)), "jpeg")),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "z.png"), 0o700); err != nil {
		t.Fatal(err)
	}
	var skipped []string
	f, err := Open(dir, func(name string, err error) { skipped = append(skipped, name) })
	if err != nil {
		t.Fatal(err)
	}
	start := f.at
	var frame device.Frame
	for i, want := range []byte{'a', 'b', 0} {
		if err := f.Next(t.Context(), &frame); err != nil {
			t.Fatal(err)
		}
		if at := start.Add(time.Duration(i) * 2 * time.Second); frame.Data[0] != want || !frame.At.Equal(at) {
			t.Errorf("frame %d begins with %d at %v", i, frame.Data[0], frame.At)
		}
	}
	for range 2 {
		if err := f.Next(t.Context(), &frame); !errors.Is(err, device.ErrEnd) {
			t.Errorf("after the last picture: %v", err)
		}
	}
	if !slices.Equal(skipped, []string{"c.png"}) {
		t.Errorf("skipped %q", skipped)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
}

func TestFolderEnds(t *testing.T) {
	if _, err := Open(filepath.Join(t.TempDir(), "absent"), nil); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such folder: %v", err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.pgm"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := f.Next(ctx, new(device.Frame)); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if err := f.Next(t.Context(), new(device.Frame)); !errors.Is(err, device.ErrEnd) {
		t.Errorf("nothing but a broken file: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("P5\n# c\n2 1 255\nab"))
	f.Add([]byte("P2 2 1 7 1 2"))
	f.Add(encoded(f, pixels(color.White), "png"))
	f.Add(encoded(f, pixels(color.White), "jpeg"))
	f.Fuzz(func(t *testing.T, data []byte) {
		frame, err := decode(data)
		if err == nil && (frame.Stride != frame.Width || len(frame.Data) != frame.Width*frame.Height || len(frame.Data) == 0) {
			t.Errorf("%d x %d, stride %d, %d bytes", frame.Width, frame.Height, frame.Stride, len(frame.Data))
		}
	})
}
