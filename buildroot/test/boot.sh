#!/bin/bash
# Measures how long the image takes from the kernel's start until its gate could read a code, beside the same kernel that starts a
# static "hello" and nothing else; in turn, RUNS times each (5). It prints the medians and their ratio.
proof=bench-boot
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"

"$here/image.sh" "$work/made"
machine
mkdir -p "$work/least/dev" # whose console the kernel opens
(cd "$root" && GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$work/least/init" ./buildroot/test/hello)
pack "$work/least" "$work/least.gz"
cp "$work/made/card.img" "$work/first.img"

# ready NAME INITRD [QEMU ARGUMENT…] boots until the console says READY, and notes the seconds in the file NAME.
ready() {
	local name=$1 initrd=$2; shift 2
	: >"$work/console"
	timeout -k 10 "$limit" qemu-system-aarch64 -M virt -cpu cortex-a53 -accel tcg -m 512 -nodefaults -display none -no-reboot \
		-serial "file:$work/console" -kernel "$kernel"/boot/vmlinuz-* -initrd "$initrd" \
		-append "console=ttyAMA0 quiet panic=-1 root=/dev/vda5 rootfstype=squashfs ro now=$(date +%s)" -device i6300esb "$@" </dev/null 2>>"$work/qemu.log" &
	vm=$!
	until grep -q '^READY' "$work/console"; do
		kill -0 "$vm" 2>/dev/null || grep -q '^READY' "$work/console" || fail "the machine of $name ended: $(tail -3 "$work/console")"
		sleep 0.2
	done
	tr -d '\r' <"$work/console" | sed -n 's/^READY //p' | head -1 >>"$work/$name"
	kill "$vm" 2>/dev/null || true
	wait "$vm" || true
	vm=
}
median() { sort -n "$work/$1" | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }

for i in $(seq "${RUNS:-5}"); do
	ready hello "$work/least.gz"
	ready image "$work/made/initrd.gz" -drive "file=$work/first.img,if=none,id=disk,format=raw,snapshot=on" -device virtio-blk-pci,drive=disk \
		-device virtio-serial-pci -chardev null,id=port -device virtserialport,chardev=port
	say "run $i: hello $(tail -1 "$work/hello"), image $(tail -1 "$work/image") s"
done
say "$(median hello) s to a hello, $(median image) s to a gate that reads: $(echo "$(median image) $(median hello)" | awk '{ printf "%.2f", $1 / $2 }')"
