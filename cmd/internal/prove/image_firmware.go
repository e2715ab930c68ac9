package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"

	"gatepost/device/slot"
)

// A firmware does what a Pi's does with a card: by autoboot.txt it chooses a partition, by the config.txt in that a kernel and its
// words, and leaves in the device tree what it has chosen.
type firmware struct {
	dir   string
	board string // device tree of the virtual machine
}

// A started system is what the virtual machine is given.
type started struct {
	partition             int
	kernel, cmdline, tree string
}

// start reads the card in file. try is for the partition that autoboot.txt tries.
func (f firmware) start(ctx context.Context, file string, try bool) (s started, err error) {
	read := func(partition int, name string) ([]byte, error) { return readFAT(ctx, file, partition, name) }
	autoboot, err := read(1, "autoboot.txt")
	if err != nil {
		return s, err
	}
	def, err := slot.ParseAutoboot(autoboot)
	if err != nil {
		return s, err
	}
	s.partition = 2 + int(def)
	if try {
		s.partition = 2 + int(def.Other())
	}
	config, err := read(s.partition, "config.txt")
	if err != nil {
		return s, err
	}
	kernel, err1 := read(s.partition, setting(config, s.partition, "kernel"))
	words, err2 := read(s.partition, setting(config, s.partition, "cmdline"))
	if err := errors.Join(err1, err2); err != nil {
		return s, err
	}
	s.kernel, s.tree = filepath.Join(f.dir, "kernel"), filepath.Join(f.dir, "board.dtb")
	s.cmdline = strings.ReplaceAll(strings.TrimSpace(string(words)), "/dev/mmcblk0p", "/dev/vda")
	tree, err := os.ReadFile(f.board)
	if err := errors.Join(err, os.WriteFile(s.kernel, kernel, 0o600), os.WriteFile(s.tree, tree, 0o600)); err != nil {
		return s, err
	}
	for name, value := range map[string]int{"partition": s.partition, "tryboot": map[bool]int{true: 1}[try]} {
		if _, err := run(ctx, f.dir, "fdtput", "-t", "i", s.tree, "/chosen/bootloader", name, strconv.Itoa(value)); err != nil {
			return s, err
		}
	}
	return s, nil
}

// readFAT returns a file on a primary partition of a card.
func readFAT(ctx context.Context, card string, partition int, name string) ([]byte, error) {
	at, err := partitions(card)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "mcopy", "-n", "-i", fmt.Sprintf("%s@@%d", card, at[partition]), "::"+name, "-")
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("partition %d, %s: %w: %s", partition, name, err, &complaint)
	}
	return out, nil
}

// partitions returns where each primary partition of a card begins, in bytes.
func partitions(file string) (at map[int]int64, err error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	table := make([]byte, sectorSize)
	if _, err := f.ReadAt(table, 0); err != nil {
		return nil, err
	}
	at = map[int]int64{}
	for n := range 4 {
		at[n+1] = sectorSize * int64(binary.LittleEndian.Uint32(table[446+16*n+8:]))
	}
	return at, nil
}

// setting returns the last value of a key in a config.txt that counts for a partition. Its other filters are for other boards.
func setting(config []byte, partition int, key string) (value string) {
	counts := true
	for line := range strings.Lines(string(config)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "[") {
			counts = line == "[all]" || line == fmt.Sprintf("[boot_partition=%d]", partition)
		}
		if v, ok := strings.CutPrefix(line, key+"="); ok && counts {
			value = v
		}
	}
	return value
}
