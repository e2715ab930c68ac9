#!/bin/sh
# Puts kernel, device trees, firmware and the gate's configuration onto the FAT partition, and the card together.
set -eu

board=$(dirname "$0")
cp "$board/gatekiosk.toml" "$BINARIES_DIR/gatekiosk.toml"
# Room in which "gatectl flash -venues" writes an enrolment, without knowing anything of FAT.
{
	echo "# gatepost.txt: room for an enrolment"
	head -c 16000 /dev/zero | tr '\0' '\n'
} >"$BINARIES_DIR/gatepost.txt"

files=$(cd "$BINARIES_DIR" && for f in Image gatekiosk.toml gatepost.txt *.dtb rpi-firmware/*; do
	printf '\\t\\t\\t"%s",\\n' "$f"
done)
sed "s|#BOOT_FILES#|$files|" "$board/genimage.cfg" >"$BINARIES_DIR/genimage.cfg"

support/scripts/genimage.sh -c "$BINARIES_DIR/genimage.cfg"
