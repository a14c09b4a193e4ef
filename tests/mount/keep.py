#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fsck, scrub and gc: what they find, what they leave alone, and what they are allowed to ask of a store."""

import json
import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, read_file, wait_until, write_file  # noqa: E402

FILES = 20


def chunks(rig, name):
    top = os.path.join(rig.folder(name), "c")
    return sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs)


def fill(m, name="d", files=FILES, size=60000):
    os.makedirs(m.path(name, "deep"), exist_ok=True)
    for i in range(files):
        write_file(m.path(name, f"f{i}"), pattern((name, i), size + i))
    os.link(m.path(name, "f0"), m.path(name, "deep", "link"))
    os.symlink("f1", m.path(name, "deep", "symlink"))


def check(m, name="d", files=FILES, size=60000):
    for i in range(files):
        assert read_file(m.path(name, f"f{i}")) == pattern((name, i), size + i), f"{name}/f{i}: wrong bytes"


def flip(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 4]))


def asked(rig, *arguments, status=0):
    """A command's JSON; its exit status must be this one."""
    out = rig.run(*arguments, "--json", check=False)
    assert out.returncode == status, (arguments, out.returncode, out.stdout, out.stderr)
    return json.loads(out.stdout)


def own(rig):
    """The arguments with which a command opens the volume by itself."""
    return [rig.config, "--cache-dir", os.path.join(rig.tmp, "upkeep")]


def fsck(rig):
    return asked(rig, "fsck", *own(rig))


# fsck

def test_fsck():
    """What a mount has and what the stores give are the same state, and it is sound."""
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        os.unlink(m.path("d", "f3"))
        rig.run("sync", m.dir)
        there = asked(rig, "fsck", m.dir)
        assert there["found"] == 0 and there["inodes"] > FILES and there["chunks"] >= FILES, there
        built = asked(rig, "fsck", "--from-stores", *own(rig))
        assert built["found"] == 0, built
        if built["slot"] == there["slot"]:
            assert built["state_hash"] == there["state_hash"], (there, built)
        m.umount()
        alone = fsck(rig)
        assert alone["found"] == 0 and alone["inodes"] == there["inodes"], (there, alone)
        out = rig.run("fsck", *own(rig)).stdout
        assert out.endswith(" 0 contradictions\n"), out


def test_fsck_writes_nothing():
    """Neither to the stores nor to the journal."""
    with Rig("standin") as rig:
        m = rig.mount()
        fill(m)
        m.umount()
        before = {name: s.stats() for name, s in rig.servers.items()}
        fsck(rig)
        for name, s in rig.servers.items():
            assert writes(s.stats()) == writes(before[name]), (name, before[name], s.stats())


def writes(stats):
    return {op: n["requests"] for op, n in stats["ops"].items() if op not in ("get", "head", "list", "other")}


def test_fsck_refuses():
    with Rig() as rig:
        for arguments, status in ((["fsck", "--from-stores"], 2), (["fsck", "none-such"], 1), (["scrub", "--share", "5"], 2),
                                  (["scrub", "--share", "0%"], 2), (["scrub", "--rate", "x"], 2)):
            out = rig.run(*arguments, check=False)
            assert out.returncode == status and out.stderr.startswith("mangrove: "), (arguments, out)


# scrub

def damaged(rig):
    """One copy damaged, one removed, one cut, one longer; each of another chunk."""
    names = list(rig.stores)
    flip(chunks(rig, names[0])[0])
    os.unlink(chunks(rig, names[1])[1])
    path = chunks(rig, names[2])[2]
    os.truncate(path, os.path.getsize(path) - 1)
    with open(chunks(rig, names[0])[3], "ab") as f:
        f.write(b"x")


def test_scrub():
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        rig.run("sync", m.dir, "--all")
        assert asked(rig, "scrub", m.dir)["copies"] == 3 * FILES
        damaged(rig)
        out = asked(rig, "scrub", m.dir, status=4)
        assert (out["damaged"], out["missing"], out["unread"], out["found"]) == (3, 1, 0, 4), out
        assert sorted(f["code"] for f in out["findings"]) == ["C1", "C1", "C1", "C2"], out
        m.wait_healthy()
        wait_until(lambda: not any(s["bad_chunks"] for s in m.status()["stores"]), "repair")
        assert m.status()["counters"]["repaired_chunks"] >= 4
        out = asked(rig, "scrub", m.dir)
        assert out["found"] == 0 and out["ended"], out
        assert asked(rig, "scrub", m.dir, "--store", "azure")["copies"] == FILES
        check(m)


def test_scrub_without_a_mount():
    """The command repairs by itself before it ends, and leaves the journal as a mount does."""
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        rig.run("sync", m.dir, "--all")
        m.umount()
        damaged(rig)
        assert asked(rig, "scrub", *own(rig), status=4)["found"] == 4
        assert asked(rig, "scrub", *own(rig))["found"] == 0
        assert asked(rig, "fsck", *own(rig))["found"] == 0
        shutil.rmtree(m.cache)
        check(rig.mount())


def test_share_goes_around():
    """Parts of a volume, one after the other, come to all of it, and around again."""
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        rig.run("sync", m.dir, "--all")
        seen = [asked(rig, "scrub", m.dir, "--share", "30%") for _ in range(3)]
        assert all(o["chunks"] == FILES * 3 // 10 + 1 for o in seen), seen
        assert [o["resumed"] for o in seen] == [False, True, True], seen
        flip(chunks(rig, "google")[0])
        found = [json.loads(rig.run("scrub", m.dir, "--share", "40%", "--store", "google", "--json", check=False).stdout)["found"]
                 for _ in range(3)]
        assert sum(found) >= 1, found


def test_scrub_of_a_store_that_is_away():
    """Nothing is known of its copies: neither damage nor soundness."""
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        rig.run("sync", m.dir, "--all")
        os.rename(rig.folder("azure"), rig.folder("azure") + ".away")
        out = asked(rig, "scrub", m.dir, status=3)
        assert out["unread"] == FILES and out["found"] == 0, out
        os.rename(rig.folder("azure") + ".away", rig.folder("azure"))


if __name__ == "__main__":
    main()
