#!/bin/bash
# Proves that gatekiosk reads a real V4L2 device: people hold codes before the kernel's vivid camera in an arm64
# machine, the camera is taken away and brought back, and what a pull from the hub brings is who was there.
proof=prove-camera
# shellcheck source=vm.sh
source "$(dirname "$0")/vm.sh"

host qemu-system-arm:qemu-system-aarch64 cpio:cpio kmod:depmod openssl:openssl
machine
gate=$work/root/gate
mkdir -p "$gate/declarers" "$work/devices" "$work/bin"

say "building"
(cd "$root" && CGO_ENABLED=0 go build -o "$work/bin/" ./cmd/gatehub ./cmd/gatectl) || fail "the project does not build"
rootfs "$work/root" "$here/camera/init"
modules "$work/root" vivid virtio_net virtio_pci
build "$work/root" ./cmd/gatekiosk ./buildroot/test/feeder

# key KIND makes a key of that kind in $work/keys.
key() { "$work/bin/gatectl" keygen -kind "$1" -out "$work/keys" >/dev/null; }
for kind in device declarer authority receipt; do key $kind; done
cp "$work/keys/device.pub.pem" "$work/devices/"
cp "$work/keys/declarer.pub.pem" "$gate/declarers/"
cp "$work"/keys/{device.key,authority.pub.pem,receipt.pub.pem} "$gate/"

# The machine reaches the host's loopback at 10.0.2.2.
port=$((20000 + RANDOM % 20000))
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=Gatepost proof" \
	-addext "subjectAltName=IP:10.0.2.2,IP:127.0.0.1" -keyout "$work/hub.key" -out "$work/hub.pem" 2>/dev/null ||
	fail "openssl makes no certificate"
cp "$work/hub.pem" "$gate/ca.pem"
cat >"$work/gatehub.toml" <<END
schema = 1
data = "hub"
listen = "127.0.0.1:$port"
pages = ""
devices = "devices"
receipt_key = "keys/receipt.key"
tls_cert = "hub.pem"
tls_key = "hub.key"
END
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
[keys]
device = "device.key"
authority = "authority.pub.pem"
declarers = "declarers"
[uplink]
hub = "https://10.0.2.2:$port"
ca = "ca.pem"
receipt_key = "receipt.pub.pem"
interval = "5s"
END

# declaration NAME YEAR SIGNS prints a signed declaration of an invented person.
declaration() {
	"$work/bin/gatectl" declare -form covid-2021 -key "$work/keys/declarer.key" -name "$1" -year "$2" -tail "$2" \
		-answer travel=no -answer "signs=$3" -answer case=no -answer abroad=no -answer contact=no
}
person() { printf '%s\t%s\t%s\n' "$@"; }
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

"$work/bin/gatehub" -config "$work/gatehub.toml" >"$work/hub.log" 2>&1 &
hub=$!
say "booting kernel $kv"
boot "$work/root" "$work/vm.log" -netdev user,id=net -device virtio-net-pci,netdev=net,romfile=
finish "$work/vm.log" "$work/hub.log"

"$work/bin/gatectl" pull -hub "https://127.0.0.1:$port" -ca "$work/hub.pem" -token "$work/hub/token" \
	-devices "$work/devices" -key "$work/keys/authority.key" >"$work/pulled" 2>"$work/pull.log" ||
	fail "nothing could be pulled: $(cat "$work/pull.log")"
go run "$here/camera/passages.go" <"$work/pulled" >"$work/passages" || fail "what was pulled cannot be read"
diff "$work/expected" "$work/passages" || fail "the pull has other passages than people at the gate (<)"
if grep -rqaE 'Nguyễn|NGUYỄN|Trần|Phạm' "$work/hub" "$work/hub.log" "$work/vm.log"; then
	fail "a name lies open in the hub's store or in a log"
fi
say "ok: $(wc -l <"$work/expected") people before a V4L2 camera, one unplugging, the same $(wc -l <"$work/passages") in a pull, in order"
