package helper

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
	"unsafe"

	"gatepost/cmd/internal/kiosk"
	"gatepost/device/slot"

	"golang.org/x/sys/unix"
)

// Boot is where the card's first partition is mounted, for reading.
const Boot = "/boot"

// AutobootFile says which slot starts.
const AutobootFile = Boot + "/autoboot.txt"

// system is this machine. Its methods take root.
type system struct {
	*kiosk.USB
	data string
}

// StickDir is where sticks are mounted. It is root's: a gate could lead a folder of its own to any other.
const StickDir = "/run/gatepost-stick"

// System returns the Host that is this machine. Sticks are mounted for the user with that number, and data is let go of before a
// restart.
func System(uid int, data string) (Host, error) {
	if err := os.Mkdir(StickDir, 0o755); err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("folder for sticks: %w", err)
	}
	return system{USB: kiosk.NewUSB(StickDir, uid, nil), data: data}, nil
}

// earliest lies before any gate ran.
var earliest = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func (system) SetClock(at time.Time) error {
	if at.Before(earliest) {
		return fmt.Errorf("%v lies before any gate", at)
	}
	ts := unix.NsecToTimespec(at.UnixNano())
	return unix.ClockSettime(unix.CLOCK_REALTIME, &ts)
}

// root is the kernel's word for the partition that it started from: /dev/mmcblk0p5. The slots' partitions are 2 and 3 for the
// firmware, 5 and 6 for the kernel.
var root = regexp.MustCompile(`(?:^|\s)root=(/dev/\w+?)([56])(?:\s|$)`)

// partitions returns those of a slot by the kernel's command line, and whether that slot runs.
func partitions(cmdline string, s slot.Slot) (boot, sys string, runs bool, err error) {
	m := root.FindStringSubmatch(cmdline)
	if m == nil {
		return "", "", false, slot.ErrNoBoard
	}
	return fmt.Sprint(m[1], 2+int(s)), fmt.Sprint(m[1], 5+int(s)), m[2] == fmt.Sprint(5+int(s)), nil
}

// OpenSlot never opens what runs.
func (system) OpenSlot(s slot.Slot) (boot, sys *os.File, err error) {
	cmdline, err := os.ReadFile("/proc/cmdline")
	if err != nil {
		return nil, nil, err
	}
	bootPath, sysPath, runs, err := partitions(string(cmdline), s)
	if err != nil {
		return nil, nil, err
	}
	if runs {
		return nil, nil, fmt.Errorf("slot %v runs", s)
	}
	if boot, err = os.OpenFile(bootPath, os.O_RDWR, 0); err != nil {
		return nil, nil, err
	}
	if sys, err = os.OpenFile(sysPath, os.O_RDWR, 0); err != nil {
		return nil, nil, errors.Join(err, boot.Close())
	}
	return boot, sys, nil
}

// SetDefault writes one sector in place, while the partition can be written to for just so long.
func (system) SetDefault(s slot.Slot) (err error) {
	const flags = unix.MS_REMOUNT | unix.MS_NOATIME
	if err := unix.Mount("", Boot, "", flags, ""); err != nil {
		return fmt.Errorf("write to %s: %w", Boot, err)
	}
	defer func() {
		if again := unix.Mount("", Boot, "", flags|unix.MS_RDONLY, ""); again != nil && err == nil {
			err = fmt.Errorf("%s stays open for writing: %w", Boot, again)
		}
	}()
	return writeAutoboot(AutobootFile, s)
}

// writeAutoboot overwrites a file that has the size already, so that nothing but its sector changes.
func writeAutoboot(path string, s slot.Slot) error {
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != slot.AutobootSize {
		err = fmt.Errorf("%s has %d bytes instead of %d", filepath.Base(path), info.Size(), slot.AutobootSize)
	}
	if err == nil {
		_, err = f.WriteAt(slot.Autoboot(s), 0)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

func (h system) Restart(try bool) error {
	unix.Unmount(h.data, unix.MNT_DETACH) // what is busy must do without: every entry is durable
	unix.Sync()
	if !try {
		return unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	}
	return restartWith(slot.TryBoot)
}

// restartWith starts the machine again with a word to its firmware, which unix.Reboot cannot carry.
func restartWith(word string) error {
	text, err := syscall.BytePtrFromString(word)
	if err != nil {
		return err
	}
	_, _, no := unix.Syscall6(unix.SYS_REBOOT, unix.LINUX_REBOOT_MAGIC1, unix.LINUX_REBOOT_MAGIC2, unix.LINUX_REBOOT_CMD_RESTART2, uintptr(unsafe.Pointer(text)), 0, 0)
	if no != 0 {
		return no
	}
	return nil
}
