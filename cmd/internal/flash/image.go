package flash

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os/exec"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

var (
	magicZstd = []byte{0x28, 0xB5, 0x2F, 0xFD}      // RFC 8878, 3.1.1
	magicXZ   = []byte{0xFD, '7', 'z', 'X', 'Z', 0} // the .xz file format 1.2.1, 2.1.1.1
)

// maxWindow bounds what an image that is packed by zstd may take of the memory.
const maxWindow = 128 << 20

// Unpack returns an image's bytes from a file that is packed by zstd or xz, which its first bytes tell, or not at all. Close
// ends its helpers.
func Unpack(file io.Reader) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(file, 1<<20)
	head, err := r.Peek(len(magicXZ))
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	switch {
	case bytes.HasPrefix(head, magicZstd):
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, fmt.Errorf("read image: %w", err)
		}
		return z.IOReadCloser(), nil
	case bytes.Equal(head, magicXZ):
		return unxz(r)
	}
	return io.NopCloser(r), nil
}

// unxz lets the machine's own xz unpack, where there is one: it takes half the library's time, and all processors.
func unxz(r io.Reader) (io.ReadCloser, error) {
	cmd := exec.Command("xz", "--decompress", "--stdout", "--threads=0")
	cmd.Stdin = r
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err == nil {
		return &pipe{out, cmd}, nil
	}
	z, err := xz.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	return io.NopCloser(z), nil
}

// A pipe is what a program writes.
type pipe struct {
	io.ReadCloser
	cmd *exec.Cmd
}

// Close ends the program. What it did not get to write, nobody wanted: that the image was whole, its map has told.
func (p *pipe) Close() error {
	p.ReadCloser.Close()
	p.cmd.Wait() // SIGPIPE, most likely
	return nil
}
