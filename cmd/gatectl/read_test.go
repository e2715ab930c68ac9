package main

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatepost/scanner/luma"

	"github.com/makiuchi-d/gozxing"
	"github.com/makiuchi-d/gozxing/qrcode/decoder"
	"github.com/makiuchi-d/gozxing/qrcode/encoder"
)

// graymap returns a PGM of the text's code, wider than high.
func graymap(t *testing.T, text string) []byte {
	t.Helper()
	code, err := encoder.Encoder_encode(text, decoder.ErrorCorrectionLevel_M, map[gozxing.EncodeHintType]any{gozxing.EncodeHintType_CHARACTER_SET: "UTF-8"})
	if err != nil {
		t.Fatal(err)
	}
	m, w, h := code.GetMatrix(), 240, 200
	pix := bytes.Repeat([]byte{230}, w*h)
	for v := range 4 * m.GetHeight() {
		for u := range 4 * m.GetWidth() {
			if m.Get(u/4, v/4) == 1 {
				pix[(20+v)*w+30+u] = 20
			}
		}
	}
	return append(fmt.Appendf(nil, "P5 %d %d 255\n", w, h), pix...)
}

func readFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{
		"a.pgm":     graymap(t, "Nguyễn Văn A"),
		"blank.pgm": append([]byte("P5 100 50 255\n"), bytes.Repeat([]byte{200}, 5000)...),
		"bad.pgm":   []byte("P5 100 50 255\nshort"),
		"m.tsv":     []byte("a.pgm\t4e\t0,90,180,270\r\n\nblank.pgm\t!\t0\nbad.pgm\t!\t0,90\nabsent.png\t!\t0\n"),
		"good.tsv":  []byte("a.pgm\t4e\t90"),
		"empty.tsv": nil,
		"two.tsv":   []byte("a.pgm\t4e\n"),
		"turn.tsv":  []byte("a.pgm\t4e\t45\n"),
	} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// readLines runs gatectl read and returns its lines with the times checked and taken out, for they differ each time.
func readLines(t *testing.T, args ...string) (out []string, errs string, code int) {
	t.Helper()
	var o, e bytes.Buffer
	code = read(t.Context(), env{out: &o, err: &e}, args)
	for line := range strings.Lines(o.String()) {
		f := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if len(f) != 7 {
			t.Fatalf("a line of %d fields: %q", len(f), line)
		}
		median, err1 := strconv.Atoi(f[4])
		least, err2 := strconv.Atoi(f[5])
		if err1 != nil || err2 != nil || least < 0 || median < least {
			t.Errorf("median %q and minimum %q", f[4], f[5])
		}
		out = append(out, strings.Join(slices.Delete(f, 4, 6), " "))
	}
	return out, e.String(), code
}

func TestReadManifest(t *testing.T) {
	text := hex.EncodeToString([]byte("Nguyễn Văn A"))
	got, errs, code := readLines(t, "-reps", "2", "-manifest", filepath.Join(readFolder(t), "m.tsv"))
	want := []string{
		"a.pgm 0 240 200 " + text, "a.pgm 90 200 240 " + text, "a.pgm 180 240 200 " + text, "a.pgm 270 200 240 " + text,
		"blank.pgm 0 100 50 -",
		"bad.pgm 0 0 0 -", "bad.pgm 90 0 0 -",
		"absent.png 0 0 0 -",
	}
	if !slices.Equal(got, want) || code != exitFail {
		t.Errorf("exit %d, printed\n%s", code, strings.Join(got, "\n"))
	}
	for _, name := range []string{"bad.pgm", "absent.png"} {
		if strings.Count(errs, "gatectl read: "+name+": ") != 1 {
			t.Errorf("%s is not named once on stderr: %q", name, errs)
		}
	}
}

func TestReadExit(t *testing.T) {
	dir := readFolder(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	for _, c := range []struct {
		args  []string
		code  int
		lines int
	}{
		{[]string{file("a.pgm"), file("blank.pgm")}, exitOK, 2},
		{[]string{file("a.pgm"), file("bad.pgm")}, exitFail, 2},
		{[]string{"-manifest", file("good.tsv")}, exitOK, 1},
		{[]string{"-manifest", file("empty.tsv")}, exitOK, 0},
		{[]string{"-manifest", file("absent.tsv")}, exitFail, 0},
		{[]string{"-manifest", file("two.tsv")}, exitUsage, 0},
		{[]string{"-manifest", file("turn.tsv")}, exitUsage, 0},
		{[]string{"-manifest", file("good.tsv"), file("a.pgm")}, exitUsage, 0},
		{[]string{"-reps", "0", file("a.pgm")}, exitUsage, 0},
		{[]string{"-reps", "x", file("a.pgm")}, exitUsage, 0},
		{[]string{"-h"}, exitOK, -1},
		{nil, exitUsage, 0},
	} {
		var o, e bytes.Buffer
		code := read(t.Context(), env{out: &o, err: &e}, c.args)
		if n := strings.Count(o.String(), "\n"); code != c.code || c.lines >= 0 && n != c.lines {
			t.Errorf("%q: exit %d and %d lines, want %d and %d", c.args, code, n, c.code, c.lines)
		}
		if (code == exitOK) != (e.Len() == 0) {
			t.Errorf("%q: exit %d with %q on stderr", c.args, code, e.String())
		}
	}
}

func TestReadHelpNamesItsFlags(t *testing.T) {
	var o, e bytes.Buffer
	read(t.Context(), env{out: &o, err: &e}, []string{"-h"})
	if !regexp.MustCompile(`(?s)usage: gatectl read.*-manifest.*-reps`).Match(o.Bytes()) {
		t.Errorf("help: %s", o.String())
	}
}

func TestQuarterTurnIsCounterClockwise(t *testing.T) {
	p := &luma.Plane{Width: 3, Height: 2, Stride: 4, Pix: []byte{1, 2, 3, 0, 4, 5, 6}}
	if q := quarterTurn(p); q.Width != 2 || q.Height != 3 || !slices.Equal(q.Pix, []byte{3, 6, 2, 5, 1, 4}) {
		t.Errorf("turned: %+v", q)
	}
}

// A drawing has the code's frame in green, and none where there is no code.
func TestReadExplain(t *testing.T) {
	dir := readFolder(t)
	explain := func(args ...string) (out, errs string, code int) {
		var o, e bytes.Buffer
		code = run(t.Context(), env{nil, &o, &e}, append([]string{"read"}, args...))
		return o.String(), e.String(), code
	}
	for name, want := range map[string]bool{"a.pgm": true, "blank.pgm": false} {
		drawing := filepath.Join(dir, name+".png")
		out, errs, code := explain("-explain", drawing, filepath.Join(dir, name))
		if code != exitOK || errs != "" || strings.Contains(out, ": read\n") != want {
			t.Errorf("%s: %d, %q, %s", name, code, out, errs)
		}
		f, err := os.Open(drawing)
		if err != nil {
			t.Fatal(err)
		}
		m, err := png.Decode(f)
		f.Close()
		if err != nil {
			t.Fatal(err)
		}
		green := 0
		for y := range m.Bounds().Dy() {
			for x := range m.Bounds().Dx() {
				if r, g, b, _ := m.At(x, y).RGBA(); r == 0 && g>>8 == 200 && b == 0 {
					green++
				}
			}
		}
		if (green > 500) != want || m.Bounds().Dx() < 1000 {
			t.Errorf("%s: %d points are green of %v", name, green, m.Bounds())
		}
	}
	for _, args := range [][]string{{"-explain", "x.png"}, {"-explain", "x.png", "-manifest", "m.tsv"}, {"-explain", "x.png", "a", "b"}} {
		if _, _, code := explain(args...); code != exitUsage {
			t.Errorf("%v: %d", args, code)
		}
	}
	if _, errs, code := explain("-explain", filepath.Join(dir, "no", "x.png"), filepath.Join(dir, "a.pgm")); code != exitFail || errs == "" {
		t.Error("a drawing that cannot be written:", code, errs)
	}
}
