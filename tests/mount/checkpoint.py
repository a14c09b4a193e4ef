#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A mount without a cache begins with the newest checkpoint that it finds whole, and with the journal where there is none; either way
the tree is the same."""

import json
import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, read_file, tree_digest, wait_until, write_file  # noqa: E402

LOADED = "the namespace was loaded from a checkpoint"
OLDER = "an older one is tried"


def fill(m, name, files=40):
    os.makedirs(m.path(name, "deep", "er"))
    for i in range(files):
        write_file(m.path(name, f"f{i}"), pattern((name, i), [0, 10, 3000, 70000, 300000][i % 5]))
    os.symlink("../f1", m.path(name, "deep", "link"))
    os.link(m.path(name, "f1"), m.path(name, "deep", "er", "hard"))
    os.setxattr(m.path(name, "f2"), "user.colour", b"green")
    os.unlink(m.path(name, "f3"))


def checkpoint(rig, m):
    out = json.loads(rig.run("debug", "checkpoint", m.dir, "--json").stdout)
    assert m.status()["journal"]["checkpoint_slot"] == out["slot"], (m.status()["journal"], out)
    return out


def log_of(m):
    with open(m.log, errors="replace") as f:
        return f.read()


def loaded_slots(m):
    return [int(line.split(" slot=")[1].split()[0]) for line in log_of(m).splitlines() if LOADED in line]


def fresh(rig, m, options=""):
    """Unmounts, forgets everything, mounts again."""
    m.umount()
    shutil.rmtree(m.cache)
    os.unlink(m.log)
    return rig.mount(options)


def objects(rig):
    return {os.path.join(d, f) for name in rig.stores for d, _, fs in os.walk(rig.folder(name)) for f in fs}


def parts(rig, name, slot):
    """The parts' files of one checkpoint at a store of folders, without the manifest."""
    top = os.path.join(rig.folder(name), "k")
    return [os.path.join(top, d, f) for d in os.listdir(top) if int(d.split("-")[0], 16) == slot
            for f in os.listdir(os.path.join(top, d)) if f != "manifest"]


def flip(path):
    with open(path, "r+b") as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)[0]
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte ^ 1]))


def through_it(kind):
    with Rig(kind) as rig:
        m = rig.mount()
        assert m.status()["journal"]["checkpoint_slot"] is None
        fill(m, "before")
        out = checkpoint(rig, m)
        assert out["parts_written"] == out["parts"] >= 1, out
        fill(m, "after")
        tree = tree_digest(m.dir)
        m = fresh(rig, m)
        assert loaded_slots(m) == [out["slot"]], log_of(m)
        assert tree_digest(m.dir) == tree
        assert os.getxattr(m.path("before", "f2"), "user.colour") == b"green"
        fill(m, "again")
        second = checkpoint(rig, m)
        assert second["slot"] > out["slot"], (second, out)
        tree = tree_digest(m.dir)
        m = fresh(rig, m, "ro")
        assert loaded_slots(m) == [second["slot"]], log_of(m)
        assert tree_digest(m.dir) == tree


def test_folders():
    through_it("file")


def test_servers():
    """The three dialects list as well."""
    through_it("standin")


def test_a_warm_mount_asks_for_none():
    with Rig() as rig:
        m = rig.mount()
        fill(m, "a")
        checkpoint(rig, m)
        m.umount()
        m = rig.mount()
        assert loaded_slots(m) == [], log_of(m)


def test_a_reader_writes_nothing():
    with Rig() as rig:
        m = rig.mount()
        fill(m, "a")
        checkpoint(rig, m)
        m.umount()
        shutil.rmtree(m.cache)
        before = objects(rig)
        m = rig.mount("ro")
        assert loaded_slots(m), log_of(m)
        assert rig.run("debug", "checkpoint", m.dir, check=False).returncode == 1
        m.umount()
        assert objects(rig) == before


def test_damage():
    with Rig() as rig:
        m = rig.mount()
        fill(m, "a")
        first = checkpoint(rig, m)
        fill(m, "b")
        second = checkpoint(rig, m)
        tree = tree_digest(m.dir)
        # one store: the next one has it
        for path in parts(rig, "aws", second["slot"]):
            flip(path)
        shutil.rmtree(os.path.join(rig.folder("azure"), "k"))
        m = fresh(rig, m)
        assert loaded_slots(m) == [second["slot"]], log_of(m)
        assert tree_digest(m.dir) == tree
        # all stores: the checkpoint before
        for path in parts(rig, "google", second["slot"]):
            flip(path)
        m = fresh(rig, m)
        assert loaded_slots(m) == [first["slot"]] and OLDER in log_of(m), log_of(m)
        assert tree_digest(m.dir) == tree
        # no checkpoint at all: the journal
        for path in parts(rig, "google", first["slot"]) + parts(rig, "aws", first["slot"]):
            os.unlink(path)
        m = fresh(rig, m)
        assert loaded_slots(m) == [], log_of(m)
        assert tree_digest(m.dir) == tree


def test_a_load_that_was_interrupted():
    with Rig() as rig:
        m = rig.mount()
        fill(m, "a")
        checkpoint(rig, m)
        tree = tree_digest(m.dir)
        m.umount()
        os.rename(os.path.join(m.cache, "ns"), os.path.join(m.cache, "ns.new"))
        shutil.copytree(os.path.join(m.cache, "ns.new"), os.path.join(m.cache, "ns.old"))
        m = rig.mount()
        assert loaded_slots(m), log_of(m)
        assert tree_digest(m.dir) == tree
        assert sorted(n for n in os.listdir(m.cache) if n.startswith("ns")) == ["ns"], os.listdir(m.cache)


def test_under_writers():
    """It is of one slot, whatever goes on meanwhile; and a second mount that begins with it sees all of it."""
    with Rig() as rig:
        m = rig.mount()
        stop = threading.Event()

        def write(me):
            i = 0
            while not stop.is_set():
                write_file(m.path(f"w{me}-{i % 50}"), pattern((me, i), 2000))
                i += 1

        writers = [threading.Thread(target=write, args=(n,)) for n in range(3)]
        for w in writers:
            w.start()
        try:
            slots = [checkpoint_now(rig, m) for _ in range(4)]
        finally:
            stop.set()
            for w in writers:
                w.join()
        assert slots == sorted(slots), slots
        rig.run("sync", m.dir)
        other = rig.mount(cache=os.path.join(rig.tmp, "cache-b"))
        assert loaded_slots(other) == [slots[-1]], log_of(other)
        wait_until(lambda: tree_digest(other.dir) == tree_digest(m.dir), "both show the same")
        assert other.status()["journal"]["state_hash"], other.status()
        assert read_file(other.path("w0-0")) == read_file(m.path("w0-0"))


def checkpoint_now(rig, m):
    return json.loads(rig.run("debug", "checkpoint", m.dir, "--json").stdout)["slot"]


main()
