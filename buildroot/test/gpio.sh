#!/bin/bash
# Proves that device/gpiochip and device/lamp do on real lines what they do on fakes: in an arm64 machine, on the
# kernel's simulated GPIO chip.
proof=prove-gpio
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"
# shellcheck source=simulators.sh
source "$here/simulators.sh"

host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod "${simulator_tools[@]}"
machine
simulators
rootfs "$work/root" "$here/gpio/init"
modules "$work/root" configfs
cp "$sim"/{irq_sim,gpio-sim}.ko "$work/root/lib/modules/"
printf '%s\n' irq_sim.ko gpio-sim.ko >>"$work/root/lib/modules/order"
(cd "$root" && GOOS=linux GOARCH=arm64 CGO_ENABLED=0 go test -c -o "$work/root/bin/gpio.test" ./buildroot/test/gpio) ||
	fail "the tests do not build for arm64"
say "booting kernel $kv"
boot "$work/root" "$work/vm.log"
finish "$work/vm.log"
say "ok: outputs, inputs, edges, and the signal's lamps on lines of a chip that comes and goes"
