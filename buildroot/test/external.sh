#!/bin/bash
# Checks this tree against a Buildroot that lies in $BUILDROOT, without building or fetching anything: the defconfig
# loads and survives savedefconfig, the package is known, and Buildroot's own check of style finds nothing.
set -euo pipefail
external=$(cd "$(dirname "$0")/.." && pwd)
: "${BUILDROOT:?the folder of a Buildroot, 2026.08}"
out=$(mktemp -d)
trap 'rm -rf "$out"' EXIT
br() { make -s -C "$BUILDROOT" BR2_EXTERNAL="$external" O="$out" "$@"; }

br gatepost_arm64_defconfig >/dev/null
br savedefconfig BR2_DEFCONFIG="$out/saved"
diff "$external/configs/gatepost_arm64_defconfig" "$out/saved"
br show-info | grep -q '"gatekiosk"' || { echo "external: gatekiosk is no package of this configuration"; exit 1; }
cd "$external"
find . -path ./test -prune -o -type f -print0 | xargs -0 "${PYTHON:-/usr/bin/python3}" "$BUILDROOT/utils/check-package" -q -b
echo "external: ok"
