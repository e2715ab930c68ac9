#!/bin/bash
# Proves that device/gpiochip and device/lamp do on real lines what they do on fakes: in an arm64 machine, on the
# kernel's simulated GPIO chip. Debian leaves that module out, so it is built from Debian's own source here.
proof=prove-gpio
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"

# build_simulator OUT puts irq_sim.ko and gpio-sim.ko for the machine's kernel into OUT. It takes the source of the
# headers' own version: the newest source may be newer.
build_simulator() {
	local series headers version dir
	series=$(cut -d. -f1,2 <<<"$kv")
	index
	headers=$(deb headers "linux-headers-$kv" "linux-headers-${kv%-arm64}-common")
	version=$series.$(awk '$1 == "SUBLEVEL" { print $3; exit }' "$headers/usr/src/linux-headers-${kv%-arm64}-common/Makefile")-
	version=$(apt-cache madison "linux-source-$series" | awk -v v="$version" 'index($3, v) == 1 { print $3; exit }')
	[ -n "$version" ] || fail "no source of $kv in apt's index"
	dir=$work/sim
	mkdir "$dir"
	(
		cd "$dir" || exit
		retry apt-get -q -o APT::Sandbox::User=root download "linux-kbuild-$series" "linux-source-$series=$version"
		for p in *.deb; do dpkg -x "$p" .; done
		tar xf usr/src/linux-source-*.tar.xz --strip-components=1 --wildcards \
			'*/drivers/gpio/gpio-sim.c' '*/drivers/gpio/gpiolib.h' '*/kernel/irq/irq_sim.c'
		cp -a "$headers"/usr/src/linux-headers-* usr/src/
		sed -i "s,/usr/src/,$dir/usr/src/," "usr/src/linux-headers-$kv/Makefile"
		mkdir build
		cp drivers/gpio/* kernel/irq/irq_sim.c build/
		printf 'obj-m := irq_sim.o gpio-sim.o\n' >build/Makefile
		# As a module, irq_sim cannot reach one function of the kernel's core, and needs a licence of its own.
		sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' build/irq_sim.c
		printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n' >>build/irq_sim.c
		make -s -C "usr/src/linux-headers-$kv" M="$dir/build" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules
		mkdir -p "$1"
		cp build/*.ko "$1/"
	)
}

host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod make:make xz-utils:xz gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc
machine
sim=$cache/gpio-sim-$kv
[ -e "$sim/gpio-sim.ko" ] || build_simulator "$sim" >&2
rootfs "$work/root" "$here/gpio/init"
modules "$work/root" configfs
cp "$sim"/*.ko "$work/root/lib/modules/"
printf '%s\n' irq_sim.ko gpio-sim.ko >>"$work/root/lib/modules/order"
(cd "$root" && GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$work/root/bin/gpio.test" ./buildroot/test/gpio) ||
	fail "the tests do not build for arm64"
say "booting kernel $kv"
boot "$work/root" "$work/vm.log"
finish "$work/vm.log"
say "ok: outputs, inputs, edges, and the signal's lamps on lines of a chip that comes and goes"
