#!/bin/bash
# Runs the programs that are built for the Pi Zero W and 1 (ARMv6) under an emulated arm1176, the core of those: a gate reads
# pictures of codes, judges and keeps them. The same built for ARMv7 must die there, or the emulation shows nothing.
proof=prove-armv6
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"
host qemu-user-static:qemu-arm-static curl:curl

arm6() { qemu-arm-static -cpu arm1176 "$@"; }
make6() { # make6 GOARM PROGRAM
	(cd "$root" && GOOS=linux GOARCH=arm GOARM=$1 CGO_ENABLED=0 go build -trimpath -o "$work/$2-v$1" "./cmd/$2") || fail "$2 does not build for ARMv$1"
}
make6 6 gatekiosk
make6 6 gatectl
make6 7 gatectl

cd "$work"
status=0
arm6 ./gatectl-v7 keygen -kind declarer -out none >/dev/null 2>&1 || status=$?
[ "$status" = 132 ] || fail "a program for ARMv7 ends with $status on an arm1176, not with an illegal instruction"
say "a program for ARMv7 dies there, as it should"

arm6 ./gatectl-v6 keygen -kind declarer -out trust >/dev/null
mkdir pictures
for i in 1 2 3; do
	arm6 ./gatectl-v6 declare -form covid-2021 -key trust/declarer.key -name "Nguyễn Văn $(printf '%b' "\\x4$i")" -year 1990 -tail "891$i" \
		-answer travel=no -answer signs=no -answer case=no -answer abroad=no -answer contact=no -png "pictures/$i.png" >/dev/null
done
rm trust/declarer.key
[ "$(arm6 ./gatectl-v6 read pictures/*.png | grep -c 4844313a)" = 3 ] || fail "the codes are not read" # HD1: in hexadecimal
cat >gatekiosk.toml <<-END
	schema = 1
	data = "data"
	[venue]
	clock = "system"
	[keys]
	declarers = "trust"
	[console]
	listen = "127.0.0.1:18086"
	[[lane]]
	name = "gate-1"
	source = "files:pictures"
	direction = "in"
END
qemu-arm-static -cpu arm1176 ./gatekiosk-v6 -config gatekiosk.toml >log 2>&1 &
helper=$!
admitted() { curl -sf http://127.0.0.1:18086/state.json | grep -o '"reason":"declared"' | wc -l; }
for _ in $(seq 120); do # two minutes; an idle run takes seconds
	[ "$(admitted || true)" -lt 4 ] || break # three in the list, and one on the screen
	kill -0 "$helper" || fail "the gate has ended: $(tail -3 log)"
	sleep 1
done
kill "$helper" && wait "$helper" || fail "the gate ends badly: $(tail -3 log)"
helper=
arm6 ./gatectl-v6 check data/journal >report || fail "the journal is damaged: $(cat report)"
grep -q '"entries": 4,' report || fail "not a boot and three passages are in the journal: $(cat report)"
say "three people were read, admitted and kept"
