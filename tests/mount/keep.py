#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""fsck, scrub and gc: what they find, what they leave alone, and what they are allowed to ask of a store."""

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import threading
import time

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


# gc

def gc(rig, *more, status=0):
    return asked(rig, "gc", *own(rig), *more, status=status)


def by_store(out, what):
    return {s["name"]: s[what]["objects"] for s in out["stores"]}


def everywhere(rig, n):
    return {name: n for name in rig.stores}


def grow_old(seconds=62):
    time.sleep(seconds)


def removals(rig):
    return {name: s.stats()["ops"]["delete"]["requests"] for name, s in rig.servers.items()}


def test_gc():
    """Dead chunks go after the grace, and nothing else; a mount removes nothing, ever; gc has credentials of its own."""
    with Rig("standin") as rig:
        m = rig.mount()
        fill(m, "stays")
        fill(m, "goes")
        rig.run("sync", m.dir, "--all")
        shutil.rmtree(m.path("goes"))
        rig.run("sync", m.dir, "--all")
        out = gc(rig, "--grace", "1h")
        assert by_store(out, "chunks") == everywhere(rig, 0) and out["dead"]["objects"] == 0, out
        assert removals(rig) == everywhere(rig, 0)
        grow_old()
        fill(m, "young")
        shutil.rmtree(m.path("young"))
        rig.run("sync", m.dir, "--all")
        m.umount()
        assert removals(rig) == everywhere(rig, 0)
        dry = gc(rig, "--grace", "1m", "--dry-run")
        assert by_store(dry, "chunks") == everywhere(rig, FILES), dry
        assert removals(rig) == everywhere(rig, 0)
        # the credentials of mounts are of no use to it
        access = os.path.join(rig.tmp, "gc.credentials")
        write_file(access, b"[default]\naws_access_key_id = AK\naws_secret_access_key = SECRETKEY\n")
        rig.env["AWS_SECRET_ACCESS_KEY"] = "not-the-key"
        out = gc(rig, "--grace", "1m", status=3)
        assert by_store(out, "chunks") == {"aws": 0, "azure": FILES, "google": FILES}, out
        # what one run leaves the next one finds
        out = gc(rig, "--grace", "1m", "--credentials", "aws=" + access)
        assert by_store(out, "chunks") == {"aws": FILES, "azure": 0, "google": 0}, out
        assert by_store(out, "kept") == everywhere(rig, 2 * FILES), out
        assert min(removals(rig).values()) >= FILES, removals(rig)
        rig.env["AWS_SECRET_ACCESS_KEY"] = "SECRETKEY"
        assert fsck(rig)["found"] == 0
        shutil.rmtree(m.cache)
        m = rig.mount()
        check(m, "stays")
        assert sorted(os.listdir(m.dir)) == ["stays"]
        assert asked(rig, "scrub", m.dir)["found"] == 0


def object_bytes(rig, name):
    return sum(os.path.getsize(path) for path in chunks(rig, name))


def pretend(rig, name, number):
    """A chunk that nothing refers to, as if a mount of that number had written it."""
    path = chunks(rig, name)[0]
    new = number + secrets.token_hex(12)
    os.makedirs(os.path.join(rig.folder(name), "c", new[-2:]), exist_ok=True)
    target = os.path.join(rig.folder(name), "c", new[-2:], new)
    shutil.copy(path, target)
    return target


def manifests(rig, name):
    top = os.path.join(rig.folder(name), "k")
    return sum(os.path.exists(os.path.join(top, d, "manifest")) for d in os.listdir(top))


@contextlib.contextmanager
def reading(m, name):
    """Somebody reads the files of a folder over and over; any wrong byte or error is the test's failure."""
    stop, failures, rounds = threading.Event(), [], [0]

    def run():
        try:
            while not stop.is_set():
                check(m, name)
                rounds[0] += 1
        except Exception as e:  # told below
            failures.append(repr(e))

    t = threading.Thread(target=run)
    t.start()
    try:
        yield
    finally:
        stop.set()
        t.join()
    assert not failures and rounds[0], (failures, rounds)


def test_gc_killed_anywhere():
    """Half of a volume is deleted; gc is killed again and again, with a reader all along; in the end the stores hold what lives, two
    checkpoints, and what a living mount may be writing."""
    with Rig() as rig:
        m = rig.mount()
        fill(m, "stays")
        fill(m, "goes")
        for i in range(4):
            write_file(m.path("stays", f"more{i}"), b"x")
            rig.run("debug", "checkpoint", m.dir)
        shutil.rmtree(m.path("goes"))
        rig.run("sync", m.dir, "--all")
        m.umount()
        number = os.path.basename(chunks(rig, "aws")[0])[:8]
        reader = rig.mount(cache=os.path.join(rig.tmp, "reader"))
        write_file(reader.path("by-reader"), pattern("r", 50000), sync=True)
        own_number = sorted({os.path.basename(c)[:8] for c in chunks(rig, "aws")} - {number})[0]
        ended, living, nobodys = (pretend(rig, "azure", n) for n in (number, own_number, "ffffffff"))
        grow_old()
        with reading(reader, "stays"):
            for i in range(6):
                p = subprocess.Popen([rig.mangrove, "gc", *own(rig), "--grace", "1m"], env=rig.env, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
                time.sleep(0.15 + 0.2 * i)
                p.kill()
                p.wait()
            out = gc(rig, "--grace", "1m")
            assert not any(s["failed"] or s["unread"] for s in out["stores"]), out
        assert not os.path.exists(ended) and os.path.exists(living) and os.path.exists(nobodys)
        os.unlink(living)
        os.unlink(nobodys)
        live = reader.status()["namespace"]["bytes"]
        for name in rig.stores:
            assert manifests(rig, name) == 2, os.listdir(os.path.join(rig.folder(name), "k"))
            assert object_bytes(rig, name) <= 1.1 * live, (name, object_bytes(rig, name), live)
        assert fsck(rig)["found"] == 0
        assert asked(rig, "scrub", reader.dir)["found"] == 0
        shutil.rmtree(m.cache)
        m = rig.mount()
        check(m, "stays")


def test_gc_and_other_mounts():
    """A file that another mount has open without a name stays; a mount that slept shows nothing old."""
    with Rig() as rig:
        a = rig.mount()
        write_file(a.path("held"), pattern("held", 300000), sync=True)
        write_file(a.path("loose"), pattern("loose", 300000), sync=True)
        b = rig.mount(cache=os.path.join(rig.tmp, "second"))
        gc(rig, "--grace", "1m")
        wait_until(lambda: os.path.exists(b.path("held")), "the file at the other mount")
        with open(b.path("held"), "rb") as f:
            os.unlink(a.path("held"))
            os.unlink(a.path("loose"))
            rig.run("sync", a.dir)
            wait_until(lambda: os.fstat(f.fileno()).st_nlink == 0, "the news at the other mount")
            pid = b.pid
            os.kill(pid, signal.SIGSTOP)
            write_file(a.path("new"), b"new", sync=True)
            grow_old(35)
            os.kill(pid, signal.SIGCONT)
            assert read_file(b.path("new")) == b"new"
            grow_old(30)
            out = gc(rig, "--grace", "1m")
            assert out["orphans"]["objects"] == 1 and out["mounted"] == 2, out
            grow_old()
            out = gc(rig, "--grace", "1m")
            assert out["orphans"]["objects"] == 0 and by_store(out, "chunks") == everywhere(rig, 1), out
            assert f.read() == pattern("held", 300000)
        assert fsck(rig)["found"] == 0


if __name__ == "__main__":
    main()
