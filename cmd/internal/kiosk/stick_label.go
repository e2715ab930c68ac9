package kiosk

import (
	"encoding/binary"
	"io"
	"strings"
	"unicode/utf16"
)

const (
	maxFolder = 64 << 10 // bytes of a root folder that are searched for the label, which mostly comes first
	dirEntry  = 32       // bytes of a folder's entry
)

// fatLabel returns the kind of file system on r as mount names it, "vfat" or "exfat", and its label; "" when it is
// neither. The label is the one in the root folder, which every system writes, not that of the boot sector.
// Source: Microsoft, "FAT32 File System Specification" 1.03 and "exFAT file system specification" 1.00.
func fatLabel(r io.ReaderAt) (kind, label string) {
	boot := make([]byte, 512)
	if _, err := r.ReadAt(boot, 0); err != nil || boot[510] != 0x55 || boot[511] != 0xaa {
		return "", ""
	}
	kind, read := "vfat", fatEntry
	at, size := fatRoot(boot)
	if string(boot[3:11]) == "EXFAT   " {
		kind, read = "exfat", exfatEntry
		at, size = exfatRoot(boot)
	}
	if at <= 0 || size <= 0 {
		return "", ""
	}
	folder := make([]byte, min(size, maxFolder))
	n, err := r.ReadAt(folder, at)
	if err != nil && err != io.EOF {
		return "", ""
	}
	for e := folder[:n]; len(e) >= dirEntry && e[0] != 0; e = e[dirEntry:] {
		if label, ok := read(e[:dirEntry]); ok {
			return kind, label
		}
	}
	return kind, ""
}

// fatRoot returns where the root folder of FAT12, FAT16 or FAT32 begins, and the bytes that surely belong to it.
func fatRoot(boot []byte) (at, size int64) {
	u16 := func(i int) int64 { return int64(binary.LittleEndian.Uint16(boot[i:])) }
	u32 := func(i int) int64 { return int64(binary.LittleEndian.Uint32(boot[i:])) }
	sector, cluster := u16(11), int64(boot[13])
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || cluster == 0 || cluster&(cluster-1) != 0 {
		return 0, 0
	}
	reserved, tables, entries := u16(14), int64(boot[16]), u16(17)
	if entries > 0 { // FAT12, FAT16
		return (reserved + tables*u16(22)) * sector, entries * dirEntry
	}
	first := u32(44) // cluster of the root
	if first < 2 {
		return 0, 0
	}
	return (reserved + tables*u32(36) + (first-2)*cluster) * sector, cluster * sector
}

func exfatRoot(boot []byte) (at, size int64) {
	heap, first := int64(binary.LittleEndian.Uint32(boot[88:])), int64(binary.LittleEndian.Uint32(boot[96:]))
	sector, cluster := boot[108], boot[109] // powers of two
	if first < 2 || sector < 9 || sector > 12 || cluster > 25-sector {
		return 0, 0
	}
	return (heap + (first-2)<<cluster) << sector, 1 << (cluster + sector)
}

// fatEntry returns the label that an entry of a folder holds.
func fatEntry(e []byte) (label string, ok bool) {
	const deleted, volume, longName = 0xe5, 0x08, 0x0f
	ok = e[0] != deleted && e[11]&volume != 0 && e[11]&longName != longName
	return strings.TrimRight(string(e[:11]), " "), ok
}

func exfatEntry(e []byte) (label string, ok bool) {
	const volume, most = 0x83, 11
	var text []uint16
	for i := range min(int(e[1]), most) {
		text = append(text, binary.LittleEndian.Uint16(e[2+2*i:]))
	}
	return string(utf16.Decode(text)), e[0] == volume
}
