#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The envelope of fs/FORMAT.md written a second time, from the page alone.

seal.py          checks that seal.json holds what this implementation makes
seal.py --write  makes seal.json
seal.py --open FILE --key HEX --volume HEX   opens a sealed object of a store (to stdout)

Needs python3-cryptography for AES-256-GCM; exits 77 without it.
"""
import argparse
import hashlib
import json
import pathlib
import struct
import sys

try:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM
except ImportError:
    print("python3-cryptography is missing")
    sys.exit(77)

FRAME = 65536
TYPES = ["", "chunk", "record", "link", "lane", "ckpt", "super", "piece"]
VECTORS = pathlib.Path(__file__).with_name("seal.json")


def derive(epoch_key, kind, salt):
    person = b"mangrove" + TYPES[kind].encode()
    return hashlib.blake2b(digest_size=32, key=epoch_key, salt=salt, person=person).digest()


def header(kind, epoch, length, object_id, salt, key):
    commitment = hashlib.blake2b(b"mangrove key commitment", digest_size=32, key=key).digest()
    h = b"mangrove" + struct.pack(">HBBB3xII Q", 1, kind, 1, 0, epoch, 0, length)
    h += object_id + salt + commitment + bytes(16)
    return h + hashlib.blake2b(h, digest_size=16).digest()


def frames(length):
    return max(1, (length + FRAME - 1) // FRAME)


def bind(volume, kind, epoch, length, object_id, head, i):
    ad = struct.pack(">HBBB3xIIQ", 1, kind, 1, 0, epoch, i, length)
    ad += volume + object_id + hashlib.blake2b(head, digest_size=32).digest()
    return struct.pack(">IB7x", i, i + 1 == frames(length)), ad


def seal(volume, epoch, epoch_key, kind, object_id, salt, plain):
    key = derive(epoch_key, kind, salt)
    out = head = header(kind, epoch, len(plain), object_id, salt, key)
    for i in range(frames(len(plain))):
        nonce, ad = bind(volume, kind, epoch, len(plain), object_id, head, i)
        out += AESGCM(key).encrypt(nonce, plain[i * FRAME:(i + 1) * FRAME], ad)
    return out


def open_sealed(volume, epoch_key, data):
    head, kind = data[:128], data[10]
    epoch, length = struct.unpack(">I", head[16:20])[0], struct.unpack(">Q", head[24:32])[0]
    object_id, salt = head[32:48], head[48:64]
    key = derive(epoch_key, kind, salt)
    if head != header(kind, epoch, length, object_id, salt, key):
        sys.exit("wrong key, or a damaged header")
    out = b""
    for i in range(frames(length)):
        nonce, ad = bind(volume, kind, epoch, length, object_id, head, i)
        at = 128 + i * (FRAME + 16)
        out += AESGCM(key).decrypt(nonce, data[at:at + FRAME + 16], ad)
    return out


def pattern(n):
    return bytes((i * 7 + (i >> 8)) & 0xff for i in range(n))


def make():
    volume, key = bytes(range(16)), bytes(range(0x40, 0x60))
    doc = {"about": "plain byte i = (i * 7 + (i >> 8)) mod 256; sealed in full, or as SHA-256 where long",
           "volume_id": volume.hex(), "epoch": 3, "epoch_key": key.hex(), "cases": []}
    for kind, length in [(1, 1), (1, 65536), (1, 65537), (1, 200000), (2, 100), (3, 0), (3, 37), (6, 300), (7, 16)]:
        object_id = hashlib.sha256(b"id %d %d" % (kind, length)).digest()[:16]
        salt = hashlib.sha256(b"salt %d %d" % (kind, length)).digest()[:16]
        sealed = seal(volume, 3, key, kind, object_id, salt, pattern(length))
        case = {"type": TYPES[kind], "length": length, "object_id": object_id.hex(), "salt": salt.hex(),
                "key": derive(key, kind, salt).hex(), "header": sealed[:128].hex(),
                "sealed_sha256": hashlib.sha256(sealed).hexdigest()}
        if length <= 300:
            case["sealed"] = sealed.hex()
        doc["cases"].append(case)
    return json.dumps(doc, indent=1) + "\n"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--write", action="store_true")
    p.add_argument("--open", metavar="FILE")
    p.add_argument("--key")
    p.add_argument("--volume")
    a = p.parse_args()
    if a.open:
        data = pathlib.Path(a.open).read_bytes()
        sys.stdout.buffer.write(open_sealed(bytes.fromhex(a.volume), bytes.fromhex(a.key), data))
    elif a.write:
        VECTORS.write_text(make())
    elif VECTORS.read_text() != make():
        sys.exit("seal.json differs from what this implementation makes")


main()
