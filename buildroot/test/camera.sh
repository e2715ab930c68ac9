#!/bin/bash
# Proves that gatekiosk reads a real V4L2 device: people hold codes before the kernel's vivid camera in an arm64
# machine, the camera is taken away and brought back, and what a pull from the hub brings is who was there.
proof=prove-camera
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"
# shellcheck source=hub.sh
source "$here/hub.sh"

host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod openssl:openssl
machine
gate=$work/root/gate

say "building"
gate_and_hub "$gate"
rootfs "$work/root" "$here/camera/init"
modules "$work/root" vivid virtio_net virtio_pci
build "$work/root" ./cmd/gatekiosk ./buildroot/test/feeder

cat >"$gate/gatekiosk.toml" <<END
schema = 1
data = "data"
[venue]
name = "Camera proof"
clock = "system"
[[lane]]
name = "gate-1"
source = "v4l:/dev/camera"
direction = "in"
$(to_hub)
END

{
	person admit declared "$(declaration 'Nguyễn Văn A' 1985 no)"
	person look needs-answers '001190000017||Trần Thị Bích|02031990|Nữ|Thôn Mẫu, Xã Mẫu|05062022'
	person refuse refused-answer "$(declaration 'Lê Văn Mẫu' 1971 yes)"
	person unreadable unknown 'xin chào'
} >"$gate/first"
person admit declared "$(declaration 'Phạm Thị Thử' 1993 no)" >"$gate/second"
cat >"$work/expected" <<'END'
admit declared Nguyễn Văn A
look needs-answers Trần Thị Bích
refuse refused-answer Lê Văn Mẫu
unreadable unknown -
admit declared Phạm Thị Thử
END

run_hub
say "booting kernel $kv"
boot "$work/root" "$work/vm.log" -netdev user,id=net -device virtio-net-pci,netdev=net,romfile=
finish "$work/vm.log" "$work/hub.log"

pulled >"$work/pulled"
go run "$here/camera/passages.go" <"$work/pulled" >"$work/passages" || fail "what was pulled cannot be read"
diff "$work/expected" "$work/passages" || fail "the pull has other passages than people at the gate (<)"
if grep -rqaE 'Nguyễn|NGUYỄN|Trần|Phạm' "$work/hub" "$work/hub.log" "$work/vm.log"; then
	fail "a name lies open in the hub's store or in a log"
fi
say "ok: $(wc -l <"$work/expected") people before a V4L2 camera, one unplugging, the same $(wc -l <"$work/passages") in a pull, in order"
