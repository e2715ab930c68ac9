package flash

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// roomMark begins the gatepost.txt of an image. Behind it are empty lines, in whose place an enrolment is written without
// knowing anything of file systems: the file of a new image lies in one piece.
const roomMark = "# gatepost.txt: room for an enrolment\n"

// Enrol writes the text of an enrolment into the room that the image on the card has for it, and reads it back.
func (c *Card) Enrol(m Map, text []byte) error {
	at, err := c.room(m)
	if err != nil {
		return err
	}
	if len(text) < len(roomMark) {
		text = append(slices.Clone(text), bytes.Repeat([]byte("\n"), len(roomMark)-len(text))...)
	}
	there := make([]byte, len(text))
	if _, err := c.file.ReadAt(there, at); err != nil {
		return reason(err)
	}
	if strings.Trim(string(there[len(roomMark):]), "\n") != "" {
		return fmt.Errorf("the image's gatepost.txt has less room than the %d bytes of the enrolment", len(text))
	}
	if err := errors.Join(c.put(text, at), c.flush()); err != nil {
		return err
	}
	back, err := c.back()
	if err != nil {
		return err
	}
	defer back.Close()
	from, to := at/blockSize*blockSize, (at+int64(len(text))+blockSize-1)/blockSize*blockSize // as O_DIRECT reads
	buf, err := pages(int(to - from))
	if err != nil {
		return err
	}
	defer unix.Munmap(buf)
	if n, err := back.ReadAt(buf, from); int64(n) < at+int64(len(text))-from {
		return fmt.Errorf("read back: %w", err)
	}
	if !bytes.Equal(buf[at-from:][:len(text)], text) {
		return errors.New("the enrolment is not what was written: the card is worn out")
	}
	return nil
}

// room returns where the room is.
func (c *Card) room(m Map) (at int64, err error) {
	const overlap = len(roomMark) - 1
	buf := make([]byte, overlap+chunkSize)
	kept, end := 0, int64(0) // bytes of the last chunk, which may begin the mark, and where that ended
	for _, r := range m.Ranges {
		if r.from != end {
			kept = 0
		}
		end = r.to
		for at := r.from; at < r.to; {
			n := int(min(chunkSize, r.to-at))
			if _, err := c.file.ReadAt(buf[kept:kept+n], at); err != nil {
				return 0, reason(err)
			}
			if i := bytes.Index(buf[:kept+n], []byte(roomMark)); i >= 0 {
				return at - int64(kept) + int64(i), nil
			}
			at += int64(n)
			tail := min(overlap, kept+n)
			copy(buf, buf[kept+n-tail:kept+n])
			kept = tail
		}
	}
	return 0, errors.New("the image has no gatepost.txt with room for an enrolment")
}

// Readers returns the disks that are cards in readers: removable, and with a medium in them. sys is /sys.
func Readers(sys string) (disks []string, err error) {
	entries, err := os.ReadDir(filepath.Join(sys, "block"))
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		file := func(name string) string {
			b, _ := os.ReadFile(filepath.Join(sys, "block", e.Name(), name)) // what cannot be read is none
			return strings.TrimSpace(string(b))
		}
		card := file("removable") == "1" || strings.HasPrefix(e.Name(), "mmcblk") && file("device/type") == "SD"
		if size := file("size"); card && size != "" && size != "0" && !strings.HasPrefix(e.Name(), "sr") {
			disks = append(disks, "/dev/"+e.Name())
		}
	}
	return disks, nil
}
