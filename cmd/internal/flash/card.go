package flash

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Large is the size in bytes from which a disk is hardly a card for a gate, but somebody's backup.
const Large = 256 << 30

// window is how many bytes may be on their way to a card, so that progress is the card's own and not that of the memory.
const window = 16 << 20

// ErrLarge means that a disk has more than Large bytes.
var ErrLarge = errors.New("more than a gate's card has; -large takes it all the same")

// A Card is a disk that is this process's alone, or a file that stands for one.
type Card struct {
	Path  string
	Model string // as its maker calls it, may be empty
	Size  int64  // bytes

	file *os.File
	late int // bytes written that are perhaps not there yet
}

// Open takes a disk for an image of size bytes. It fails when anything of the disk is in use, when it is a part of a disk,
// too small, or, unless large, larger than cards are.
func Open(path string, size int64, large bool) (*Card, error) {
	c, err := open(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	switch {
	case c.Size < size:
		err = fmt.Errorf("has %d bytes, and the image needs %d", c.Size, size)
	case c.Size > Large && !large:
		err = fmt.Errorf("has %d GB: %w", c.Size/1_000_000_000, ErrLarge)
	}
	if err != nil {
		c.file.Close()
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return c, nil
}

func open(path string) (*Card, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, reason(err)
	}
	c := &Card{Path: path}
	flags := os.O_RDWR
	switch info.Mode().Type() {
	case 0:
	case fs.ModeDevice:
		flags |= os.O_EXCL // the kernel refuses what it uses itself, and lends it to nobody meanwhile
		if c.Model, err = model(info); err != nil {
			return nil, err
		}
	default:
		return nil, errors.New("neither a disk nor a file")
	}
	if c.file, err = os.OpenFile(path, flags, 0); errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("is in use%s: unmount it first", where(path))
	} else if err != nil {
		return nil, reason(err)
	}
	if c.Size, err = c.file.Seek(0, io.SeekEnd); err != nil {
		c.file.Close()
		return nil, reason(err)
	}
	return c, nil
}

// reason is an error without the path, which its reader is told anyway.
func reason(err error) error {
	if p := (*fs.PathError)(nil); errors.As(err, &p) {
		return p.Err
	}
	return err
}

// model returns what the kernel knows of a disk. Source: the kernel's Documentation/ABI/stable/sysfs-block.
func model(info fs.FileInfo) (string, error) {
	number := info.Sys().(*syscall.Stat_t).Rdev
	dir := fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(number), unix.Minor(number))
	if _, err := os.Stat(filepath.Join(dir, "partition")); err == nil {
		return "", errors.New("is one partition of a disk: name the disk")
	}
	for _, name := range []string{"device/model", "device/name"} {
		if text, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			return strings.TrimSpace(string(text)), nil
		}
	}
	return "", nil
}

// where tells at which folders a disk or parts of it are mounted, as far as their names tell.
func where(path string) string {
	f, err := os.Open("/proc/self/mounts")
	if err != nil {
		return ""
	}
	defer f.Close()
	var at []string
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if w := strings.Fields(lines.Text()); len(w) > 1 && strings.HasPrefix(w[0], path) {
			at = append(at, w[1])
		}
	}
	if len(at) == 0 {
		return ""
	}
	return " at " + strings.Join(at, ", ")
}

// put writes data at a place.
func (c *Card) put(data []byte, at int64) error {
	if _, err := c.file.WriteAt(data, at); err != nil {
		return reason(err)
	}
	if c.late += len(data); c.late < window {
		return nil
	}
	return c.flush()
}

// flush waits until everything is on the card.
func (c *Card) flush() error {
	c.late = 0
	return reason(c.file.Sync())
}

// back opens the card to read what it holds itself: the system's own memory of it does not count.
func (c *Card) back() (*os.File, error) {
	f, err := os.OpenFile(c.Path, os.O_RDONLY|unix.O_DIRECT, 0)
	if err == nil {
		return f, nil
	}
	if f, err = os.Open(c.Path); err != nil { // a file on a file system without O_DIRECT
		return nil, reason(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// pages returns n bytes at the beginning of a page, as O_DIRECT wants them, for unix.Munmap.
func pages(n int) ([]byte, error) {
	return unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
}

// Close gives the card back.
func (c *Card) Close() error { return c.file.Close() }
