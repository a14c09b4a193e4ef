#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""close=staged: a close returns when this machine's disk has it. Whatever happens to the daemon, the machine or the stores then, every
closed file arrives."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, Skip, main, pattern, read_file, wait_until, write_file  # noqa: E402

SIZES = (8192, 100, 20000, 3 << 20)


def content(n):
    return pattern(("staged", n), SIZES[n % len(SIZES)])


def write_until_dead(top, closed, stop=10**6):
    """Files one after the other; what is closed is noted."""
    try:
        for n in range(stop):
            path = os.path.join(top, f"f{n}")
            write_file(path, content(n))
            closed.append(n)
    except OSError:
        pass


def check(top, closed):
    for n in closed:
        got = read_file(os.path.join(top, f"f{n}"))
        assert got == content(n), f"f{n}: {len(got)} bytes of {len(content(n))}, or other ones"


def test_every_closed_file_arrives():
    with Rig() as rig:
        m = rig.mount("close=staged")
        os.mkdir(m.path("d"))
        for n in range(12):
            write_file(m.path("d", f"f{n}"), content(n))
        check(m.path("d"), range(12))
        m.umount()
        check(rig.mount().path("d"), range(12))


def test_killed_in_the_middle():
    with Rig() as rig:
        m = rig.mount("close=staged")
        for rounds in range(3):
            top = m.path(f"d{rounds}")
            os.mkdir(top)
            pid, closed = m.pid, []
            writer = threading.Thread(target=write_until_dead, args=(top, closed), daemon=True)
            writer.start()
            wait_until(lambda: len(closed) > 20 * (rounds + 1), "some files are closed")
            m.kill9(pid)
            writer.join(60)
            assert not writer.is_alive()
            m = rig.mount("close=staged", directory=m.dir)
            check(m.path(f"d{rounds}"), closed)
        m.wait_healthy()
        m.umount()
        m = rig.mount(directory=m.dir, cache=os.path.join(rig.tmp, "elsewhere"))
        check(m.path(f"d{rounds}"), closed)


def waiting(rig, m):
    return json.loads(rig.run("status", "--staged", "--cache-dir", m.cache, "--json").stdout)


def write_some(m, folder, n=8):
    os.mkdir(m.path(folder))
    for i in range(n):
        write_file(m.path(folder, f"f{i}"), content(i))


def test_all_stores_are_down_between_the_crash_and_the_mount():
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        os.mkdir(m.path("d"))
        for server in rig.servers.values():  # nothing new arrives from here on
            server.fault(op="put", fault="slow", ms=1500, count=0)
        pid = m.pid
        for n in range(8):
            write_file(m.path("d", f"f{n}"), content(n))
        m.kill9(pid)
        for server in rig.servers.values():
            server.clear()
            server.fault(op="any", fault="refuse", count=0)
        left = waiting(rig, m)
        assert left["staged_operations"] >= 8 and left["staged_chunks"] >= 4 and left["oldest_seconds"] > 0, left
        assert "operations and" in rig.run("status", "--staged", "--cache-dir", m.cache).stdout
        out = rig.mount("close=staged,deadline=2s", directory=m.dir, check=False)
        assert out.returncode == 1, out
        assert waiting(rig, m)["staged_operations"] == left["staged_operations"]
        for server in rig.servers.values():
            server.clear()
        m = rig.mount("close=staged", directory=m.dir)
        check(m.path("d"), range(8))  # at once, from the disk
        m.wait_healthy()
        m.umount()
        left = waiting(rig, m)
        assert left["staged_operations"] == left["staged_chunks"] == 0, left
        assert "nothing is staged" in rig.run("status", "--staged", "--cache-dir", m.cache).stdout
        check(rig.mount(directory=m.dir, cache=os.path.join(rig.tmp, "elsewhere")).path("d"), range(8))


def test_what_waits_is_sealed():
    """Neither names nor contents can be read in what the cache folder keeps for the stores (RocksDB has the names, and says so)."""
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        for server in rig.servers.values():
            server.fault(op="put", fault="slow", ms=1500, count=0)
        pid = m.pid
        write_file(m.path("a telling name"), b"a telling content " * 5000)  # a chunk
        write_file(m.path("another telling name"), b"a telling content")  # travels in its operation
        m.kill9(pid)
        assert waiting(rig, m)["staged_operations"] >= 2
        seen = 0
        for folder, _, files in os.walk(m.cache):
            if os.path.basename(folder) == "ns":
                continue
            for name in files:
                data = read_file(os.path.join(folder, name))
                seen += len(data)
                assert b"telling" not in data, os.path.join(folder, name)
        assert seen > 90000, seen
        for server in rig.servers.values():
            server.clear()


def test_killed_again_before_it_arrived():
    """The next mount takes over what was left, and is killed before any of it is at the stores: nothing is done twice, nothing lost."""
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        os.mkdir(m.path("d"))
        for rounds in range(3):
            for server in rig.servers.values():
                server.fault(op="put", fault="slow", ms=1000, count=0)
            pid = m.pid
            for n in range(4 * rounds, 4 * rounds + 4):
                write_file(m.path("d", f"f{n}"), content(n))
                with open(m.path("log"), "ab") as f:  # twice would show
                    f.write(b"%d\n" % n)
            m.kill9(pid)
            m = rig.mount("close=staged", directory=m.dir)
            check(m.path("d"), range(4 * rounds + 4))
            m.kill9()
            for server in rig.servers.values():
                server.clear()
            m = rig.mount("close=staged", directory=m.dir)
            check(m.path("d"), range(4 * rounds + 4))
            assert m.status()["counters"]["staged_conflicts"] == 0
        lines = read_file(m.path("log")).split()
        assert lines == [b"%d" % n for n in range(12)], lines
        assert sorted(os.listdir(m.dir)) == ["d", "log"], os.listdir(m.dir)
        m.umount()
        m = rig.mount(directory=m.dir, cache=os.path.join(rig.tmp, "elsewhere"))
        check(m.path("d"), range(12))


def test_others_see_no_name_before_its_contents():
    """A file is written aside and renamed: who sees the new name sees what was written."""
    with Rig("standin") as rig:
        m, other = rig.mount("close=staged"), rig.mount(cache=os.path.join(rig.tmp, "other"))
        write_file(m.path("file"), b"old", sync=True)
        wait_until(lambda: os.path.exists(other.path("file")) and read_file(other.path("file")) == b"old", "the other mount follows")
        for server in rig.servers.values():
            server.fault(op="put", fault="slow", ms=300, count=0)
        write_file(m.path("tmp"), content(3))
        os.rename(m.path("tmp"), m.path("file"))
        assert read_file(m.path("file")) == content(3)
        seen = []

        def new():
            seen.append(read_file(other.path("file")))
            assert seen[-1] in (b"old", content(3)), f"{len(seen[-1])} bytes"
            return seen[-1] == content(3)
        wait_until(new, "the other mount sees it")


def test_a_fsync_still_means_the_stores():
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        with open(m.path("f"), "wb") as f:
            f.write(content(3))
            f.flush()
            os.fsync(f.fileno())
        m.kill9()
        other = rig.mount(cache=os.path.join(rig.tmp, "other"))
        assert read_file(other.path("f")) == content(3)


def test_a_store_is_down_for_the_whole_run():
    with Rig("standin") as rig:
        rig.servers["google"].fault(op="any", fault="refuse", count=0)
        m = rig.mount("close=staged")
        write_some(m, "d")
        m.umount()
        m = rig.mount("close=staged", directory=m.dir)
        check(m.path("d"), range(8))
        rig.servers["google"].clear()
        m.wait_healthy()


def test_others_changed_the_same_names():
    """What was staged and cannot be done any more is reported, and contents are kept."""
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        os.mkdir(m.path("d"))
        write_file(m.path("gone"), b"as it was", sync=True)
        for server in rig.servers.values():
            server.fault(op="put", fault="slow", ms=3000, count=0)
        pid = m.pid
        write_file(m.path("d", "new"), content(1))
        write_file(m.path("gone"), content(2))
        write_file(m.path("mine"), content(0))
        m.kill9(pid)
        for server in rig.servers.values():
            server.clear()
        other = rig.mount(cache=os.path.join(rig.tmp, "other"))
        write_file(other.path("mine"), b"theirs")
        os.unlink(other.path("gone"))
        other.umount()
        m = rig.mount("close=staged", directory=m.dir)
        assert read_file(m.path("d", "new")) == content(1)
        assert read_file(m.path("mine")) == b"theirs"
        assert not os.path.exists(m.path("gone"))
        kept = {read_file(m.path("lost+found", name)) for name in os.listdir(m.path("lost+found"))}
        assert kept == {content(0), content(2)}, [len(k) for k in kept]
        counters = m.status()["counters"]
        assert counters["staged_conflicts"] == 2 and counters["staged_lost"] == 0, counters
        assert "2 changes of an earlier mount met those of others" in rig.run("status", m.dir).stdout
        m.wait_healthy()


def test_a_damaged_log_costs_what_it_hits_and_says_so():
    with Rig("standin") as rig:
        m = rig.mount("close=staged")
        os.mkdir(m.path("d"))
        for server in rig.servers.values():
            server.fault(op="put", fault="slow", ms=3000, count=0)
        pid = m.pid
        for n in range(3):
            write_file(m.path("d", f"f{n}"), content(2))
        m.kill9(pid)
        for server in rig.servers.values():
            server.clear()
        chunks = next(os.path.join(m.cache, "staged", n) for n in os.listdir(os.path.join(m.cache, "staged")) if n.startswith("c-"))
        with open(chunks, "r+b") as f:  # the first of three
            f.seek(5000)
            f.write(b"damage")
        out = rig.run("status", "--staged", "--cache-dir", m.cache, check=False)
        assert out.returncode == 4 and "damaged" in out.stdout, out
        m = rig.mount("close=staged", directory=m.dir)
        assert read_file(m.path("d", "f0")) == b""
        for n in (1, 2):
            assert read_file(m.path("d", f"f{n}")) == content(2)
        assert m.status()["counters"]["staged_lost"] == 1
        m.wait_healthy()


def test_a_slow_store_gets_its_copies_from_the_staging_log():
    """Without close=staged, too: what is beyond the memory for late copies waits on the disk, and nothing is lacking."""
    with Rig("standin") as rig:
        m = rig.mount("memory=256M")
        rig.servers["google"].fault(op="put", fault="slow", bytes_per_s=1_000_000, ms=0, count=0)
        os.mkdir(m.path("d"))
        for n in range(12):
            write_file(m.path("d", f"f{n}"), pattern(n, 8 << 20))
        st = m.status()
        assert st["pending"]["staged_chunks"] > 2, st["pending"]
        assert any(n.startswith("c-") for n in os.listdir(os.path.join(m.cache, "staged")))
        assert m.store("google")["deficit_chunks"] == 0, st
        rig.servers["google"].clear()
        m.wait_healthy()
        assert not [n for n in os.listdir(os.path.join(m.cache, "staged")) if n.startswith("c-")]
        replicas = os.getxattr(m.path("d", "f11"), "user.mangrove.replicas").decode()
        assert "google=1/1" in replicas, replicas


def test_a_full_log_gives_up_late_copies_first():
    """A store far slower than the writer for the whole run: what does not fit the log lacks there, and the writer goes on."""
    with Rig("standin") as rig:
        m = rig.mount("close=staged,memory=256M,cache_size=256M")
        rig.servers["google"].fault(op="put", fault="slow", bytes_per_s=500_000, ms=0, count=0)
        os.mkdir(m.path("d"))
        for n in range(40):
            write_file(m.path("d", f"f{n}"), pattern(n, 4 << 20))
        wait_until(lambda: m.store("google")["deficit_chunks"] > 0, "late copies make room")
        staged = os.path.join(m.cache, "staged")
        assert sum(os.path.getsize(os.path.join(staged, n)) for n in os.listdir(staged) if n.startswith("c-")) <= 65 << 20
        rig.servers["google"].clear()
        m.wait_healthy()
        for n in range(40):
            assert read_file(m.path("d", f"f{n}")) == pattern(n, 4 << 20)


def test_two_daemons_on_one_folder():
    with Rig() as rig:
        m = rig.mount("close=staged")
        out = rig.mount("close=staged", cache=m.cache, check=False)
        assert out.returncode == 1 and "in use by another mount" in out.stderr, out
        m.kill9()
        rig.mount("close=staged", directory=m.dir)


def test_a_full_disk_sends_closes_to_the_stores():
    """The cache's disk is a small one and full: files still close, and are at the stores then."""
    with Rig() as rig:
        cache = os.path.join(rig.tmp, "small")
        os.mkdir(cache)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256m", "none", cache], capture_output=True).returncode:
            raise Skip("a small filesystem cannot be mounted here")
        m = rig.mount("close=staged", cache=cache)
        free = os.statvfs(cache)
        with open(os.path.join(cache, "filler"), "wb") as f:
            os.posix_fallocate(f.fileno(), 0, max(0, (free.f_bavail - free.f_blocks // 5) * free.f_frsize))
        write_some(m, "d")
        m.kill9()
        other = rig.mount(cache=os.path.join(rig.tmp, "other"))
        check(other.path("d"), range(8))


if __name__ == "__main__":
    main()
