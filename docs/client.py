#!/usr/bin/python3
"""client.py https://hub.example:8443 token ca.pem devices/ state.json [authority.key] >> entries.ndjson
pulls a hub's entries, proves each batch, opens what is sealed to the authority, and writes one JSON object a line: a
model for central servers after PROTOCOL.md and FORMATS.md. Needs Python 3.11 and python3-cryptography. Ends with 0
when nothing is new, with 1 at what does not fit. Entries may come again after a crash: keep them by device and seq."""
import base64, hashlib, hmac, http.client, json, ssl, struct, sys, urllib.parse
from pathlib import Path
from cryptography.hazmat.primitives import serialization as pem
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
NAMES = {"kind": " passage boot gap undo purge handover fault shift", "trust": "none seen clock network",  # from 0
         "direction": " in out", "verdict": " admit look refuse unreadable fault"}
PASSAGE = dict(enumerate("lane direction verdict form tag sealed".split(), 1))  # the keys of a body
SEALED = dict(enumerate("family verified reason name birth number qid address answers declarer plate slip".split(), 1))
need = lambda true, sentence: true or sys.exit("client.py: " + sentence)
raw = lambda public: public.public_bytes(pem.Encoding.Raw, pem.PublicFormat.Raw)
extract = lambda suite, salt, label, secret: hmac.digest(salt, b"HPKE-v1" + suite + label + secret, "sha256")  # HKDF
expand = lambda suite, key, label, n: hmac.digest(key, bytes([0, n]) + b"HPKE-v1" + suite + label + b"\1", "sha256")[:n]

def cbor(b):  # decodes the value at the start of b; returns it and the bytes behind it
    major, n, b = b[0] >> 5, b[0] & 31, b[1:]
    if n >= 24:  # the number stands in the 1, 2, 4 or 8 bytes that follow
        argument, b = b[: 1 << n - 24], b[1 << n - 24 :]
        n = int.from_bytes(argument, "big") if major < 7 else struct.unpack(">" + "efd"[n - 25], argument)[0]
    if major in (2, 3):
        return (b[:n] if major == 2 else b[:n].decode()), b[n:]
    if major not in (4, 5):
        return {0: n, 1: -1 - n, 7: {20: False, 21: True}.get(n, n)}[major], b
    items = []
    for _ in range(n if major == 4 else 2 * n):  # a map is its keys and values in turn
        item, b = cbor(b)
        items.append(item)
    return (items if major == 4 else dict(zip(items[::2], items[1::2]))), b

def unseal(sealed, authority):  # HPKE (RFC 9180, base mode); returns None of what was sealed to another authority
    own, enc, kem, suite = raw(authority.public_key()), sealed[4:36], b"KEM\0\x20", b"HPKE\0\x20\0\1\0\3"
    if hashlib.sha256(own).digest()[:4] != sealed[:4]:
        return None
    prk = extract(kem, b"", b"eae_prk", authority.exchange(X25519PublicKey.from_public_bytes(enc)))
    secret = extract(suite, expand(kem, prk, b"shared_secret" + enc + own, 32), b"secret", b"")
    info = b"\0" + extract(suite, b"", b"psk_id_hash", b"") + extract(suite, b"", b"info_hash", b"gatepost/personal/1")
    key, nonce = expand(suite, secret, b"key" + info, 32), expand(suite, secret, b"base_nonce" + info, 12)
    return {SEALED.get(k, k): v for k, v in cbor(ChaCha20Poly1305(key).decrypt(nonce, sealed[36:], b""))[0].items()}

def decode(b):  # returns what an entry says, and two heads (sequence, hash): the one it stands behind, and its own
    version, kind, seq, boot, wall, mono, trust, before = struct.unpack_from(">BBQIqQB32s", b)
    need(version == 1, f"an entry is of version {version}")
    body = cbor(b[63:])[0] if 1 <= kind <= 7 else {}  # an unknown kind stays unread, and is chained all the same
    e = {"seq": seq, "kind": kind, "boot": boot, "wall_ms": wall, "mono_ms": mono, "trust": trust}
    e |= {PASSAGE.get(k, k): v for k, v in body.items()} if kind == 1 else {"body": body}
    e |= {f: dict(enumerate(NAMES[f].split(" "))).get(e[f], f"{f}-{e[f]}") for f in NAMES.keys() & e.keys()}
    lost = kind == 3 and 0 < body[1] <= body[2] and body[2] in (seq, seq - 1)  # a gap that stands for lost entries
    own = body[4].hex() if lost and 4 in body and body[2] == seq else hashlib.sha256(b).hexdigest()
    return e, [body[1] - 1 if lost else seq - 1, before.hex()], [seq, own]

def take(line, heads, batch, keys):  # adds an entry to its batch; returns whether that is proved now
    device, (e, behind, own) = line["device"], decode(base64.b64decode(line["entry"]))
    where, last = f"entry {e['seq']} of device {device}", heads.get(device, behind)
    need(last == behind or behind[0] < last[0] < own[0], f"{where} does not follow the entry before")  # or a gap does
    heads[device] = own
    batch.append((behind, {"device": device} | e))
    need(batch[0][1]["device"] == device and len(batch) <= 500, f"{where}: the batch before has no end")
    if "batch" in line:
        need(device in keys, f"{where}: no key of this device is in the folder of devices")
        text = "\n".join(["gatepost/batch/1", device, *map(str, batch[0][0] + own), ""])
        keys[device].verify(base64.b64decode(line["batch"]["sig"]), text.encode())  # raises when it does not fit
    return "batch" in line

def main(url, token, ca, devices, state_file, authority=None):
    keys = [pem.load_pem_public_key(p.read_bytes()) for p in Path(devices).glob("*.pub.pem")]
    keys = {hashlib.sha256(raw(k)).hexdigest()[:16]: k for k in keys}  # a device is known by its key
    authority = pem.load_pem_private_key(Path(authority).read_bytes(), None) if authority else None
    kept, batch, asked, bearer = Path(state_file), [], None, Path(token).read_text().split()[0]
    state = json.loads(kept.read_text()) if kept.exists() else {"cursor": "", "heads": {}}
    tls = ssl.create_default_context(cafile=ca)  # trusts this authority alone
    while asked != state["cursor"]:  # with an empty page it may move all the same
        asked, query = state["cursor"], urllib.parse.urlencode({"limit": 1000, "after": state["cursor"]})
        hub = http.client.HTTPSConnection(urllib.parse.urlsplit(url).netloc, timeout=60, context=tls)
        hub.request("GET", "/v1/log?" + query, headers={"Authorization": "Bearer " + bearer})
        page = (answer := hub.getresponse()).read()  # raises when the page breaks off
        if answer.status == 410 and json.loads(page)["start"] != asked:  # the log of this cursor is gone
            state, batch = {"cursor": json.loads(page)["start"], "heads": {}}, []
            continue
        need(answer.status == 200, f"the hub answers {answer.status} {answer.reason}")
        state["cursor"] = answer.headers.get("Gatepost-Cursor", asked)
        for line in map(json.loads, page.splitlines()):
            proved, state["cursor"] = take(line, state["heads"], batch, keys), line["cursor"]
            if proved:
                for _, e in batch:
                    e |= {"personal": unseal(e["sealed"], authority)} if authority and "sealed" in e else {}
                    print(json.dumps(e, ensure_ascii=False, default=bytes.hex), flush=True)
                batch = []
                kept.with_suffix(".new").write_text(json.dumps(state))  # after the entries: rather twice than never
                kept.with_suffix(".new").replace(kept)
    need(not batch, "the log ends inside a batch")

try:
    main(*sys.argv[1:])
except Exception as e:  # its text could hold a person's data
    need(False, f"the hub, a file or an entry is not what the documents say: {type(e).__name__}")
