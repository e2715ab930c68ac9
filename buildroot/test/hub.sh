# shellcheck shell=bash
# A hub on this machine for the gate in the virtual one: keys, certificate, and gatehub itself. Sourced after vm.sh.

# gate_and_hub DIR builds gatehub and gatectl into $work/bin, makes the keys, and puts into DIR what the gate needs of them.
# The hub listens on $port, which the machine reaches at 10.0.2.2.
gate_and_hub() {
	local kind gate=$1
	mkdir -p "$gate/declarers" "$work/devices" "$work/bin"
	(cd "$root" && CGO_ENABLED=0 go build -o "$work/bin/" ./cmd/gatehub ./cmd/gatectl) || fail "the project does not build"
	for kind in device declarer authority receipt; do
		"$work/bin/gatectl" keygen -kind $kind -out "$work/keys" >/dev/null
	done
	cp "$work/keys/device.pub.pem" "$work/devices/"
	cp "$work/keys/declarer.pub.pem" "$gate/declarers/"
	cp "$work"/keys/{device.key,authority.pub.pem,receipt.pub.pem} "$gate/"
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
}

# to_hub prints the part of the gate's configuration that names its keys and the hub.
to_hub() {
	cat <<END
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
}

# run_hub starts the hub.
run_hub() {
	"$work/bin/gatehub" -config "$work/gatehub.toml" >"$work/hub.log" 2>&1 &
	hub=$!
}

# pulled prints all that the hub holds of the gate, opened.
pulled() {
	"$work/bin/gatectl" pull -hub "https://127.0.0.1:$port" -ca "$work/hub.pem" -token "$work/hub/token" \
		-devices "$work/devices" -key "$work/keys/authority.key" 2>"$work/pull.log" ||
		fail "nothing could be pulled: $(cat "$work/pull.log")"
}

# declaration NAME YEAR SIGNS prints a signed declaration of an invented person.
declaration() {
	"$work/bin/gatectl" declare -form covid-2021 -key "$work/keys/declarer.key" -name "$1" -year "$2" -tail "$2" \
		-answer travel=no -answer "signs=$3" -answer case=no -answer abroad=no -answer contact=no
}
person() { printf '%s\t%s\t%s\n' "$@"; }
