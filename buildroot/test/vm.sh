# shellcheck shell=bash
# Shared by the proofs that boot a small arm64 machine in QEMU: Debian's kernel, Debian's static busybox and
# the project's own static binaries in an initramfs. Sourced, after proof= names the proof. What is fetched or built
# for good lies outside the tree, in a cache.

set -euo pipefail
shopt -s inherit_errexit
: "${proof:?}"

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${GATEPOST_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/gatepost}/vm
limit=${VM_LIMIT:-1500} # seconds; a busy neighbour multiplies an idle run by four

say() { printf '%s: %s\n' "$proof" "$*"; }
fail() { say "FAILED: $*" >&2; exit 1; }

# host PACKAGE:PROGRAM… installs what is missing, or says what to install.
host() {
	local missing=() p
	for p; do command -v "${p#*:}" >/dev/null || missing+=("${p%%:*}"); done
	[ ${#missing[@]} -gt 0 ] || return 0
	if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
		fail "this machine lacks the packages ${missing[*]}"
	fi
	say "installing ${missing[*]}"
	retry apt-get -q update >/dev/null || true # a stale index may still do
	DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=600 -qq install -y --no-install-recommends \
		"${missing[@]}" >/dev/null || fail "apt-get could not install ${missing[*]}"
}

# retry COMMAND… tries three times: an index may be read in the middle of a mirror's sync.
retry() {
	"$@" || { sleep 10; "$@"; } || { sleep 30; "$@"; }
}

# arm COMMAND… runs apt-get or apt-cache for arm64 with state of its own, so that this machine's dpkg stays as it is.
arm() {
	local tool=$1; shift
	"$tool" -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Dir::State="$cache/apt/state" \
		-o Dir::State::status=/dev/null -o Dir::Cache="$cache/apt/cache" -o APT::Sandbox::User=root "$@"
}

# index reads apt's list of arm64 packages. A list that is there but cannot be renewed may still do.
index() {
	mkdir -p "$cache/apt/state/lists/partial" "$cache/apt/cache/archives/partial"
	retry arm apt-get update >&2 || true
}

# deb NAME PACKAGE… unpacks arm64 packages into a folder named by their SHA-256, and prints it. The symbolic link
# $cache/NAME remembers it: a kernel stays the same until the cache is emptied.
deb() {
	local name=$1 new sum p; shift
	if [ ! -e "$cache/$name" ]; then
		new=$(mktemp -d "$cache/new.XXXXXX")
		(cd "$new" && retry arm apt-get download "$@") >&2 || fail "no package $* for arm64 to be had"
		sum=$(cat "$new"/*.deb | sha256sum | cut -c1-16)
		rm -rf "${cache:?}/$sum"
		for p in "$new"/*.deb; do dpkg -x "$p" "$cache/$sum"; done
		rm -r "$new"
		ln -sfn "$sum" "$cache/$name"
	fi
	echo "$cache/$(readlink "$cache/$name")"
}

# machine sets kernel (a folder with boot/ and lib/modules), kv (its version) and busybox.
machine() {
	local image=
	mkdir -p "$cache"
	rm -rf "$cache"/new.*
	if [ ! -e "$cache/kernel" ]; then
		index
		image=$(arm apt-cache depends linux-image-arm64 | awk '$1 == "Depends:" { print $2; exit }')
		[ -n "$image" ] || fail "no arm64 kernel in apt's index"
	fi
	kernel=$(deb kernel "$image")
	busybox=$(deb busybox busybox-static)/bin/busybox
	kv=$(basename "$kernel"/lib/modules/*)
	[ -e "$kernel/lib/modules/$kv/modules.dep" ] || depmod -b "$kernel" "$kv"
}

# modules DIR MODULE… copies modules and what they need into DIR/lib/modules and lists them in load order.
modules() {
	local dir=$1 m; shift
	mkdir -p "$dir/lib/modules"
	for m; do modprobe -d "$kernel" -S "$kv" --show-depends "$m"; done |
		awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r ko; do
		cp "$ko" "$dir/lib/modules/"
		basename "$ko" >>"$dir/lib/modules/order"
	done
}

# rootfs DIR INIT fills DIR with busybox, the script INIT as /init, and guest.sh beside it.
rootfs() {
	local dir=$1 a
	mkdir -p "$dir"/{bin,dev,etc,mnt,proc,run,sys,tmp,config}
	cp "$busybox" "$dir/bin/busybox"
	for a in sh mount umount mkdir mkfifo cat echo ls ln cp rm sleep kill grep sed awk cut basename dirname insmod rmmod \
		modprobe ifconfig ip wget date poweroff dmesg tail head wc find sync ps seq tr test '[' true; do
		ln -s busybox "$dir/bin/$a"
	done
	cp "$2" "$dir/init"
	cp "$here/guest.sh" "$dir/guest.sh"
	chmod +x "$dir/init"
}

# build DIR PACKAGE… builds static arm64 binaries of the project into DIR/bin.
build() {
	local dir=$1; shift
	(cd "$root" && GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go build -trimpath -ldflags='-s -w' -o "$dir/bin/" "$@") ||
		fail "the project does not build for arm64"
}

# pack DIR OUT packs DIR into the initramfs OUT.
pack() {
	(cd "$1" && find . | cpio -o -H newc --quiet --owner 0:0 | gzip -1) >"$2"
}

# boot DIR LOG [QEMU ARGUMENT…], with $append for the kernel, packs DIR and boots it in the background, its console going to LOG. The process is $vm.
boot() {
	local dir=$1 log=$2; shift 2
	pack "$dir" "$dir.gz"
	timeout -k 10 "$limit" qemu-system-aarch64 -M virt -cpu cortex-a53 -accel tcg -m 512 -nodefaults -display none -serial stdio -no-reboot \
		-kernel "$kernel"/boot/vmlinuz-* -initrd "$dir.gz" -append "console=ttyAMA0 quiet panic=-1 vt.global_cursor_default=0 now=$(date +%s) ${append-}" \
		"$@" </dev/null >"$log" 2>&1 &
	vm=$!
}

# finish LOG… waits for the machine, prints what it notes, and fails unless its verdict is "ok"; then the tails of
# the LOGs, the machine's first, tell more.
finish() {
	wait "$vm" || true
	vm=
	tr -d '\r' <"$1" | grep -aE '^(NOTE|VERDICT)' || true
	tr -d '\r' <"$1" | grep -aqx 'VERDICT ok' && return
	tail -n 40 "$@" >&2
	fail "$(grep -a '^VERDICT' "$1" | tr -d '\r' || echo 'the machine ended before its verdict')"
}

# $work is a folder for this run. It and every process of ours are gone at the end; with KEEP=1 the folder stays.
vm='' hub='' helper='' work=$(mktemp -d)
cleanup() {
	for p in $vm $hub $helper; do kill "$p" 2>/dev/null || true; done
	[ -n "${KEEP-}" ] || rm -rf "$work"
}
trap cleanup EXIT
