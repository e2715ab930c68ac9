package flash

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

const imageSize = 8<<20 + 3*sectorSize

// newImage makes an image with a hole, and an end that is no whole block.
func newImage(t *testing.T) (*os.File, Map) {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "image"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	random := rand.NewChaCha8([32]byte{1})
	write := func(at, n int64) {
		data := make([]byte, n)
		random.Read(data[:min(n, 100_000)]) // the rest is zeros, but in use
		if _, err := f.WriteAt(data, at); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(imageSize); err != nil {
		t.Fatal(err)
	}
	write(0, 512)
	write(1<<20, 1<<20+5*blockSize)
	write(imageSize-700, 700)
	m, err := New(f)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Seek(0, 0); err != nil {
		t.Fatal(err)
	}
	return f, m
}

// newCards makes files that were full of something else.
func newCards(t *testing.T, n int) (cards []*Card) {
	t.Helper()
	for range n {
		path := filepath.Join(t.TempDir(), "card")
		if err := os.WriteFile(path, bytes.Repeat([]byte{0xAA}, imageSize+blockSize), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Open(path, imageSize, false)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		cards = append(cards, c)
	}
	return cards
}

func content(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// starts tells whether a card has a first block.
func starts(t *testing.T, c *Card) bool {
	t.Helper()
	return !bytes.Equal(content(t, c.Path)[:blockSize], make([]byte, blockSize))
}

func unseen(*Card, Step) {}

func TestWrite(t *testing.T) {
	image, m := newImage(t)
	want := content(t, image.Name())
	pack := map[string]func(w *bytes.Buffer) error{
		"plain": func(w *bytes.Buffer) error { _, err := w.Write(want); return err },
		"zstd": func(w *bytes.Buffer) error {
			z, err := zstd.NewWriter(w)
			if err != nil {
				return err
			}
			_, err = z.Write(want)
			return errors.Join(err, z.Close())
		},
		"xz": func(w *bytes.Buffer) error { // the library's writer takes long with the race detector
			cmd := exec.Command("xz", "-c", "-1")
			cmd.Stdin, cmd.Stdout = bytes.NewReader(want), w
			return cmd.Run()
		},
	}
	pack["xz by the library"] = pack["xz"]
	for name, pack := range pack {
		t.Run(name, func(t *testing.T) {
			var file bytes.Buffer
			if err := pack(&file); errors.Is(err, exec.ErrNotFound) && os.Getenv("CI") != "true" {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if name == "xz by the library" {
				t.Setenv("PATH", "")
			}
			r, err := Unpack(&file)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			cards := newCards(t, 2)
			var steps [2]Step
			faults := Write(t.Context(), r, m, cards, func(c *Card, s Step) {
				for i := range cards {
					if c == cards[i] {
						steps[i] = s
					}
				}
			})
			for i, c := range cards {
				if faults[i] != nil {
					t.Fatal(faults[i])
				}
				if all := (Step{m.Used(), m.Used(), m.Used()}); steps[i] != all {
					t.Errorf("progress ends at %+v, want %+v", steps[i], all)
				}
				got := content(t, c.Path)
				for _, r := range m.Ranges {
					if !bytes.Equal(got[r.from:r.to], want[r.from:r.to]) {
						t.Errorf("bytes %d to %d differ", r.from, r.to)
					}
				}
				if hole := got[7<<20 : 7<<20+1000]; !bytes.Equal(hole, bytes.Repeat([]byte{0xAA}, 1000)) {
					t.Error("a block that the image does not use was written")
				}
			}
		})
	}
}

// A card that loses something shows when it is read back, and does not start.
func TestBadCard(t *testing.T) {
	for _, at := range []int64{0, 1<<20 + 77, imageSize - 1} {
		image, m := newImage(t)
		cards := newCards(t, 2)
		faults := Write(t.Context(), image, m, cards, func(c *Card, s Step) {
			if c != cards[0] || s.Written != s.Of || s.Read > 0 {
				return
			}
			old := content(t, c.Path)[at]
			if _, err := c.file.WriteAt([]byte{old ^ 1}, at); err != nil {
				t.Error(err)
			}
		})
		if faults[0] == nil || starts(t, cards[0]) {
			t.Errorf("byte %d flips on a card: %v, starts: %v", at, faults[0], starts(t, cards[0]))
		}
		if faults[1] != nil {
			t.Errorf("the good card beside it: %v", faults[1])
		}
	}
}

// A card that fails in the middle does not hold up the other.
func TestCardThatBreaks(t *testing.T) {
	image, m := newImage(t)
	cards := newCards(t, 2)
	cards[0].file.Close()
	faults := Write(t.Context(), image, m, cards, unseen)
	if faults[0] == nil || faults[1] != nil {
		t.Error(faults)
	}
}

func TestDamagedImage(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"a bit":     func(b []byte) []byte { b[3<<19] ^= 1; return b },
		"block 0":   func(b []byte) []byte { b[0] ^= 1; return b },
		"cut":       func(b []byte) []byte { return b[:3<<19] },
		"cut early": func(b []byte) []byte { return b[:100] },
	} {
		t.Run(name, func(t *testing.T) {
			image, m := newImage(t)
			cards := newCards(t, 1)
			faults := Write(t.Context(), bytes.NewReader(damage(content(t, image.Name()))), m, cards, unseen)
			if !errors.Is(faults[0], errImage) {
				t.Error(faults[0])
			}
			got := content(t, cards[0].Path)
			untouched := bytes.Equal(got, bytes.Repeat([]byte{0xAA}, len(got)))
			if starts(t, cards[0]) && !untouched {
				t.Error("the card starts all the same")
			}
		})
	}
}

func TestInterrupted(t *testing.T) {
	image, m := newImage(t)
	cards := newCards(t, 1)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	faults := Write(ctx, image, m, cards, func(*Card, Step) { cancel() })
	if !errors.Is(faults[0], context.Canceled) || starts(t, cards[0]) {
		t.Error(faults[0], starts(t, cards[0]))
	}
}

func TestMap(t *testing.T) {
	_, m := newImage(t)
	text, err := m.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if again, _ := got.Marshal(); !bytes.Equal(again, text) {
		t.Errorf("%s\nread and written again:\n%s", text, again)
	}
	pub, key, _ := ed25519.GenerateKey(nil)
	sig := Sign(key, text)
	if err := Verify(pub, text, sig); err != nil {
		t.Error(err)
	}
	text[len(text)/2] ^= 1
	if err := Verify(pub, text, sig); !errors.Is(err, ErrSignature) {
		t.Error("a changed map passes:", err)
	}
}

// What bmap-tools writes.
const foreign = `<?xml version="1.0" ?>
<!-- a comment -->
<bmap version="2.0">
    <ImageSize> 12288 </ImageSize>
    <BlockSize> 4096 </BlockSize>
    <BlocksCount> 3 </BlocksCount>
    <MappedBlocksCount> 2     </MappedBlocksCount>
    <ChecksumType> sha256 </ChecksumType>
    <BmapFileChecksum> 0000000000000000000000000000000000000000000000000000000000000000 </BmapFileChecksum>
    <BlockMap>
        <Range chksum="0000000000000000000000000000000000000000000000000000000000000001"> 0 </Range>
        <Range chksum="0000000000000000000000000000000000000000000000000000000000000002"> 2-2 </Range>
    </BlockMap>
</bmap>
`

func TestForeignMap(t *testing.T) {
	m, err := Parse([]byte(foreign))
	if err != nil || m.Size != 12288 || len(m.Ranges) != 2 || m.Ranges[1].from != 8192 || m.Ranges[1].to != 12288 || m.Ranges[1].sum[31] != 2 {
		t.Errorf("%+v, %v", m, err)
	}
	for _, bad := range [][2]string{
		{`"2.0"`, `"1.4"`},
		{"> 4096", "> 512"},
		{" sha256 ", " sha1 "},
		{"> 12288", "> 0"},
		{"> 12288", "> -4096"},
		{"> 12288", "> 99999"},
		{" 2-2 ", " 2-3 "},
		{" 2-2 ", " 0-2 "},
		{" 2-2 ", " 2-1 "},
		{" 2-2 ", " x "},
		{"> 0 <", "> 1 <"},
		{"0002\"", "02\""},
		{"0002\"", "000x\""},
	} {
		text := strings.Replace(foreign, bad[0], bad[1], 1)
		if _, err := Parse([]byte(text)); text == foreign || err == nil {
			t.Errorf("%s instead of %s is taken", bad[1], bad[0])
		}
	}
}

func TestOpen(t *testing.T) {
	small := filepath.Join(t.TempDir(), "small")
	if err := os.WriteFile(small, make([]byte, 5000), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(small, 6000, false); err == nil {
		t.Error("a card that is too small is taken")
	}
	if err := os.Truncate(small, Large+1); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(small, 6000, false); !errors.Is(err, ErrLarge) {
		t.Error("a large disk:", err)
	}
	if c, err := Open(small, 6000, true); err != nil {
		t.Error("a large disk that is wanted:", err)
	} else {
		c.Close()
	}
	for _, path := range []string{t.TempDir(), "/dev/null", small + "x"} {
		if _, err := Open(path, 0, false); err == nil {
			t.Errorf("%s is taken", path)
		}
	}
}

// What the kernel uses cannot be taken.
func TestDiskInUse(t *testing.T) {
	file := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(file, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	disk := loop(t, file)
	c, err := Open(disk, 1<<20, false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(disk, 1<<20, false); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Error("a disk that is in use is taken:", err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// loop makes a disk of a file, where this machine lets us.
func loop(t *testing.T, file string) string {
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no loop devices here: ", err)
	}
	defer control.Close()
	backing, err := os.OpenFile(file, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer backing.Close()
	for range 10 { // somebody else may take the same one
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			t.Skip("no loop devices here: ", err)
		}
		disk := "/dev/loop" + string(rune('0'+n))
		f, err := os.OpenFile(disk, os.O_RDWR, 0)
		if err != nil {
			t.Skip("no loop devices here: ", err)
		}
		if err := unix.IoctlSetInt(int(f.Fd()), unix.LOOP_SET_FD, int(backing.Fd())); err != nil {
			f.Close()
			continue
		}
		t.Cleanup(func() {
			unix.IoctlSetInt(int(f.Fd()), unix.LOOP_CLR_FD, 0)
			f.Close()
		})
		return disk
	}
	t.Skip("no loop device stays free")
	return ""
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(foreign))
	f.Fuzz(func(t *testing.T, text []byte) {
		m, err := Parse(text)
		if err != nil {
			return
		}
		written, err := m.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := Parse(written)
		if err != nil || again.Used() != m.Used() || len(again.Ranges) != len(m.Ranges) {
			t.Errorf("read again: %v", err)
		}
	})
}
