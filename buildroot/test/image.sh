#!/bin/bash
# Makes the image of buildroot/ for a virtual machine, in the folder DIR: card.img (partitions, start scripts and programs are the
# Pi's own), kernel and initrd.gz. The kernel, busybox and e2fsprogs are Debian's instead of Buildroot's; the initrd does what the Pi's
# kernel has built in and the camera's people do. It prints how large the root is.
proof=vm-image
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"

dir=${1:?image.sh DIR}
board=$root/buildroot/board/gatepost
host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod genimage:genimage mtools:mcopy dosfstools:mkfs.vfat \
	e2fsprogs:mkfs.ext4 squashfs-tools:mksquashfs zstd:zstd device-tree-compiler:fdtput
machine
[ -e "$cache/tools" ] || index
tools=$(deb tools e2fsprogs libext2fs2 libcom-err2 libblkid1 libuuid1 libc6 fdisk libfdisk1 libsmartcols1 libreadline8 libtinfo6 util-linux)
mkdir -p "$dir"

# The root, in the order in which Buildroot fills it: skeleton, packages, overlay.
target=$work/target
mkdir -p "$target"/{bin,boot,data,dev,etc,lib,mnt,proc,root,run,sbin,sys,tmp,usr/bin,usr/sbin,usr/lib}
cp "$busybox" "$target/bin/busybox"
while read -r applet; do ln -s /bin/busybox "$target/bin/$applet"; done <"$here/image/applets"
ln -s ../bin/busybox "$target/sbin/init"
for p in sbin/e2fsck sbin/resize2fs sbin/sfdisk usr/bin/partx usr/sbin/partx; do
	[ ! -e "$tools/$p" ] || cp "$tools/$p" "$target/sbin/"
done
[ -e "$target/sbin/partx" ] || fail "no partx in $tools"
mkdir -p "$target/lib/aarch64-linux-gnu"
for l in libc.so.6 libext2fs.so.2 libe2p.so.2 libcom_err.so.2 libblkid.so.1 libuuid.so.1 libfdisk.so.1 libsmartcols.so.1 \
	libreadline.so.8 libtinfo.so.6 libpthread.so.0 ld-linux-aarch64.so.1; do
	cp -L "$tools"/{,usr/}lib/aarch64-linux-gnu/"$l" "$target/lib/aarch64-linux-gnu/" 2>/dev/null || true
done
ln -s aarch64-linux-gnu/ld-linux-aarch64.so.1 "$target/lib/ld-linux-aarch64.so.1"
mkdir -p "$target/lib/modules/$kv" # Debian's modules come with the initrd
: >"$target/lib/modules/$kv/modules.dep"
build "$target/usr" ./cmd/gatekiosk
printf 'root::0:0:root:/root:/bin/false\ngatepost:*:990:990:Gate:/:/bin/false\n' >"$target/etc/passwd"
printf 'root:x:0:\ngatepost:x:990:\n' >"$target/etc/group"
echo 1 >"$target/etc/gatepost-release"
echo gatepost >"$target/etc/hostname"
cp -a "$board/rootfs-overlay/." "$target/"
find "$target" -name .empty -delete

# What Buildroot hands to post-image.sh, and the one tool of its own that this calls.
export BINARIES_DIR=$work/images
mkdir -p "$BINARIES_DIR/rpi-firmware" "$work/support/scripts"
mksquashfs "$target" "$BINARIES_DIR/rootfs.squashfs" -comp lz4 -all-root -noappend -quiet -no-progress >/dev/null || fail "mksquashfs failed"
cp "$kernel"/boot/vmlinuz-* "$BINARIES_DIR/Image"
cp "$kernel"/usr/lib/linux-image-*/broadcom/bcm2837-rpi-3-b.dtb "$BINARIES_DIR/"
cp "$board"/{config,cmdline}.txt "$BINARIES_DIR/rpi-firmware/"
cat >"$work/support/scripts/genimage.sh" <<'END'
#!/bin/bash
mkdir -p "$BINARIES_DIR/none"
exec genimage --rootpath "$BINARIES_DIR/none" --tmppath "$BINARIES_DIR/tmp" --inputpath "$BINARIES_DIR" --outputpath "$BINARIES_DIR" --config "$2" --loglevel 0
END
chmod +x "$work/support/scripts/genimage.sh"
(cd "$work" && "$board/post-image.sh") >&2 || fail "post-image.sh failed"
mv "$BINARIES_DIR/sdcard.img" "$dir/card.img"

# The bundles of two updates: a good one, and one whose gate never starts.
bundle() {
	echo "$1" >"$target/etc/gatepost-release"
	mksquashfs "$target" "$BINARIES_DIR/rootfs.squashfs" -comp lz4 -all-root -noappend -quiet -no-progress >/dev/null || fail "mksquashfs failed"
	tar -C "$BINARIES_DIR" --format=ustar -c boot.vfat rootfs.squashfs | zstd -q -1 -f -o "$dir/$2.bundle"
}
size=$(stat -c %s "$BINARIES_DIR/rootfs.squashfs")
bundle 2 good
printf '#!/bin/sh\nexec sleep 1000000\n' >"$target/usr/sbin/keep-gatekiosk"
bundle 3 hangs

# The device tree of the virtual machine, in which the firmware's words stand on a Pi.
qemu-system-aarch64 -M virt,dumpdtb="$dir/board.dtb" -cpu cortex-a53 -m 512 -nodefaults -display none 2>/dev/null
fdtput -c "$dir/board.dtb" /chosen/bootloader
fdtput -t i "$dir/board.dtb" /chosen/bootloader partition 2
fdtput -t i "$dir/board.dtb" /chosen/bootloader tryboot 0

rootfs "$work/initrd" "$here/image/init"
cp "$here/image/people" "$work/initrd/people"
modules "$work/initrd" virtio_pci virtio_blk virtio_net virtio_console squashfs vfat nls_ascii nls_cp437 ext4 i6300esb vivid
build "$work/initrd" ./buildroot/test/feeder
pack "$work/initrd" "$dir/initrd.gz"
cp "$kernel"/boot/vmlinuz-* "$dir/kernel"
[ "$size" -le $((40 << 20)) ] || fail "the root has $size bytes, more than 40 MiB"
say "ok: the root has $((size >> 10)) KiB of at most 40960, the programs in it $(du -k --apparent-size "$target/usr/bin/gatekiosk" | cut -f1) KiB before it is packed"
