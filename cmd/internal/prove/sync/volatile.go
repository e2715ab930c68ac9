package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"

	"golang.org/x/sys/unix"
)

const (
	diskSize = 512 << 20 // bytes, of which only those take place that are written

	ext4Shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN. Source: linux/fs/ext4/ext4.h
	noLogFlush   = 2          // EXT4_GOING_FLAGS_NOLOGFLUSH: the journal is not written out either
)

// A volatile is an ext4 of its own in a file. Its power can be cut: what its cache holds and nobody flushed is then gone. It is
// the kernel's own way to cut (as xfstests does it), so everything between a write and the block device is real; that a
// device lies, or tears a sector, is not.
type volatile struct {
	image, mount string
	mounted      bool
}

// newVolatile makes an empty disk and mounts it at the folder mount.
func newVolatile(ctx context.Context, mount string) (*volatile, error) {
	v := &volatile{image: mount + ".img", mount: mount}
	f, err := os.Create(v.image)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close(), os.MkdirAll(mount, 0o700)); err != nil {
		return nil, err
	}
	if err := command(ctx, "mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", v.image); err != nil {
		return nil, err
	}
	return v, v.on(ctx)
}

// on gives the disk power again: the file system's journal is replayed.
func (v *volatile) on(ctx context.Context) error {
	if err := command(ctx, "mount", "-o", "loop", v.image, v.mount); err != nil {
		return err
	}
	v.mounted = true
	return nil
}

// cut cuts the power of a disk that nobody writes to any more. Of what nobody flushed, files are kept with the given chance,
// whole or in pieces, as a disk does that was just about to write them.
func (v *volatile) cut(ctx context.Context, random *rand.Rand, chance float64) error {
	if err := v.leak(random, chance); err != nil {
		return fmt.Errorf("write a part of the cache: %w", err)
	}
	dir, err := os.Open(v.mount)
	if err != nil {
		return err
	}
	err = unix.IoctlSetPointerInt(int(dir.Fd()), ext4Shutdown, noLogFlush)
	if err = errors.Join(err, dir.Close()); err != nil {
		return fmt.Errorf("cut the power: %w", err)
	}
	return v.off(ctx)
}

// off takes the disk out.
func (v *volatile) off(ctx context.Context) error {
	if !v.mounted {
		return nil
	}
	v.mounted = false
	return command(ctx, "umount", v.mount)
}

// leak writes some of the cache to the disk.
func (v *volatile) leak(random *rand.Rand, chance float64) error {
	return filepath.WalkDir(v.mount, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || random.Float64() >= chance {
			return err
		}
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		if err != nil {
			return err
		}
		defer f.Close()
		if random.IntN(2) == 0 {
			return f.Sync()
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		from, n := random.Int64N(info.Size()+1), random.Int64N(info.Size()+1)+1
		return unix.SyncFileRange(int(f.Fd()), from, n, unix.SYNC_FILE_RANGE_WRITE|unix.SYNC_FILE_RANGE_WAIT_AFTER)
	})
}

func command(ctx context.Context, name string, args ...string) error {
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w: %s", name, err, out)
	}
	return nil
}
