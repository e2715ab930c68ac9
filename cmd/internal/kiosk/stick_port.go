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

// A USB is a Port on Linux without udev: it looks at the block devices on USB that the kernel knows, and mounts FAT and
// exFAT file systems by their label. Make it with NewUSB. That takes root; without, no stick is ever found.
type USB struct {
	dir      string // where sticks are mounted
	sys, dev string // /sys/class/block and /dev
	every    time.Duration
	mount    func(device, dir, kind string) error
	unmount  func(dir string, flags int) error

	known map[string]string // size of each block device, by name, when it was looked at
	name  string            // of the stick's device
}

// NewUSB returns a port that mounts sticks at the folder dir.
func NewUSB(dir string) *USB {
	return &USB{
		dir: dir, sys: "/sys/class/block", dev: "/dev", every: time.Second, known: map[string]string{}, unmount: unix.Unmount,
		mount: func(device, dir, kind string) error {
			return unix.Mount(device, dir, kind, unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_NOATIME, "")
		},
	}
}

// Insert implements Port. A stick that is there at the start counts as put in.
func (u *USB) Insert(ctx context.Context) (string, error) {
	var kind string
	err := u.poll(ctx, func() bool { u.name, kind = u.find(); return u.name != "" })
	if err != nil {
		return "", err
	}
	u.unmount(u.dir, unix.MNT_DETACH) // what a run that was killed left; mostly there is none
	if err := os.MkdirAll(u.dir, 0o700); err != nil {
		return "", fmt.Errorf("folder for sticks: %w", err)
	}
	if err := u.mount(filepath.Join(u.dev, u.name), u.dir, kind); err != nil {
		return "", fmt.Errorf("mount stick as %s: %w", kind, err)
	}
	return u.dir, nil
}

// Release implements Port.
func (u *USB) Release() error {
	err := u.unmount(u.dir, 0)
	if err == nil && u.size(u.name) != u.known[u.name] {
		return errors.New("the stick was pulled out too early, put it in again")
	}
	if err != nil {
		return errors.Join(fmt.Errorf("unmount stick: %w", err), u.unmount(u.dir, unix.MNT_DETACH))
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

// find looks at the devices that have come since the last time, until one is a stick, and returns it with its kind of
// file system. A card reader's device is there without a medium, too; its size is 0 then.
func (u *USB) find() (name, kind string) {
	devices, err := os.ReadDir(u.sys)
	if err != nil {
		return "", "" // no such kernel, no sticks
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
		kind, err := u.kind(d.Name())
		if err != nil {
			continue // its node comes a moment later
		}
		if u.known[d.Name()] = size; kind != "" {
			return d.Name(), kind
		}
	}
	return "", ""
}

// onUSB reports whether a device hangs on a USB port. No other disk is ever touched.
func (u *USB) onUSB(name string) bool {
	path, err := os.Readlink(filepath.Join(u.sys, name))
	return err == nil && strings.Contains(path, "/usb")
}

// size returns the size of a block device as the kernel writes it, "" when it has gone.
func (u *USB) size(name string) string {
	b, err := os.ReadFile(filepath.Join(u.sys, name, "size"))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

// kind returns the kind of a device's file system if that is a stick's, else "".
func (u *USB) kind(name string) (string, error) {
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
