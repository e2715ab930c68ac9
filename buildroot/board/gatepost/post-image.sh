#!/bin/sh
# Puts the card together, and the bundle by which a gate updates itself to it.
set -eu

board=$(dirname "$0")
cd "$BINARIES_DIR"
cp "$board/gatekiosk.toml" gatekiosk.toml
# Room in which "gatectl flash -venues" writes an enrolment, without knowing anything of FAT.
{
	echo "# gatepost.txt: room for an enrolment"
	head -c 16000 /dev/zero | tr '\0' '\n'
} >gatepost.txt
# One sector, which a gate overwrites in place.
{
	printf '[all]\ntryboot_a_b=1\nboot_partition=2\n[tryboot]\nboot_partition=3\n'
	head -c 512 /dev/zero | tr '\0' '\n'
} | head -c 512 >autoboot.txt
mv rpi-firmware/cmdline.txt rpi-firmware/cmdline-a.txt
sed 's,/dev/mmcblk0p5,/dev/mmcblk0p6,' rpi-firmware/cmdline-a.txt >rpi-firmware/cmdline-b.txt

name() { printf '\\t\\t\\t"%s",\\n' "$1"; }
first=
[ ! -e rpi-firmware/bootcode.bin ] || first=$(name rpi-firmware/bootcode.bin) # a Pi 3 looks for it there
boot=$(for f in Image *.dtb rpi-firmware/*; do name "$f"; done)
sed "s|#FIRST_FILES#|$first|; s|#BOOT_FILES#|$boot|" "$board/genimage.cfg" >genimage.cfg

cd - >/dev/null
support/scripts/genimage.sh -c "$BINARIES_DIR/genimage.cfg"
tar -C "$BINARIES_DIR" --format=ustar --owner=0 --group=0 --mtime=@0 -c boot.vfat rootfs.squashfs | zstd -q -f -o "$BINARIES_DIR/gatepost.bundle"
