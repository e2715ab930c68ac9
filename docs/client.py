#!/usr/bin/python3
"""Pulls a hub's entries, proves them, opens what is sealed, and writes one JSON object a line.

    client.py https://hub.example:8443 --token token --ca ca.pem \\
              [--devices devices/] [--authority authority.key] [--state state.json] >> entries.ndjson

A model for central servers, after PROTOCOL.md and FORMATS.md alone. It needs Python 3.11 and python3-cryptography.
It pulls until nothing is new and ends with 0; with --state the next run goes on from there. At the first thing that
does not fit it says so and ends with 1. An entry is written only when its whole batch has been proved; without
--devices that means its chain, not its signature ("signed": false). An entry may come twice, after a crash or when the
hub began anew: keep them by device and seq.
"""
import argparse
import hashlib
import hmac
import http.client
import io
import json
import os
import ssl
import struct
import sys
from base64 import b64decode, b64encode
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

HEADER = struct.Struct(">BBQIqQB32s")  # version, kind, sequence, boot, wall, mono, trust, hash of the entry before
KINDS = {  # the name, and what the body's keys 1, 2, 3, … are called
    1: ("passage", "lane direction verdict form tag sealed"), 2: ("boot", "program before"), 3: ("gap", "first last why hands_on"),
    4: ("undo", "undoes"), 5: ("purge", "first last receipt"), 6: ("handover", "old_device old_seq old_hash"),
    7: ("fault", "part text clear"),
}
TRUSTS = {0: "none", 1: "seen", 2: "clock", 3: "network"}
CODES = {"direction": {1: "in", 2: "out"}, "verdict": {1: "admit", 2: "look", 3: "refuse", 4: "unreadable", 5: "fault"}}
PERSONAL = "family verified reason name birth number qid address answers declarer plate"
SHOWN = "seq hash kind boot wall mono_ms trust lane direction verdict form tag sealed undoes"  # beside the bytes in a pull


class Mismatch(Exception):
    """Something is not what the documents, a hash or a signature say."""


def need(true, sentence):
    if not true:
        raise Mismatch(sentence)


def take(f, n):
    b = f.read(min(n, 8192))
    need(len(b) == n, "CBOR is cut off")
    return b


def cbor(f, depth=0):
    """Decodes the next value of deterministic CBOR in f, a BytesIO: no tags, no null, no indefinite lengths."""
    need(depth < 8, "CBOR is too deep")
    first = take(f, 1)[0]
    major, n = first >> 5, first & 31
    need(n < 28 and major != 6, "CBOR has a tag or an indefinite length")
    if n >= 24:  # the argument stands in the 1, 2, 4 or 8 bytes that follow
        argument = take(f, 1 << n - 24)
        if major == 7 and n > 24:
            return struct.unpack({25: ">e", 26: ">f", 27: ">d"}[n], argument)[0]
        n, least = int.from_bytes(argument, "big"), 24 if n == 24 else 1 << 4 * len(argument)
        need(n >= least, "CBOR has an integer that is not the shortest")
    match major:
        case 0: return n
        case 1: return -1 - n
        case 2: return take(f, n)
        case 3: return take(f, n).decode()
        case 4: return [cbor(f, depth + 1) for _ in range(n)]
        case 7:
            need(n in (20, 21), "CBOR has a simple value that is neither true nor false")
            return n == 21
    found, last = {}, b""
    for _ in range(n):
        start = f.tell()
        key = cbor(f, depth + 1)
        coded = f.getvalue()[start : f.tell()]
        need(type(key) in (int, str) and coded > last, "CBOR has map keys out of order")
        found[key], last = cbor(f, depth + 1), coded
    return found


def named(body, names):
    """Gives the keys 1, 2, 3, … of a map their names; a key that this program does not know becomes key-9."""
    need(isinstance(body, dict), "a body is not a map")
    names = dict(enumerate(names.split(), 1))
    return {names.get(k, f"key-{k}"): v for k, v in body.items()}


def raw(public):
    return public.public_bytes(pem.Encoding.Raw, pem.PublicFormat.Raw)


def hpke_open(private, enc, ciphertext, info):
    """RFC 9180, base mode: KEM 0x0020 X25519 with HKDF-SHA256, KDF 0x0001 HKDF-SHA256, AEAD 0x0003 ChaCha20-Poly1305."""

    def extract(suite, salt, label, ikm):
        return hmac.digest(salt, b"HPKE-v1" + suite + label + ikm, "sha256")

    def expand(suite, prk, label, context, n):  # n is at most 32: HKDF-Expand is its first block
        return hmac.digest(prk, n.to_bytes(2, "big") + b"HPKE-v1" + suite + label + context + b"\1", "sha256")[:n]

    kem, suite = b"KEM\x00\x20", b"HPKE\x00\x20\x00\x01\x00\x03"
    prk = extract(kem, b"", b"eae_prk", private.exchange(X25519PublicKey.from_public_bytes(enc)))
    shared = expand(kem, prk, b"shared_secret", enc + raw(private.public_key()), 32)
    context = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", info)
    secret = extract(suite, shared, b"secret", b"")
    key, nonce = expand(suite, secret, b"key", context, 32), expand(suite, secret, b"base_nonce", context, 12)
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, b"")


def unseal(sealed, authority):
    """Opens a sealed part; returns None when it was sealed to another authority."""
    if hashlib.sha256(raw(authority.public_key())).digest()[:4] != sealed[:4]:
        return None
    try:
        inside = hpke_open(authority, sealed[4:36], sealed[36:], b"gatepost/personal/1")
    except (InvalidTag, ValueError):
        raise Mismatch("the sealed part does not open with the authority's key") from None
    f = io.BytesIO(inside)
    body = cbor(f)
    need(len(inside) % 64 == 0 and not any(f.read()), "the sealed part is not filled with zeros up to 64 bytes")
    return named(body, PERSONAL)


def decode(b):
    """Returns what an entry's bytes say, and the head behind which it stands: a sequence and a hash."""
    need(HEADER.size <= len(b) <= 8192 and b[0] == 1, "an entry is of another version or size")
    _, kind, seq, boot, wall, mono, trust, before = HEADER.unpack_from(b)
    need(seq > 1 or seq == 1 and not any(before), "an entry has sequence 0, or is the first and has one before it")
    at = datetime(1970, 1, 1) + timedelta(milliseconds=wall)
    name, keys = KINDS.get(kind, (f"kind-{kind}", None))
    e = {"seq": seq, "hash": hashlib.sha256(b).hexdigest(), "kind": name, "boot": boot, "mono_ms": mono,
         "wall": at.isoformat(timespec="milliseconds") + "Z", "trust": TRUSTS.get(trust, f"trust-{trust}")}
    if keys:  # the body of an unknown kind stays unread; the entry is chained all the same
        f = io.BytesIO(b[HEADER.size :])
        e |= named(cbor(f), keys)
        need(not f.read(), "an entry has bytes behind its body")
    for field, codes in CODES.items():
        if field in e:
            e[field] = codes.get(e[field], f"{field}-{e[field]}")
    place = seq - 1
    if kind == 3 and 0 < e["first"] <= e["last"] and e["last"] in (seq, seq - 1):  # it stands for lost entries
        place = e["first"] - 1
        if e["last"] == seq and "hands_on" in e:
            e["hash"] = e["hands_on"].hex()
    return e, [place, before.hex()]


class Chains:
    """Follows each device's chain, and holds entries back until the batch that they came in is proved."""

    def __init__(self, keys, authority, state):
        self.keys, self.authority, self.cursor = keys, authority, state.get("cursor")
        self.heads = state.get("heads", {})  # device: [seq, hash] of its last entry
        self.batch = []  # the open batch; the batches of a hub stand one behind the other

    def add(self, line):
        """Takes a line of the pull; returns the entries that are proved with it, none or a whole batch."""
        (e, head), device = decode(b64decode(line["entry"], validate=True)), line["device"]
        where = f"entry {e['seq']} of device {device}"
        for field in SHOWN.split():  # what the hub says beside the bytes; empty ones are left out there
            said, true = line.get(field), e.get(field)
            if isinstance(true, bytes):
                true = b64encode(true).decode() if field == "sealed" else true.hex()
            need((said or None) == (true or None), f"{where}: {field} is not what its bytes say")
        last = self.heads.get(device, head)  # the hub may hold some of what a gap says is lost
        need(last == head or head[0] < last[0] < e["seq"], f"{where} does not follow the entry before")
        need(not self.batch or self.batch[0][0] == device and len(self.batch) < 500, f"{where}: no end of its batch")
        self.heads[device], self.cursor = [e["seq"], e["hash"]], line["cursor"]
        self.batch.append((device, head, e))
        return self.prove(line["batch"], where) if "batch" in line else []

    def prove(self, span, where):
        """Checks the signature over the open batch's two heads; the chain between them is checked already."""
        batch, self.batch = self.batch, []
        device, (seq, before), _ = batch[0]
        need(span["before"] == {"seq": seq, "hash": before}, f"{where}: its batch begins elsewhere than the hub says")
        text = "\n".join(["gatepost/batch/1", device, str(seq), before, *map(str, self.heads[device]), ""])
        if self.keys is not None:
            need(device in self.keys, f"{where}: no key of this device is in the folder of devices")
            try:
                self.keys[device].verify(b64decode(span["sig"], validate=True), text.encode())
            except InvalidSignature:
                raise Mismatch(f"{where}: the signature of its batch does not fit") from None
        for _, _, e in batch:
            if self.authority and "sealed" in e:
                e["personal"] = unseal(e["sealed"], self.authority)
        return [{"device": device, "signed": self.keys is not None} | e for _, _, e in batch]


def read_key(path, load, kind):
    try:
        key = load(Path(path).read_bytes())
    except ValueError:
        key = None
    need(isinstance(key, kind), f"{path} is no {kind.__name__} in PEM")
    return key


def device_keys(folder):
    """Reads each NAME.pub.pem; a device is known by its key, never by the file's name."""
    keys = [read_key(p, pem.load_pem_public_key, Ed25519PublicKey) for p in Path(folder).glob("*.pub.pem")]
    return {hashlib.sha256(raw(k)).hexdigest()[:16]: k for k in keys}


def pull(a, chains):
    """Asks for pages until one is empty; yields what each line proves: a whole batch at its end, else nothing."""
    url, token = urlsplit(a.url), Path(a.token).read_text().strip()
    need(url.scheme == "https", "the hub's address does not begin with https://")
    tls = ssl.create_default_context(cafile=a.ca)  # trusts this authority alone
    tls.minimum_version = ssl.TLSVersion.TLSv1_3
    hub, gone = http.client.HTTPSConnection(url.netloc, timeout=60, context=tls), False
    while True:
        query = {"limit": 1000} | ({"after": chains.cursor} if chains.cursor else {})
        hub.request("GET", "/v1/log?" + urlencode(query), headers={"Authorization": "Bearer " + token})
        answer = hub.getresponse()
        body = answer.read()  # raises when the page breaks off
        hub.close()  # else the hub would, should the reader of stdout be slow; the next request opens it again
        if answer.status == 410 and not gone:
            gone = True
            chains.cursor, chains.heads, chains.batch = json.loads(body)["start"], {}, []  # the hub began anew
            continue
        need(answer.status == 200, f"the hub answers {answer.status} {answer.reason}")
        lines = body.splitlines()
        if not lines:
            need(not chains.batch, "the log ends inside a batch")
            return
        gone = False
        for line in lines:
            yield chains.add(json.loads(line))


def run(a):
    state = json.loads(Path(a.state).read_text()) if a.state and os.path.exists(a.state) else {}
    keys = device_keys(a.devices) if a.devices else None
    authority = read_key(a.authority, lambda b: pem.load_pem_private_key(b, None), X25519PrivateKey) if a.authority else None
    chains = Chains(keys, authority, state)
    for entries in pull(a, chains):
        for e in entries:
            print(json.dumps(e, ensure_ascii=False, allow_nan=False, default=bytes.hex))
        if a.state and entries:  # only after the entries: rather twice than never
            sys.stdout.flush()
            Path(a.state + ".new").write_text(json.dumps({"cursor": chains.cursor, "heads": chains.heads}))
            os.replace(a.state + ".new", a.state)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="the hub's address")
    parser.add_argument("--token", required=True, help="file with the puller's token")
    parser.add_argument("--ca", required=True, help="the hub's certificate authority, PEM")
    parser.add_argument("--devices", help="folder with NAME.pub.pem of the devices: checks their signatures")
    parser.add_argument("--authority", help="the authority's private key, PEM: opens what is sealed to it")
    parser.add_argument("--state", help="file that keeps the cursor and the chains' heads from run to run")
    sys.stdout.reconfigure(encoding="utf-8")
    try:
        run(parser.parse_args())
    except Mismatch as e:
        sys.exit(f"client.py: {e}")
    except (OSError, http.client.HTTPException) as e:
        sys.exit(f"client.py: the hub or a file cannot be read: {e}")
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as e:
        # Its text could hold a person's data, so that its name must do.
        sys.exit(f"client.py: something read is not of the form that the documents describe ({type(e).__name__})")


if __name__ == "__main__":
    main()
