#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects in the stores are flipped, swapped, cut, emptied, removed and replayed: no wrong byte reaches a program, and what can be repaired
is repaired and counted."""

import os
import random
import shutil
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, read_file, wait_until, write_file  # noqa: E402

FLIPS = int(os.environ.get("MANGROVE_TEST_FLIPS", "200"))
FILES = 24


def chunks(rig, name):
    top = os.path.join(rig.folder(name), "c")
    return sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs)


def fill(m):
    sizes = [20000, 70000, 300000, 1500000]
    for i in range(FILES):
        write_file(m.path(f"f{i}"), pattern(("d", i), sizes[i % len(sizes)]))


def check(m):
    sizes = [20000, 70000, 300000, 1500000]
    for i in range(FILES):
        assert read_file(m.path(f"f{i}")) == pattern(("d", i), sizes[i % len(sizes)]), f"f{i}: wrong bytes"


def flip(path, rng):
    size = os.path.getsize(path)
    with open(path, "r+b") as f:
        at = rng.randrange(size)
        f.seek(at)
        byte = f.read(1)[0]
        f.seek(at)
        f.write(bytes([byte ^ (1 << rng.randrange(8))]))


def prepared(rig):
    m = rig.mount()
    fill(m)
    rig.run("sync", m.dir, "--all")
    m.umount()
    shutil.rmtree(m.cache)


def test_flipped_bits():
    rng = random.Random(11)
    with Rig() as rig:
        prepared(rig)
        # Each chunk is damaged at one store at most, so that two good copies are left.
        count = 0
        for i, paths in enumerate(zip(*(chunks(rig, n) for n in rig.stores))):
            for _ in range(FLIPS // FILES + 1):
                flip(paths[i % 3], rng)
                count += 1
        m = rig.mount()
        check(m)
        m.wait_healthy()
        st = m.status()
        print(f"   {count} flips: {st['counters']}")
        m.umount()
        # Whoever reads from the repaired stores alone finds good copies everywhere a reader came by.
        shutil.rmtree(m.cache)
        m = rig.mount()
        check(m)


def test_every_kind_of_damage():
    def cut(path, other):
        os.truncate(path, os.path.getsize(path) // 2)

    def empty(path, other):
        os.truncate(path, 0)

    def remove(path, other):
        os.unlink(path)

    def swap(path, other):
        shutil.copyfile(other, path)

    def extend(path, other):
        with open(path, "ab") as f:
            f.write(b"more")

    def header(path, other):
        with open(path, "r+b") as f:
            f.write(b"\xff" * 64)

    for damage in (cut, empty, remove, swap, extend, header):
        with Rig() as rig:
            prepared(rig)
            for name in ("aws", "azure"):  # two of three copies of every chunk
                paths = chunks(rig, name)
                for i, path in enumerate(paths):
                    damage(path, paths[(i + 1) % len(paths)])
            m = rig.mount()
            check(m)
            m.wait_healthy()
            m.umount()


def test_all_copies_damaged_is_an_error_not_wrong_bytes():
    with Rig() as rig:
        prepared(rig)
        rng = random.Random(5)
        for name in rig.stores:
            for path in chunks(rig, name):
                for _ in range(200):
                    flip(path, rng)
        m = rig.mount("deadline=5s")
        wrong = 0
        for i in range(FILES):
            try:
                read_file(m.path(f"f{i}"))
                wrong += 1
            except OSError as e:
                assert e.errno == 5, e
        assert wrong == 0, f"{wrong} files were read though every copy is damaged"


def test_damaged_cache():
    """Pieces on this machine's disk are damaged: fetched again."""
    rng = random.Random(3)
    with Rig() as rig:
        m = rig.mount()
        fill(m)
        rig.run("sync", m.dir, "--all")
        m.umount()
        m = rig.mount()
        check(m)  # fills the cache

        def pieces():
            return [os.path.join(d, f) for d, _, fs in os.walk(os.path.join(m.cache, "pieces")) for f in fs
                    if os.path.getsize(os.path.join(d, f)) > 1000]
        wait_until(lambda: len(pieces()) >= FILES // 2, "pieces in the cache")
        m.umount()
        for path in pieces():
            flip(path, rng)
        m = rig.mount()
        check(m)


def test_damaged_journal_at_one_store():
    rng = random.Random(9)
    with Rig() as rig:
        prepared(rig)
        top = os.path.join(rig.folder("azure"), "j")
        for folder, _, files in os.walk(top):
            for f in files:
                flip(os.path.join(folder, f), rng)
        m = rig.mount()
        check(m)
        write_file(m.path("new"), b"goes on")
        m.umount()
        shutil.rmtree(m.cache)
        m = rig.mount()
        assert read_file(m.path("new")) == b"goes on"


def test_replayed_journal_link():
    """An old link in the place of a newer one, and a link of another store: neither is believed."""
    with Rig() as rig:
        prepared(rig)

        def links(name):
            top = os.path.join(rig.folder(name), "j")
            return sorted(os.path.join(d, f) for d, _, fs in os.walk(top) for f in fs)
        mine = links("google")
        shutil.copyfile(mine[len(mine) // 2], mine[-1])
        shutil.copyfile(links("aws")[2], mine[2])
        m = rig.mount()
        check(m)
        write_file(m.path("new"), b"goes on")
        assert read_file(m.path("new")) == b"goes on"


if __name__ == "__main__":
    main()
