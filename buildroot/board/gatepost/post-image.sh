#!/bin/sh
# Puts kernel, device trees, firmware and the gate's configuration onto the FAT partition, and the card together.
set -eu

board=$(dirname "$0")
cp "$board/gatekiosk.toml" "$BINARIES_DIR/gatekiosk.toml"

files=$(cd "$BINARIES_DIR" && for f in Image gatekiosk.toml *.dtb rpi-firmware/*; do
	printf '\\t\\t\\t"%s",\\n' "$f"
done)
sed "s|#BOOT_FILES#|$files|" "$board/genimage.cfg" >"$BINARIES_DIR/genimage.cfg"

support/scripts/genimage.sh -c "$BINARIES_DIR/genimage.cfg"
