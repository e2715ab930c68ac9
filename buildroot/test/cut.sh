#!/bin/bash
# Makes what the power-cut proof boots, in the folder DIR: kernel, initrd.gz (arm64, with the proof's guest), check
# (the same guest for this host), ext4.img and f2fs.img (empty file systems). The proof itself, which is the disk and
# cuts its power, is cmd/internal/prove: go run ./cmd/internal/prove cut
proof=prove-cut
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"

dir=${1:?cut.sh DIR}
guest=./cmd/internal/prove/guest
host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod e2fsprogs:mkfs.ext4 f2fs-tools:mkfs.f2fs mount:mount
machine
mkdir -p "$dir"

rootfs "$work/root" "$here/cut/init"
modules "$work/root" virtio_pci virtio_blk virtio_console ext4 f2fs
build "$work/root" "$guest"
cp "$kernel"/boot/vmlinuz-* "$dir/kernel"
[ -e "$cache/e2fsck" ] || index
cp "$(deb e2fsck e2fsck-static)/sbin/e2fsck.static" "$work/root/bin/e2fsck" # a torn superblock is its business
pack "$work/root" "$dir/initrd.gz"
(cd "$root" && CGO_ENABLED=0 go build -trimpath -o "$dir/check" "$guest") || fail "the guest does not build for this host"

# Nothing is left to be initialised later, so that all that is written is written for the journal's sake. 64 MB is
# room for a dozen of the journal's files; f2fs needs more for itself.
truncate -s 64M "$dir/ext4.img"
mkfs.ext4 -q -F -E lazy_itable_init=0,lazy_journal_init=0 "$dir/ext4.img" || fail "mkfs.ext4 failed"
truncate -s 128M "$dir/f2fs.img"
mkfs.f2fs -q -f "$dir/f2fs.img" >/dev/null || fail "mkfs.f2fs failed"
