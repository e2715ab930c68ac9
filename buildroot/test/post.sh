#!/bin/bash
# Proves the guard's post without one: in an arm64 machine the real gatekiosk sees people through the kernel's vivid camera,
# lights lamps and moves a turnstile on gpio-sim's lines, shows its faces on a framebuffer that is photographed, reads
# scanners of both kinds and a battery's clock, and is reset by the board's watchdog when a lane hangs.
proof=prove-post
VM_LIMIT=${VM_LIMIT-600}
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"
# shellcheck source=hub.sh
source "$here/hub.sh"
# shellcheck source=simulators.sh
source "$here/simulators.sh"

host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod openssl:openssl e2fsprogs:mkfs.ext4 "${simulator_tools[@]}"
machine
simulators
gate=$work/root/gate
gate_and_hub "$gate"
(cd "$root" && CGO_ENABLED=0 go build -o "$work/bin/" ./buildroot/test/shot) || fail "the project does not build"
rootfs "$work/root" "$here/post/init"
for a in usleep i2cset touch; do ln -s busybox "$work/root/bin/$a"; done
modules "$work/root" vivid virtio_net virtio_pci virtio_blk ext4 virtio-gpu i6300esb uinput evdev i2c-dev configfs \
	xhci_pci snd-usb-audio
[ -e "$cache/alsa" ] || index
alsa=$(deb alsa alsa-utils libasound2 libasound2-data libc6)
mkdir -p "$work"/root/{lib,usr/lib,usr/share}/
cp -a "$alsa/lib/." "$work/root/lib/"
cp -a "$alsa/usr/lib/aarch64-linux-gnu" "$work/root/usr/lib/"
rm -rf "$work"/root/usr/lib/aarch64-linux-gnu/{gconv,audit}
cp -a "$alsa/usr/share/alsa" "$work/root/usr/share/"
cp "$alsa/usr/bin/aplay" "$work/root/bin/"
cp "$sim"/*.ko "$work/root/lib/modules/"
printf '%s\n' irq_sim.ko gpio-sim.ko >>"$work/root/lib/modules/order"
build "$work/root" ./cmd/gatekiosk ./buildroot/test/feeder ./buildroot/test/hand

# settings prints the gate's configuration but for its keys.
settings() {
	cat <<'END'
schema = 1
data = "/data/gate"
[venue]
name = "Post proof"
clock = "kernel"
[[lane]]
name = "gate-1"
source = "v4l:/dev/camera"
direction = "in"
[[lane]]
name = "keyboard"
source = "wedge:*wedge*"
direction = "in"
[[lane]]
name = "serial"
source = "serial:/dev/ttyACM*"
direction = "in"
END
}
post() {
	cat <<'END'
[lamp]
chip = "gate"
go = "GO"
ask = "ASK"
stop = "STOP"
[gpio]
chip = "gate"
[turnstile]
line = "RELAY"
lane = "gate-1"
turned = "TURNED"
wait = "3s"
[button]
key = "KEY"
undo = "UNDO"
turn = "TURN"
[buzzer]
line = "BUZZER"
[speaker]
device = "plughw:0"
[screen]
device = "/dev/fb0"
lane = "gate-1"
touch = "Gatepost touch"
[rtc]
bus = 0
[watchdog]
device = "/dev/watchdog"
timeout = "20s"
hung = "12s"
END
}
{ settings; post; to_hub | sed '/^\[uplink\]/,$d'; } >"$gate/alone.toml"
{ settings; post; to_hub; } >"$gate/hub.toml"
{ settings; printf '[[lane]]\nname = "hangs"\nsource = "files:/run/pictures"\ndirection = "in"\n'; post; to_hub; } >"$gate/hangs.toml"
{ settings; to_hub; } >"$gate/again.toml"
mkdir "$gate/people" "$work/shots"
declaration 'Nguyễn Văn A' 1985 no >"$gate/people/admitted"
declaration 'Phạm Thị Thử' 1993 no >"$gate/people/second"
declaration 'Đỗ Văn Thử' 1988 no >"$gate/people/third"
declaration 'Lê Văn Mẫu' 1971 yes >"$gate/people/refused"
echo '001190000017||Trần Thị Bích|02031990|Nữ|Thôn Mẫu, Xã Mẫu|05062022' >"$gate/people/asked"
echo '001085000026||Vũ Đức Mẫu|04051985|Nam|Thôn Mẫu, Xã Mẫu|05062022' >"$gate/people/fourth"
truncate -s 64M "$work/disk"
mkfs.ext4 -q -F "$work/disk" || fail "mkfs.ext4 failed"

run_hub
monitor=$((port + 1)) shots=$((port + 2))
"$work/bin/shot" serve "127.0.0.1:$monitor" "127.0.0.1:$shots" "$work/shots" &
helper=$!

# machine_up LOG boots the post.
machine_up() {
	append="shots=http://10.0.2.2:$shots" boot "$work/root" "$1" -smp 2 -audiodev "wav,id=heard,path=$work/heard.wav" -device qemu-xhci -device usb-audio,audiodev=heard \
		-netdev user,id=net -device virtio-net-pci,netdev=net,romfile= \
		-device virtio-gpu-pci,xres=800,yres=480 -drive "file=$work/disk,if=none,id=disk,format=raw" -device virtio-blk-pci,drive=disk \
		-device i6300esb -action watchdog=reset -monitor "tcp:127.0.0.1:$monitor,server,nowait"
}
say "booting kernel $kv"
machine_up "$work/first.log"
wait "$vm" || true
say "booting it again after its reset"
mv "$work/heard.wav" "$work/said.wav" || true
machine_up "$work/second.log"
wait "$vm" || true
vm=
kill "$helper"

# proof WORDS COMMAND… is one proof made here.
proof() {
	local words=$1; shift
	if "$@" >>"$work/host.log" 2>&1; then echo "PASS $words"; else echo "FAIL $words"; fi
}
lane_named() { sed -n 's/.*"kind":"boot".*"entry":"\([^"]*\)".*/\1/p' "$work/pulled" | while read -r e; do base64 -d <<<"$e"; done | grep -aq 'hung: "lane hangs"'; }
accents() { grep '"lane":"serial"' "$work/pulled" | grep -q 'Vũ Đức Mẫu'; }
no_name() { ! grep -rqaE 'Nguyễn|NGUYỄN|Trần|Phạm|Đức' "$work/hub" "$work/hub.log" "$work"/*.log; }
id=$(grep -ao 'device=[0-9a-f]*' "$work/first.log" | head -1 | cut -d= -f2)
{
	tr -d '\r' <"$work/first.log" | grep -aE '^(NOTE|VERDICT|PASS|FAIL)' || true
	proof "the watchdog reset the board" bash -c "! grep -aq ^VERDICT '$work/first.log' && grep -aq 'NOTE.*a lane hangs' '$work/first.log'"
	tr -d '\r' <"$work/second.log" | grep -aE '^(NOTE|VERDICT|PASS|FAIL)' || true
	proof "the second boot ended in order" grep -aq '^VERDICT ok' "$work/second.log"
	proof "all can be pulled" eval 'pulled >"$work/pulled"'
	proof "a serial scanner keeps the accents" accents
	proof "the next boot's entry names the lane that hung" lane_named
	proof "the ready screen's code names this gate" "$work/bin/shot" check "$work/shots/ready.png" code "gatepost:$id"
	proof "the ready screen is dark" "$work/bin/shot" check "$work/shots/ready.png" ground 10161c
	proof "green is green" "$work/bin/shot" check "$work/shots/go.png" ground 006b3c
	proof "red is red" "$work/bin/shot" check "$work/shots/stop.png" ground a8001c
	proof "amber is amber" "$work/bin/shot" check "$work/shots/ask.png" ground ffb400
	proof "the speaker rose for who may come in" "$work/bin/shot" check "$work/said.wav" tone 2700
	proof "the speaker was low for who may not" "$work/bin/shot" check "$work/said.wav" tone 400
	proof "no name lies open" no_name
} | tee "$work/proofs"
passed=$(grep -c ^PASS "$work/proofs" || true) failed=$(grep -c ^FAIL "$work/proofs" || true)
if [ "$failed" != 0 ]; then
	tail -n 60 "$work/first.log" "$work/second.log" "$work/hub.log" "$work/host.log" >&2
elif [ -n "${PICTURES-}" ]; then
	cp "$work/shots/"*.png "$PICTURES/"
fi
say "passed=$passed failed=$failed"
[ "$failed" = 0 ]
