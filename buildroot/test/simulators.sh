# shellcheck shell=bash
# Hardware that Debian's kernels leave out, as modules for the machine: the kernel's simulated GPIO chip, from Debian's own
# source, and an I2C adapter with a chip on it (module/). Sourced after vm.sh.

simulator_tools=(make:make xz-utils:xz gcc-aarch64-linux-gnu:aarch64-linux-gnu-gcc)

# simulators sets sim to the folder with irq_sim.ko, gpio-sim.ko and i2c-regs.ko, which are built at the first time.
simulators() {
	sim=$cache/simulators-$kv-$(sha256sum "$here/module/i2c-regs.c" | cut -c1-8)
	[ -e "$sim/i2c-regs.ko" ] || build_simulators "$sim" >&2
}

# build_simulators OUT takes the source of the headers' own version: the newest source may be newer.
build_simulators() {
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
		cp drivers/gpio/* kernel/irq/irq_sim.c "$here/module/i2c-regs.c" build/
		printf 'obj-m := irq_sim.o gpio-sim.o i2c-regs.o\n' >build/Makefile
		# As a module, irq_sim cannot reach one function of the kernel's core, and needs a licence of its own.
		sed -i 's/handle_simple_irq(irq_to_desc(irqnum))/generic_handle_irq(irqnum)/' build/irq_sim.c
		printf '#include <linux/module.h>\nMODULE_LICENSE("GPL");\n' >>build/irq_sim.c
		make -s -C "usr/src/linux-headers-$kv" M="$dir/build" ARCH=arm64 CROSS_COMPILE=aarch64-linux-gnu- modules
		mkdir -p "$1"
		cp build/*.ko "$1/"
	)
}
