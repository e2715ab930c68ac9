# shellcheck shell=dash
# What every proof's /init begins with, inside the machine. Sourced.
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
date -s "@$(sed 's/.*now=\([0-9]*\).*/\1/' /proc/cmdline)" >/dev/null

up() { cut -d' ' -f1 /proc/uptime; }
note() { echo "NOTE $(up) $*"; }

# verdict prints the one line that the host looks for, and ends the machine.
verdict() { echo "VERDICT $*"; sync; poweroff -f; sleep 60; }

# load MODULE [PARAMETER…] inserts all modules in order, that one with its parameters.
load() {
	_with=$1.ko
	shift
	while read -r m; do
		if [ "$m" = "$_with" ]; then insmod "/lib/modules/$m" "$@"; else insmod "/lib/modules/$m"; fi ||
			verdict "fail: $m does not load"
	done </lib/modules/order
}

# await SECONDS WORDS COMMAND… waits until COMMAND succeeds, or ends the machine with WORDS.
await() {
	_left=$1 _what=$2
	shift 2
	until "$@"; do
		_left=$((_left - 1))
		[ $_left -gt 0 ] || verdict "fail: $_what"
		sleep 1
	done
	note "$_what: yes"
}
