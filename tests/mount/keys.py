#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Everything that opens a volume, and everything that must not: each refusal in its own words, with nothing changed."""

import json
import os
import re
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, read_file, wait_until, write_file  # noqa: E402

SUPER = "volume.0000000000000000"


def format_with(rig, *key, name=None):
    args = ["format", name or rig.name, "--config", rig.config, "--kdf-memory", "64M", "--kdf-passes", "2", *key]
    for store, url in rig.stores.items():
        args += ["--store", f"{store}={url}"]
    return rig.run(*args)


def refused(rig, *words, options="", **kw):
    out = rig.mount(options, check=False, **kw)
    assert out.returncode == 1, out
    assert len(out.stderr.strip().splitlines()) == 1, out.stderr
    for word in words:
        assert word in out.stderr, out.stderr


def contents(rig):
    found = {}
    for folder, _, files in os.walk(os.path.join(rig.tmp, "stores")):
        for name in files:
            found[os.path.join(folder, name)] = read_file(os.path.join(folder, name))
    return found


def flip(path, at):
    data = bytearray(read_file(path))
    data[at] ^= 0x40
    write_file(path, data)


def write_and_leave(rig, options=""):
    m = rig.mount(options)
    write_file(m.path("f"), b"sealed")
    m.umount()


def read_and_leave(rig, options=""):
    m = rig.mount(options, cache=os.path.join(rig.tmp, "another-cache"))
    assert read_file(m.path("f")) == b"sealed"
    m.umount()


def test_passphrase():
    with Rig(formatted=False) as rig:
        words = os.path.join(rig.tmp, "words")
        write_file(words, b"correct horse battery staple\n")
        format_with(rig, "--passphrase-file", words)
        write_and_leave(rig)
        write_file(words, b"correct horse battery stable\n")
        before = contents(rig)
        refused(rig, "wrong key", words)
        assert contents(rig) == before


def test_key_command_and_a_key_that_moves():
    with Rig(formatted=False) as rig:
        format_with(rig, "--key-file", rig.key)
        write_and_leave(rig)
        vault = os.path.join(rig.tmp, "vault")
        shutil.move(rig.key, vault)
        refused(rig, rig.key, "No such file")
        read_and_leave(rig, f"key_command=cat {vault}")
        refused(rig, "key command failed", "status 7", options="key_command=exit 7")


def test_recovery_key():
    with Rig(formatted=False) as rig:
        out = format_with(rig, "--key-file", rig.key)
        letters = re.search(r"^ +([0-9A-Z]{7}(-[0-9A-Z]{7}){7})$", out.stdout, re.M).group(1)
        write_and_leave(rig)
        os.unlink(rig.key)
        paper = os.path.join(rig.tmp, "paper")
        write_file(paper, letters.lower().replace("-", " ").encode() + b"\n")
        read_and_leave(rig, f"recovery_key_file={paper}")
        write_file(paper, letters[:-1].encode() + (b"0" if letters[-1] != "0" else b"1"))
        refused(rig, "not a recovery key", options=f"recovery_key_file={paper}")


def test_wrong_key_changes_nothing():
    with Rig() as rig:
        write_and_leave(rig)
        other = os.path.join(rig.tmp, "other")
        write_file(other, os.urandom(32))
        before = contents(rig)
        refused(rig, "wrong key", other, options=f"key_file={other}")
        assert contents(rig) == before


def test_one_damaged_superblock_is_passed_over():
    with Rig() as rig:
        write_and_leave(rig)
        flip(os.path.join(rig.folder("aws"), SUPER), 40)      # the clear part
        read_and_leave(rig)
        flip(os.path.join(rig.folder("azure"), SUPER), -5)    # the sealed one
        read_and_leave(rig)
        flip(os.path.join(rig.folder("google"), SUPER), -5)
        before = contents(rig)
        refused(rig, "damaged superblock")
        assert contents(rig) == before


def test_weak_kdf_parameters():
    with Rig(formatted=False) as rig:
        words = os.path.join(rig.tmp, "words")
        write_file(words, b"some words")
        args = ["format", rig.name, "--config", rig.config, "--passphrase-file", words]
        for store, url in rig.stores.items():
            args += ["--store", f"{store}={url}"]
        out = rig.run(*args, "--kdf-memory", "1M", check=False)
        assert out.returncode == 1 and "weak KDF parameters" in out.stderr, out
        rig.run(*args, "--kdf-memory", "64M", "--kdf-passes", "2")
        # Somebody at the stores asks for less, and mends the checksum of the clear part.
        import hashlib
        for store in rig.stores:
            path = os.path.join(rig.folder(store), SUPER)
            data = bytearray(read_file(path))
            end = 14 + int.from_bytes(data[10:14], "big")
            at = data.index((64 << 20).to_bytes(8, "big"))
            data[at:at + 8] = (1 << 20).to_bytes(8, "big")
            data[end:end + 32] = hashlib.blake2b(data[:end], digest_size=32).digest()
            write_file(path, data)
        refused(rig, "weak KDF parameters")


def test_another_volume_in_the_place():
    with Rig() as rig, Rig() as other:
        write_and_leave(rig)
        shutil.copy(os.path.join(other.folder("aws"), SUPER), os.path.join(rig.folder("aws"), SUPER))
        refused(rig, "another volume", "store aws")
        # Two places that hold one store's copy: a folder was copied, not replicated.
        shutil.copy(os.path.join(rig.folder("azure"), SUPER), os.path.join(rig.folder("aws"), SUPER))
        refused(rig, "hold the same replica")


def test_a_place_that_holds_a_volume_is_not_formatted():
    with Rig() as rig:
        before = contents(rig)
        out = rig.run("format", "more", "--config", rig.config + "2", "--store", rig.stores["azure"], check=False)
        assert out.returncode == 1 and "already holds a volume" in out.stderr, out
        assert not os.path.exists(rig.config + "2")
        # The probe leaves its own objects, nothing else is new.
        assert {p: d for p, d in contents(rig).items() if "/probe/" not in p} == {
            p: d for p, d in before.items() if "/probe/" not in p}


def test_newer_format():
    with Rig() as rig:
        import hashlib
        for store in rig.stores:
            path = os.path.join(rig.folder(store), SUPER)
            data = bytearray(read_file(path))
            data[9] = 2
            end = 14 + int.from_bytes(data[10:14], "big")
            data[end:end + 32] = hashlib.blake2b(data[:end], digest_size=32).digest()
            write_file(path, data)
        refused(rig, "newer mangrove")


def test_rollback_is_noticed():
    with Rig() as rig:
        write_and_leave(rig)
        seen = os.path.join(rig.tmp, "cache", "seen")
        lines = read_file(seen).decode().splitlines()
        assert len(lines) == 3, lines
        # As if a later superblock had been seen here before.
        write_file(seen, "".join(re.sub(r" 0{16} ", " 0000000000000009 ", line) + "\n" for line in lines).encode())
        refused(rig, "rollback", "accept_rollback")
        m = rig.mount("accept_rollback")
        assert read_file(m.path("f")) == b"sealed"
        m.umount()
        rig.mount().umount()


def words_file(rig, text):
    path = os.path.join(rig.tmp, text.replace(" ", "-"))
    write_file(path, text.encode() + b"\n")
    return path


def slots(rig, m):
    return {one["number"]: one["kind"] for one in json.loads(rig.run("key", "list", m.dir, "--json").stdout)}


def test_keys_come_and_go():
    """A second secret opens the volume elsewhere; one that was removed does not any more."""
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        words = words_file(rig, "correct horse")
        assert slots(rig, m) == {0: "key file", 1: "recovery key"}
        out = rig.run("key", "add", m.dir, "--passphrase-file", words, "--kdf-memory", "64M", "--kdf-passes", "2")
        assert out.stdout == "Key slot 2 added.\n", out
        assert slots(rig, m) == {0: "key file", 1: "recovery key", 2: "passphrase"}
        table = rig.run("key", "list", m.dir).stdout.splitlines()
        assert re.match(r" +2 +passphrase +64 MiB, 2 passes$", table[3].replace("64.0 MiB", "64 MiB")), table
        read_and_leave(rig, f"passphrase_file={words}")

        out = rig.run("key", "remove", "0", m.dir, check=False)
        assert out.returncode == 1 and "opens the volume here" in out.stderr, out
        rig.run("key", "remove", "0", m.dir, "--force")
        assert slots(rig, m) == {1: "recovery key", 2: "passphrase"}
        write_file(m.path("g"), b"the mount goes on")
        m.umount()
        refused(rig, "wrong key", rig.key)
        read_and_leave(rig, f"passphrase_file={words}")
        m = rig.mount(f"passphrase_file={words}")
        rig.run("key", "remove", "1", m.dir)
        out = rig.run("key", "remove", "2", m.dir, "--force", check=False)
        assert out.returncode == 1 and "the only one" in out.stderr, out
        out = rig.run("key", "remove", "7", m.dir, check=False)
        assert out.returncode == 1 and "no key slot 7" in out.stderr, out
        m.umount()


def test_a_new_recovery_key():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        out = json.loads(rig.run("key", "add", m.dir, "--recovery", "--json").stdout)
        assert out["number"] == 2 and out["lacking"] == [], out
        assert out["recovery_key"].encode() not in read_file(m.log)
        m.umount()
        paper = words_file(rig, out["recovery_key"])
        read_and_leave(rig, f"recovery_key_file={paper}")


def test_keys_without_a_mount():
    """The command opens the volume by itself, and leaves it as umount does."""
    with Rig() as rig:
        write_and_leave(rig)
        words = words_file(rig, "correct horse")
        rig.run("key", "add", rig.config, "--passphrase-file", words, "--kdf-memory", "64M", "--kdf-passes", "2")
        listed = json.loads(rig.run("key", "list", rig.config, "--json").stdout)
        assert [one["kind"] for one in listed] == ["key file", "recovery key", "passphrase"], listed
        rig.run("key", "remove", "1", rig.config)
        out = rig.run("key", "remove", "0", rig.config, check=False)
        assert out.returncode == 1 and "opens the volume here" in out.stderr, out
        read_and_leave(rig, f"passphrase_file={words}")


def test_a_key_file_is_made_and_bad_words_are_told():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        new = os.path.join(rig.tmp, "new.key")
        rig.run("key", "add", m.dir, "--key-file", new)
        assert os.stat(new).st_mode & 0o777 == 0o600
        for args, text in (((), "give one of"), (("--recovery", "--key-file", new), "give one of"),
                           (("--passphrase-file", "/nowhere"), "No such file"), (("--key-command", "exit 3"), "failed"),
                           (("--passphrase-file", words_file(rig, "x"), "--kdf-memory", "1M"), "weak KDF")):
            out = rig.run("key", "add", m.dir, *args, check=False)
            assert out.returncode in (1, 2) and text in out.stderr, out
        assert len(slots(rig, m)) == 3
        m.umount()
        read_and_leave(rig, f"key_file={new}")


def test_a_store_that_missed_a_key():
    """It is told, and gets the superblock from the next mount; until then the others open the volume."""
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed", sync=True)
        rig.run("sync", m.dir, "--all")
        os.rename(rig.folder("azure"), rig.folder("azure") + ".away")
        wait_until(lambda: m.store("azure")["state"] == "down", "the store is shown as down")
        words = words_file(rig, "correct horse")
        out = rig.run("key", "add", m.dir, "--passphrase-file", words, "--kdf-memory", "64M", "--kdf-passes", "2",
                      check=False)
        assert out.returncode == 3 and "store azure does not have" in out.stderr, out
        m.umount()
        os.rename(rig.folder("azure") + ".away", rig.folder("azure"))
        supers = {n: sorted(x for x in os.listdir(rig.folder(n)) if x.startswith("volume.")) for n in rig.stores}
        assert [len(supers[n]) for n in ("aws", "azure", "google")] == [2, 1, 2], supers
        read_and_leave(rig, f"passphrase_file={words}")
        assert len([x for x in os.listdir(rig.folder("azure")) if x.startswith("volume.")]) == 2
        for n in ("aws", "google"):
            shutil.move(rig.folder(n), rig.folder(n) + ".away")
        # alone it has the new slots: the secret is right, only the journal lacks its majority
        refused(rig, "journal", options=f"deadline=2s,passphrase_file={words}")


def test_older_superblocks_are_a_rollback():
    """A machine that has seen the newer one does not take the older one for it."""
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        rig.run("key", "add", m.dir, "--recovery")
        m.umount()
        write_and_leave(rig)
        newer = [x for x in os.listdir(rig.folder("aws")) if x.startswith("volume.") and x != SUPER]
        for n in rig.stores:
            os.unlink(os.path.join(rig.folder(n), newer[0]))
        refused(rig, "rollback")
        flip(os.path.join(rig.folder("aws"), SUPER), -5)
        read_and_leave(rig)


def test_readers_that_may_not_list():
    """With GET alone the superblock of the format is what there is: its keys open the volume, later ones do not."""
    with Rig("standin") as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        words = words_file(rig, "correct horse")
        rig.run("key", "add", m.dir, "--passphrase-file", words, "--kdf-memory", "64M", "--kdf-passes", "2")
        m.umount()
        write_and_leave(rig)  # this machine has seen the newer one
        for server in rig.servers.values():
            server.fault(op="list", fault="status", status=403, count=0)
        m = rig.mount("ro")
        assert read_file(m.path("f")) == b"sealed"
        m.umount()
        refused(rig, "wrong key", words, options=f"ro,passphrase_file={words}")


def test_a_damaged_newer_superblock_is_passed_over():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"sealed")
        words = words_file(rig, "correct horse")
        rig.run("key", "add", m.dir, "--passphrase-file", words, "--kdf-memory", "64M", "--kdf-passes", "2")
        m.umount()
        newer = [x for x in os.listdir(rig.folder("aws")) if x.startswith("volume.") and x != SUPER]
        flip(os.path.join(rig.folder("aws"), newer[0]), 40)
        read_and_leave(rig, f"passphrase_file={words}")


main()
