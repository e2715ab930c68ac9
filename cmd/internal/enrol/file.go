package enrol

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"gatepost/cmd/internal/guard"
)

// FileName is the file with an enrolment on the card's first partition or on a stick: parts.txt of gatectl enrol, renamed.
const FileName = "gatepost.txt"

const maxFile = 64 << 10 // bytes

// File takes an enrolment from a text with a part of it in each line, as computers of all kinds write it: with CRLF, a byte order
// mark, spaces, empty lines and such as begin with #. The file stays as it is, and one that is refused is told with its line. ok
// is false when there is no such file, or nothing in it: an image has one with room for an enrolment.
func (r *Reader) File(path string) (said guard.Said, ok bool) {
	text, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return said, false
	case err != nil:
		return inFile(path, 0, guard.Said{Face: guard.Broken, Words: guard.Text{VI: "không đọc được", EN: "not read: " + err.Error()}}), true
	}
	n, last := 0, 0
	for line := range strings.Lines(string(bytes.TrimPrefix(text, []byte("\ufeff")))) {
		n++
		part := strings.TrimSpace(line)
		if part == "" || part[0] == '#' {
			continue
		}
		if said, ok = r.Read(part); !ok {
			said = guard.Said{Face: guard.Stop, Words: guard.Text{VI: "không phải một phần của mã ghi danh", EN: "no part of an enrolment"}}
		}
		if last = n; said.Face != guard.Ask { // refused, or taken: nothing behind it counts
			break
		}
	}
	return inFile(path, last, said), last > 0
}

// inFile says where in a file something is, unless it says that all is well.
func inFile(path string, line int, said guard.Said) guard.Said {
	if said.Face == guard.Ready {
		return said
	}
	name := filepath.Base(path)
	at := guard.Text{VI: name, EN: name}
	if line > 0 {
		at = guard.Text{VI: fmt.Sprintf("%s, dòng %d", name, line), EN: fmt.Sprintf("%s, line %d", name, line)}
	}
	said.Words = guard.Text{VI: at.VI + ": " + said.Words.VI, EN: at.EN + ": " + said.Words.EN}
	return said
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(text) > maxFile {
		err = fmt.Errorf("exceeds %d bytes", maxFile)
	}
	return text, err
}
