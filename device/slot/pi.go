package slot

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// TryBoot is what a Pi's kernel is told with a restart that tries the other slot.
const TryBoot = "0 tryboot"

// AutobootSize is the size of the file autoboot.txt: one sector, which a card writes whole or not at all.
const AutobootSize = 512

// The partitions from which the firmware starts a slot.
const (
	bootA = 2
	bootB = 3
)

// A Pi is a Raspberry Pi whose firmware starts one of two partitions, by autoboot.txt on the card's first one. It only reads:
// Root writes. Source: the documentation of autoboot.txt and of the device tree's /chosen node.
type Pi struct {
	Autoboot string // file
	Chosen   string // folder, /proc/device-tree/chosen/bootloader

	Root Root
}

// Root is what a Pi asks of whoever has the right to do it.
type Root interface {
	SetDefault(Slot) error  // has autoboot.txt be Autoboot(s)
	Restart(try bool) error // into the other slot, once, or into the default
}

// ErrNoBoard means that this machine does not start from slots.
var ErrNoBoard = errors.New("this machine does not start from slots")

// OpenPi looks whether this machine is such a Pi.
func OpenPi(p Pi) (*Pi, error) {
	if _, err := p.Default(); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBoard
	} else if err != nil {
		return nil, err
	}
	if _, err := p.number("partition"); errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoBoard
	} else if err != nil {
		return nil, err
	}
	return &p, nil
}

// number reads a number that the firmware has left in the device tree.
func (p *Pi) number(name string) (uint32, error) {
	raw, err := os.ReadFile(filepath.Join(p.Chosen, name))
	if err == nil && len(raw) != 4 {
		err = fmt.Errorf("%s has %d bytes instead of 4", name, len(raw))
	}
	if err != nil {
		return 0, fmt.Errorf("firmware: %w", err)
	}
	return binary.BigEndian.Uint32(raw), nil
}

// Booted implements Board.
func (p *Pi) Booted() (s Slot, tried bool) {
	partition, _ := p.number("partition") // OpenPi has read it
	try, _ := p.number("tryboot")         // older firmware leaves none
	if partition == bootB {
		s = B
	}
	return s, try == 1
}

// Default implements Board.
func (p *Pi) Default() (Slot, error) {
	raw, err := os.ReadFile(p.Autoboot)
	if err != nil {
		return A, err
	}
	return ParseAutoboot(raw)
}

// SetDefault implements Board.
func (p *Pi) SetDefault(s Slot) error { return p.Root.SetDefault(s) }

// Try implements Board.
func (p *Pi) Try(Slot) error { return p.Root.Restart(true) }

// Autoboot returns the file that makes s the default. It has AutobootSize bytes.
func Autoboot(s Slot) []byte {
	text := fmt.Sprintf("[all]\ntryboot_a_b=1\nboot_partition=%d\n[tryboot]\nboot_partition=%d\n", bootA+int(s), bootA+int(s.Other()))
	return append([]byte(text), bytes.Repeat([]byte("\n"), AutobootSize-len(text))...)
}

// ParseAutoboot returns the default of an autoboot.txt.
func ParseAutoboot(raw []byte) (Slot, error) {
	section := "[all]"
	for line := range strings.Lines(string(raw[:min(len(raw), AutobootSize)])) { // the firmware reads no more
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "["):
			section = line
		case section == "[all]" && strings.HasPrefix(line, "boot_partition="):
			switch n, err := strconv.Atoi(strings.TrimPrefix(line, "boot_partition=")); {
			case err == nil && n == bootA:
				return A, nil
			case err == nil && n == bootB:
				return B, nil
			}
			return A, fmt.Errorf("autoboot.txt: %q is no slot", line)
		}
	}
	return A, errors.New("autoboot.txt names no boot_partition")
}
