package helper

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"time"

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

// System returns the Host that is this machine. Sticks are mounted at dir for the user with that number, and data is let go
// of before a restart.
func System(dir string, uid int, data string) Host {
	return system{USB: kiosk.NewUSB(dir, uid, nil), data: data}
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
	if s != slot.A && s != slot.B {
		return "", "", false, fmt.Errorf("%d is no slot", s)
	}
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
	if s != slot.A && s != slot.B {
		return fmt.Errorf("%d is no slot", s)
	}
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
