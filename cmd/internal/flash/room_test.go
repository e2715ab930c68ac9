package flash

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An enrolment comes where the image has room for it, wherever that lies, and nothing else changes.
func TestEnrol(t *testing.T) {
	text := []byte(strings.Repeat("GPE1:0123456789\n", 40))
	for name, test := range map[string]struct {
		at   int64
		room int
		want string
	}{
		"at a sector":             {1<<20 + 512*3, 8192, ""},
		"across two chunks":       {1<<20 + chunkSize - 10, 8192, ""},
		"just enough":             {1 << 20, len(text) - len(roomMark), ""},
		"a byte too little":       {1 << 20, len(text) - len(roomMark) - 1, "less room than the 640 bytes"},
		"where nothing is in use": {6 << 20, 8192, "no gatepost.txt with room"},
	} {
		t.Run(name, func(t *testing.T) {
			image, m := newImage(t)
			if _, err := image.WriteAt([]byte(roomMark+strings.Repeat("\n", test.room)+"x"), test.at); err != nil {
				t.Fatal(err)
			}
			before := content(t, image.Name())
			c, err := Open(image.Name(), imageSize, false)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			err = c.Enrol(m, text)
			if test.want != "" {
				if err == nil || !strings.Contains(err.Error(), test.want) || !bytes.Equal(content(t, c.Path), before) {
					t.Errorf("%v, want %q and nothing changed", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := slices.Clone(before)
			copy(want[test.at:], text)
			if !bytes.Equal(content(t, c.Path), want) {
				t.Error("the card is not as it should be")
			}
		})
	}
}

func TestShortEnrolment(t *testing.T) {
	image, m := newImage(t)
	if _, err := image.WriteAt([]byte(roomMark+strings.Repeat("\n", 99)), 1<<20); err != nil {
		t.Fatal(err)
	}
	c, err := Open(image.Name(), imageSize, false)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Enrol(m, []byte("GPE1:0\n")); err != nil {
		t.Fatal(err)
	}
	if got := content(t, c.Path)[1<<20:][:len(roomMark)]; !bytes.Equal(got, append([]byte("GPE1:0\n"), bytes.Repeat([]byte("\n"), len(roomMark)-7)...)) {
		t.Errorf("%q", got)
	}
}

func TestReaders(t *testing.T) {
	sys := t.TempDir()
	for name, files := range map[string]map[string]string{
		"sda":     {"removable": "0", "size": "1000"},
		"sdb":     {"removable": "1", "size": "1000"},
		"sdc":     {"removable": "1", "size": "0"}, // an empty reader
		"sdd":     {"removable": "1\n", "size": "62333952\n"},
		"sr0":     {"removable": "1", "size": "1000"},
		"mmcblk0": {"removable": "0", "size": "1000", "device/type": "SD\n"},
		"mmcblk1": {"removable": "0", "size": "1000", "device/type": "MMC"}, // soldered in
		"loop0":   {"removable": "0", "size": "1000"},
	} {
		for file, text := range files {
			path := filepath.Join(sys, "block", name, file)
			if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	disks, err := Readers(sys)
	if want := []string{"/dev/mmcblk0", "/dev/sdb", "/dev/sdd"}; err != nil || !slices.Equal(disks, want) {
		t.Errorf("%v, %v", disks, err)
	}
}
