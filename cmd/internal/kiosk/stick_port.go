package kiosk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// StickLabel is the file system's label of the sticks that a USB port takes, in whatever case.
const StickLabel = "GATEPOST"

// A Mounter does what takes root with the block devices that the kernel knows by name ("sda1").
type Mounter interface {
	// Kind returns the kind of the device's file system if that is a stick's, else "".
	Kind(name string) (string, error)
	// Mount mounts a stick, and nothing else, at the folder for sticks.
	Mount(name string) error
	// Unmount unmounts it; by force it always succeeds, and may lose what was written.
	Unmount(force bool) error
}

// A USB is a Port on Linux without udev: it looks at the block devices on USB that the kernel knows, and mounts FAT and
// exFAT file systems by their label. Make it with NewUSB. It is a Mounter, too, where it runs as root.
type USB struct {
	by       Mounter
	dir      string // where sticks are mounted
	owner    int    // whose files are on them
	sys, dev string // /sys/class/block and /dev
	every    time.Duration
	mount    func(device, dir, kind string) error
	unmount  func(dir string, flags int) error

	known map[string]string // size of each block device, by name, when it was looked at
	name  string            // of the stick's device
}

// NewUSB returns a port that mounts sticks at the folder dir, by itself where by is nil; owner is the user to whom files on
// them then belong.
func NewUSB(dir string, owner int, by Mounter) *USB {
	u := &USB{
		by: by, dir: dir, owner: owner, sys: "/sys/class/block", dev: "/dev", every: time.Second, known: map[string]string{}, unmount: unix.Unmount,
	}
	u.mount = func(device, dir, kind string) error {
		return unix.Mount(device, dir, kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, fmt.Sprintf("uid=%d,umask=077", u.owner))
	}
	if by == nil {
		u.by = u
	}
	return u
}

// Insert implements Port. A stick that is there at the start counts as put in.
func (u *USB) Insert(ctx context.Context) (string, error) {
	if err := u.poll(ctx, func() bool { u.name = u.find(); return u.name != "" }); err != nil {
		return "", err
	}
	u.by.Unmount(true) // what a run that was killed left; mostly there is none
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return "", fmt.Errorf("folder for sticks: %w", err)
	}
	if err := u.by.Mount(u.name); err != nil {
		return "", err
	}
	return u.dir, nil
}

// Mount implements Mounter.
func (u *USB) Mount(name string) error {
	kind, err := u.Kind(name)
	if err != nil {
		return err
	}
	if kind == "" {
		return fmt.Errorf("%q is no stick", name)
	}
	if err := u.mount(filepath.Join(u.dev, name), u.dir, kind); err != nil {
		return fmt.Errorf("mount stick as %s: %w", kind, err)
	}
	return nil
}

// Unmount implements Mounter.
func (u *USB) Unmount(force bool) error {
	if force {
		u.unmount(u.dir, unix.MNT_DETACH) // fails where nothing is mounted
		return nil
	}
	return u.unmount(u.dir, 0)
}

// Release implements Port.
func (u *USB) Release() error {
	err := u.by.Unmount(false)
	if err == nil && u.size(u.name) != u.known[u.name] {
		return errors.New("the stick was pulled out too early, put it in again")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unmount stick: %w", err), u.by.Unmount(true))
	}
	return nil
}

// Removed implements Port.
func (u *USB) Removed(ctx context.Context) {
	u.poll(ctx, func() bool { return u.name == "" || u.size(u.name) != u.known[u.name] }) // the end of ctx ends it, too
	delete(u.known, u.name)
	u.name = ""
}

// poll returns when done does, or with ctx's error.
func (u *USB) poll(ctx context.Context, done func() bool) error {
	tick := time.NewTicker(u.every)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

// find looks at the devices that have come since the last time, until one is a stick, and returns it. A card reader's device is
// there without a medium, too; its size is 0 then.
func (u *USB) find() (name string) {
	devices, err := os.ReadDir(u.sys)
	if err != nil {
		return "" // no such kernel, no sticks
	}
	there := map[string]string{}
	for _, d := range devices {
		size := u.size(d.Name())
		if old, seen := u.known[d.Name()]; seen && old == size {
			there[d.Name()] = size
		}
	}
	u.known = there
	for _, d := range devices {
		size := u.size(d.Name())
		if u.known[d.Name()] != "" || size == "" || size == "0" || !u.onUSB(d.Name()) {
			continue
		}
		kind, err := u.by.Kind(d.Name())
		if err != nil {
			continue // its node comes a moment later
		}
		if u.known[d.Name()] = size; kind != "" {
			return d.Name()
		}
	}
	return ""
}

// onUSB reports whether a device hangs on a USB port. No other disk is ever touched.
func (u *USB) onUSB(name string) bool {
	path, err := os.Readlink(filepath.Join(u.sys, filepath.Base(name)))
	return err == nil && name == filepath.Base(name) && strings.Contains(path, "/usb")
}

// size returns the size of a block device as the kernel writes it, "" when it has gone.
func (u *USB) size(name string) string {
	b, err := os.ReadFile(filepath.Join(u.sys, name, "size"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// Kind implements Mounter.
func (u *USB) Kind(name string) (string, error) {
	if !u.onUSB(name) {
		return "", nil
	}
	f, err := os.Open(filepath.Join(u.dev, name))
	if err != nil {
		return "", err
	}
	defer f.Close()
	kind, label := fatLabel(f)
	if !strings.EqualFold(label, StickLabel) {
		return "", nil
	}
	return kind, nil
}
