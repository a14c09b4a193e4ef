#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A volume from format to the last umount: written, remounted without its cache, compared; on folders, and on our own
servers over TLS. Real servers: tests/cloud/emulators.py."""

import os
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, read_file, tree_digest, wait_until, write_file  # noqa: E402

SMALL = int(os.environ.get("MANGROVE_TEST_SMALL_FILES", "1000"))
LARGE_MIB = int(os.environ.get("MANGROVE_TEST_LARGE_MIB", "200"))


def fill(top, small=SMALL, large_mib=LARGE_MIB):
    """Small files of many sizes in folders, one large file, links and an empty folder."""
    for i in range(small):
        folder = os.path.join(top, f"d{i % 10}")
        os.makedirs(folder, exist_ok=True)
        write_file(os.path.join(folder, f"f{i}"), pattern(i, (i * 37) % 40000))
    with open(os.path.join(top, "large"), "wb") as f:
        for i in range(large_mib):
            f.write(pattern(("large", i), 1 << 20))
    os.symlink("large", os.path.join(top, "link"))
    os.link(os.path.join(top, "d0", "f0"), os.path.join(top, "hard"))
    os.mkdir(os.path.join(top, "empty"))


def write_and_find_again(rig, small, large_mib):
    m = rig.mount()
    fill(m.dir, small, large_mib)
    want = tree_digest(m.dir)
    m.umount()
    shutil.rmtree(m.cache)
    again = rig.mount()
    assert tree_digest(again.dir) == want
    again.wait_healthy()
    st = again.status()
    assert st["namespace"]["files"] >= small + 2, st["namespace"]
    again.umount()


def test_folders():
    with Rig() as rig:
        write_and_find_again(rig, SMALL, LARGE_MIB)


def test_standin_over_tls():
    with Rig("standin", tls=True) as rig:
        write_and_find_again(rig, min(SMALL, 300), min(LARGE_MIB, 64))


def test_nothing_readable_in_the_stores():
    """Neither a name nor a piece of content is at a store in the clear."""
    with Rig() as rig:
        m = rig.mount()
        secret = b"the-content-nobody-may-see " * 4000
        os.mkdir(m.path("a-name-nobody-may-see"))
        write_file(m.path("a-name-nobody-may-see", "f"), secret)
        m.umount()
        seen = 0
        for folder, _, files in os.walk(os.path.join(rig.tmp, "stores")):
            for name in files:
                data = read_file(os.path.join(folder, name))
                assert b"nobody-may-see" not in data and "nobody" not in name
                seen += 1
        assert seen > 6
        for folder, _, files in os.walk(os.path.join(m.cache, "pieces")):
            for name in files:
                assert b"nobody-may-see" not in read_file(os.path.join(folder, name))


def test_read_only_mount_writes_nothing():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"x" * 100000)
        m.umount()
        for name in rig.stores:
            for folder, folders, files in os.walk(rig.folder(name)):
                os.chmod(folder, 0o555)
        before = sorted(os.path.join(d, f) for d, _, fs in os.walk(os.path.join(rig.tmp, "stores")) for f in fs)
        r = rig.mount("ro", cache=os.path.join(rig.tmp, "cache-ro"))
        assert read_file(r.path("f")) == b"x" * 100000
        for call in (lambda: write_file(r.path("g"), b""), lambda: os.mkdir(r.path("d")), lambda: os.unlink(r.path("f"))):
            try:
                call()
                raise AssertionError("a read-only mount was written")
            except OSError as e:
                assert e.errno == 30, e
        r.umount()
        after = sorted(os.path.join(d, f) for d, _, fs in os.walk(os.path.join(rig.tmp, "stores")) for f in fs)
        assert before == after


def test_sync_and_where():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), pattern("w", 3 << 20))
        rig.run("sync", m.dir, "--all")
        out = rig.run("where", m.path("f")).stdout
        assert all(name in out for name in rig.stores), out
        text = os.getxattr(m.path("f"), "user.mangrove.replicas").decode()
        assert text == "aws=1/1 azure=1/1 google=1/1", text
        assert os.listxattr(m.path("f")) == []


def test_a_second_mount_with_the_same_cache_is_refused():
    with Rig() as rig:
        m = rig.mount()
        out = rig.mount(cache=m.cache, directory=os.path.join(rig.tmp, "other"), check=False)
        assert getattr(out, "returncode", 0) == 1, "two daemons on one cache folder"
        assert "cache" in out.stderr, out.stderr


def test_the_kernel_reads_ahead_as_told():
    """A megabyte by itself, where the kernel alone would take 128 KiB."""
    with Rig() as rig:
        for options, kib in (("", 1024), ("max_read_ahead=256K", 256)):
            m = rig.mount(options)
            device = os.stat(m.dir).st_dev
            with open(f"/sys/class/bdi/{os.major(device)}:{os.minor(device)}/read_ahead_kb") as f:
                assert int(f.read()) == kib
            m.umount()


def test_others_follow():
    """Another mount sees changes by itself, and the kernel there forgets what it had cached."""
    with Rig() as rig:
        a = rig.mount()
        b = rig.mount(cache=os.path.join(rig.tmp, "cache-b"))
        write_file(a.path("f"), b"one")
        wait_until(lambda: os.path.exists(b.path("f")), "the file at the other mount")
        wait_until(lambda: read_file(b.path("f")) == b"one", "its contents")
        write_file(a.path("f"), b"two, and longer")
        wait_until(lambda: read_file(b.path("f")) == b"two, and longer", "the new contents")
        os.rename(a.path("f"), a.path("g"))
        wait_until(lambda: os.listdir(b.dir) == ["g"], "the new name")
        os.unlink(a.path("g"))
        wait_until(lambda: os.listdir(b.dir) == [], "its end")


def test_strict():
    """What was committed before a look is seen by it: in a file, under a name, in a directory, though nobody polls."""
    with Rig() as rig:
        a = rig.mount()
        b = rig.mount("strict,freshness=60s", cache=os.path.join(rig.tmp, "cache-b"))
        os.mkdir(a.path("d"))
        write_file(a.path("f"), b"0")
        for i in range(20):
            text = str(i).encode()
            write_file(a.path("f"), text, sync=True)
            assert read_file(b.path("f")) == text
            assert not os.path.exists(b.path("d", "of no name"))
            write_file(a.path("new"), b"replaced " + text, sync=True)
            os.replace(a.path("new"), a.path("g"))
            a.rig.run("sync", a.dir)
            assert read_file(b.path("g")) == b"replaced " + text  # the name leads to another file
            write_file(a.path("d", text.decode()), text, sync=True)
            if i % 2:
                assert read_file(b.path("d", text.decode())) == text  # a name that was not there before
            else:
                assert set(os.listdir(b.path("d"))) == {str(n) for n in range(i + 1)}


def test_committed_names():
    """With names=committed and strict a name has changed for every mount when the call that changed it returns."""
    with Rig() as rig:
        mounts = [rig.mount("strict,names=committed", cache=os.path.join(rig.tmp, f"cache-{n}")) for n in "ab"]
        os.mkdir(mounts[0].path("d"))
        assert os.path.isdir(mounts[1].path("d"))
        for i in range(8):
            here, there = mounts[i % 2], mounts[(i + 1) % 2]
            os.mkdir(here.path(f"new{i}"))
            os.rename(here.path(f"new{i}"), here.path("d", f"made{i}"))
            assert set(os.listdir(there.path("d"))) == {f"made{n}" for n in range(i + 1)}
            assert not os.path.exists(there.path(f"new{i}"))


def test_two_writers():
    """Both write names and contents; each waits its turn, nobody fails, both end up with the same tree."""
    with Rig() as rig:
        a = rig.mount()
        b = rig.mount(cache=os.path.join(rig.tmp, "cache-b"))
        for i in range(3):
            os.mkdir(a.path(f"a{i}"))
            write_file(a.path(f"a{i}", "f"), pattern(("a", i), 50000))
            os.mkdir(b.path(f"b{i}"))
            write_file(b.path(f"b{i}", "f"), pattern(("b", i), 50000))
        rig.run("sync", a.dir)
        rig.run("sync", b.dir)
        wait_until(lambda: len(os.listdir(a.dir)) == 6 and len(os.listdir(b.dir)) == 6, "both see everything")
        wait_until(lambda: tree_digest(a.dir) == tree_digest(b.dir), "equal trees")
        wait_until(lambda: a.status()["journal"]["applied_slot"] == b.status()["journal"]["applied_slot"]
                   and a.status()["journal"]["state_hash"] == b.status()["journal"]["state_hash"], "equal states")
        assert a.status()["counters"]["lost_operations"] == 0 and b.status()["counters"]["lost_operations"] == 0


if __name__ == "__main__":
    main()
