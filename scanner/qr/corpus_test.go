package qr

import (
	"encoding/hex"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"gatepost/scanner/corpustest"
	"gatepost/scanner/luma"
)

// shot is one picture in one rotation.
type shot struct {
	name, want string // want is empty where nothing may be read
	plane      *luma.Plane
}

func shots(t *testing.T, manifest string) (all []shot) {
	t.Helper()
	data, err := os.ReadFile(manifest)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		want, err := hex.DecodeString(strings.TrimPrefix(f[1], "!"))
		if err != nil {
			t.Fatal(err)
		}
		p := picture(t, filepath.Join(filepath.Dir(manifest), f[0]))
		for degrees := range strings.SplitSeq(f[2], ",") {
			quarters, err := strconv.Atoi(degrees)
			if err != nil {
				t.Fatal(err)
			}
			q := p
			for range quarters / 90 {
				q = turn(q)
			}
			all = append(all, shot{f[0] + " at " + degrees, string(want), q})
		}
	}
	return all
}

func picture(t *testing.T, path string) *luma.Plane {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m, err := png.Decode(f)
	if err != nil {
		t.Fatal(err)
	}
	p, err := luma.FromImage(m)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Floors are what is read today: a lower number is a step back, a higher one belongs here.
func TestCorpus(t *testing.T) {
	dir := corpustest.Path(t, "qr")
	// The two pictures of a code within a code hold this text too.
	const outer = "[外側QRコード]\r\n \r\n*ﾀﾞﾌﾞﾙQR*\r\nhttp://d-qr.net/ex/"
	for _, set := range []struct {
		manifest, prefix string
		floor, of        int
	}{
		{"zxing-blackbox.tsv", "zxing-blackbox/qrcode-1_", 32, 32},
		{"zxing-blackbox.tsv", "zxing-blackbox/qrcode-2_", 207, 224},
		{"zxing-blackbox.tsv", "zxing-blackbox/qrcode-3_", 72, 72},
		{"jsqr.tsv", "jsqr/", 107, 107},
		{"no-code.tsv", "no-code/", 0, 23},
	} {
		t.Run(set.prefix, func(t *testing.T) {
			t.Parallel()
			read, n, r := 0, 0, New()
			for _, s := range shots(t, filepath.Join(dir, set.manifest)) {
				if !strings.HasPrefix(s.name, set.prefix) {
					continue
				}
				n++
				got := r.Read(s.plane)
				if slices.Contains(got, s.want) {
					read++
				}
				for _, text := range got {
					if text != s.want && text != outer {
						t.Errorf("%s: wrongly read %q", s.name, text)
					}
				}
			}
			t.Logf("%d of %d", read, n)
			if read < set.floor || n != set.of || r.Panics() > 0 {
				t.Errorf("read %d of %d, %d panics; the floor is %d of %d", read, n, r.Panics(), set.floor, set.of)
			}
		})
	}
}
