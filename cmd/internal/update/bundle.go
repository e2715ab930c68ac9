package update

import (
	"archive/tar"
	"bufio"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"
	"golang.org/x/sys/unix"
)

// The members of a bundle, which is a tar compressed by zstd, in this order.
const (
	BootFile = "boot.vfat"       // the partition from which the firmware starts
	RootFile = "rootfs.squashfs" // the one that the kernel mounts
)

const (
	chunkSize = 1 << 20
	window    = 8 << 20 // the most memory for what zstd looks back at, bytes
)

// ErrBundle means that a file is no bundle that fits.
var ErrBundle = errors.New("not a bundle for this card")

// A Device is a partition, or a file in its place.
type Device interface {
	io.ReaderAt
	io.WriterAt
	Fd() uintptr
	Sync() error
}

// Inspect reads a bundle to its end and says what is wrong with it.
func Inspect(bundle io.Reader) error {
	return members(bundle, func(_ int, t io.Reader, _ int64) error {
		_, err := io.Copy(io.Discard, t)
		return err
	})
}

// members calls do for each image of a bundle, in order.
func members(bundle io.Reader, do func(i int, image io.Reader, size int64) error) error {
	z, err := zstd.NewReader(bundle, zstd.WithDecoderMaxMemory(2*window), zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrBundle, err)
	}
	defer z.Close()
	t := tar.NewReader(z)
	for i, name := range []string{BootFile, RootFile} {
		head, err := t.Next()
		if err != nil {
			return fmt.Errorf("%w: no %s: %w", ErrBundle, name, err)
		}
		if head.Name != name || head.Size == 0 {
			return fmt.Errorf("%w: %d bytes of %q where %s must be", ErrBundle, head.Size, head.Name, name)
		}
		if err := do(i, t, head.Size); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if _, err := t.Next(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: there is more behind %s", ErrBundle, RootFile)
	}
	return nil
}

// install writes a bundle's images to the two partitions, reads each back, and tells how many bytes are done. It may be broken
// off at any time, and begun again.
func install(ctx context.Context, bundle io.Reader, boot, root Device, done func(bytes int64)) error {
	total := int64(0)
	return members(bundle, func(i int, image io.Reader, size int64) error {
		to := []Device{boot, root}[i]
		sum, err := write(ctx, image, to, func(n int64) { done(total + n) })
		if err == nil {
			err = compare(ctx, to, size, sum)
		}
		total += size
		return err
	})
}

// write copies to the device what it does not hold already, chunk by chunk: a card wears by writing.
func write(ctx context.Context, from io.Reader, to Device, done func(int64)) (sum [sha256.Size]byte, err error) {
	hash, chunk, old := sha256.New(), make([]byte, chunkSize), make([]byte, chunkSize)
	in := bufio.NewReaderSize(from, chunkSize)
	for at := int64(0); ; {
		n, err := io.ReadFull(in, chunk)
		if errors.Is(err, io.EOF) {
			return [sha256.Size]byte(hash.Sum(nil)), to.Sync()
		}
		if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
			return sum, fmt.Errorf("%w: %w", ErrBundle, err)
		}
		hash.Write(chunk[:n])
		if m, err := to.ReadAt(old[:n], at); err != nil || m != n || string(old[:n]) != string(chunk[:n]) {
			if _, err := to.WriteAt(chunk[:n], at); err != nil {
				return sum, err
			}
		}
		at += int64(n)
		done(at)
		if ctx.Err() != nil {
			return sum, ctx.Err()
		}
	}
}

// compare reads the device itself, not what the system remembers of it.
func compare(ctx context.Context, d Device, size int64, want [sha256.Size]byte) error {
	if err := unix.Fadvise(int(d.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return err
	}
	switch sum, err := hashOf(ctx, d, size); {
	case err != nil:
		return err
	case sum != want:
		return errors.New("the card does not hold what was written to it")
	}
	return nil
}

// hashOf reads the first size bytes, unless ctx ends.
func hashOf(ctx context.Context, from io.ReaderAt, size int64) (sum [sha256.Size]byte, err error) {
	hash, chunk := sha256.New(), make([]byte, chunkSize)
	for in := io.NewSectionReader(from, 0, size); ; {
		n, err := in.Read(chunk)
		hash.Write(chunk[:n])
		switch {
		case errors.Is(err, io.EOF):
			return [sha256.Size]byte(hash.Sum(nil)), nil
		case err != nil:
			return sum, err
		case ctx.Err() != nil:
			return sum, ctx.Err()
		}
	}
}
