package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"math"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const ahead = 4 << 20 // bytes that are zeroed in advance, so that no write has to allocate

// zero writes zeros into f from offset on and syncs them with the file's new size.
func zero(f *os.File, offset int64) error {
	if _, err := f.WriteAt(make([]byte, ahead), offset); err != nil {
		return err
	}
	return f.Sync()
}

// raw writes 4 KiB after 4 KiB over a file, and begins again at its end. It has no history.
type raw struct {
	*os.File
	next  int64
	times int // that it writes and syncs for each entry
}

func openRaw(times int) func(dir string) (store, error) {
	return func(dir string) (store, error) {
		f, err := os.OpenFile(filepath.Join(dir, "raw"), os.O_RDWR|os.O_CREATE, 0o600)
		if err != nil {
			return nil, err
		}
		return &raw{f, 0, times}, zero(f, 0)
	}
}

func (*raw) count() int { return math.MaxInt }

func (r *raw) add(context.Context, int) error {
	for range r.times {
		var block [4096]byte
		binary.LittleEndian.PutUint64(block[:], uint64(r.next))
		_, err := r.WriteAt(block[:], r.next*int64(len(block))%ahead)
		if err = errors.Join(err, unix.Fdatasync(int(r.Fd()))); err != nil {
			return err
		}
		r.next++
	}
	return nil
}

// frames keeps entries behind each other, each after its length and CRC-32.
type frames struct {
	*os.File
	s           *sample
	n           int
	end, zeroed int64
}

// openFile reads the whole file, as a journal of this kind has to.
func (s *sample) openFile(dir string) (store, error) {
	f, err := os.OpenFile(filepath.Join(dir, "frames"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	fr := &frames{File: f, s: s}
	for r := bufio.NewReaderSize(f, 1<<16); ; fr.n++ {
		size := readFrame(r)
		if size == 0 {
			return fr, nil
		}
		fr.end += size
	}
}

// readFrame returns the bytes of the next frame, 0 where no whole one follows.
func readFrame(r io.Reader) int64 {
	var head [8]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0
	}
	data := make([]byte, min(binary.LittleEndian.Uint32(head[:]), 1<<16))
	if _, err := io.ReadFull(r, data); err != nil || len(data) == 0 || crc32.ChecksumIEEE(data) != binary.LittleEndian.Uint32(head[4:]) {
		return 0
	}
	return int64(len(head) + len(data))
}

func (f *frames) count() int { return f.n }

func (f *frames) add(_ context.Context, n int) error {
	var b []byte
	for range n {
		e := f.s.raw(f.n)
		b = binary.LittleEndian.AppendUint32(b, uint32(len(e)))
		b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(e))
		b = append(b, e...)
		f.n++
	}
	if f.end+int64(len(b)) > f.zeroed {
		if err := zero(f.File, f.end); err != nil {
			return err
		}
		f.zeroed = f.end + ahead
	}
	if _, err := f.WriteAt(b, f.end); err != nil {
		return err
	}
	f.end += int64(len(b))
	return unix.Fdatasync(int(f.Fd()))
}
