package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// settle waits until all that was written to the file system of dir is on its disk.
func settle(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Syncfs(int(f.Fd()))
}

// evict takes the files below dir out of the page cache and returns the bytes that they take on the disk.
func evict(dir string) (size int64, err error) {
	if err := settle(dir); err != nil {
		return 0, err
	}
	return size, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		var st unix.Stat_t
		err = unix.Fstat(int(f.Fd()), &st)
		size += st.Blocks * 512
		return errors.Join(err, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	})
}

// memory returns the bytes of the process that are in memory, those of mapped files among them, or 0.
func memory() (size int64) {
	debug.FreeOSMemory()
	fmt.Sscan(field("/proc/self/status", "VmRSS"), &size)
	return size << 10
}

// field returns what stands behind a name and a colon in a file of /proc, or nothing.
func field(path, name string) string {
	b, _ := os.ReadFile(path)
	for line := range strings.Lines(string(b)) {
		if k, v, _ := strings.Cut(line, ":"); strings.TrimSpace(k) == name {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// machine says what is measured, or why dir is not on a disk.
func machine(ctx context.Context, dir string) (string, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return "", fmt.Errorf("find the disk of %s: %w", dir, err)
	}
	system := fileSystem(int64(st.Type))
	if system == "tmpfs" {
		return "", fmt.Errorf("%s lies in memory: choose a folder on a disk with -dir", dir)
	}
	kernel, err := output(ctx, "uname", "-sr")
	if err != nil {
		return "", err
	}
	cpu := field("/proc/cpuinfo", "model name") + field("/proc/cpuinfo", "Model") // the latter on boards
	return fmt.Sprintf("%s, %d x %s (%s), %s, %s", kernel, runtime.NumCPU(), cpu, runtime.GOARCH, system, runtime.Version()), nil
}

// fileSystem names what statfs tells as a number.
func fileSystem(magic int64) string {
	switch magic {
	case unix.TMPFS_MAGIC, unix.RAMFS_MAGIC:
		return "tmpfs"
	case unix.EXT4_SUPER_MAGIC:
		return "ext4"
	case unix.F2FS_SUPER_MAGIC:
		return "f2fs"
	case unix.BTRFS_SUPER_MAGIC:
		return "btrfs"
	case unix.XFS_SUPER_MAGIC:
		return "xfs"
	case unix.OVERLAYFS_SUPER_MAGIC:
		return "overlay"
	}
	return fmt.Sprintf("file system %#x", magic)
}

// output runs a command and returns what it prints.
func output(ctx context.Context, name string, args ...string) (string, error) {
	b, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	text := strings.TrimSpace(string(b))
	if err != nil {
		return "", fmt.Errorf("%s: %w: %s", name, err, text)
	}
	return text, nil
}

// A disk is an ext4 in a file, behind a loop device that counts what is written.
type disk struct {
	root   string // where it is mounted
	device string // "/dev/loop7"
}

// newDisk makes a disk of so many bytes in the folder dir, which it creates.
func newDisk(ctx context.Context, dir string, size int64) (*disk, error) {
	if os.Getuid() != 0 {
		return nil, errors.New("this takes root")
	}
	d, image := &disk{root: filepath.Join(dir, "disk")}, filepath.Join(dir, "image")
	err := errors.Join(os.MkdirAll(d.root, 0o700), os.WriteFile(image, nil, 0o600), os.Truncate(image, size))
	if err != nil {
		return nil, err
	}
	// Not lazily: nothing may be written later, in the background.
	if _, err := output(ctx, "mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return nil, err
	}
	if d.device, err = output(ctx, "losetup", "--find", "--show", image); err != nil {
		return nil, err
	}
	if _, err := output(ctx, "mount", "-t", "ext4", d.device, d.root); err != nil {
		return nil, errors.Join(err, d.detach())
	}
	return d, nil
}

// Close takes the disk away, after an interrupt too.
func (d *disk) Close() error {
	_, err := output(context.Background(), "umount", d.root)
	return errors.Join(err, d.detach())
}

func (d *disk) detach() error {
	_, err := output(context.Background(), "losetup", "--detach", d.device)
	return err
}

// written syncs the disk and reads its counters.
func (d *disk) written() (tally, error) {
	if err := settle(d.root); err != nil {
		return tally{}, err
	}
	b, err := os.ReadFile(filepath.Join("/sys/block", filepath.Base(d.device), "stat"))
	if err != nil {
		return tally{}, err
	}
	return parseStat(string(b))
}

// parseStat takes the sectors written and the flushes from the kernel's Documentation/block/stat.rst.
func parseStat(text string) (t tally, err error) {
	f := strings.Fields(text)
	if len(f) < 16 {
		return t, fmt.Errorf("read disk's counters: there are %d, not 16", len(f))
	}
	var sectors int64
	if _, err := fmt.Sscan(f[6]+" "+f[15], &sectors, &t.flushes); err != nil {
		return t, fmt.Errorf("read disk's counters: %w", err)
	}
	t.bytes = sectors * 512
	return t, nil
}
