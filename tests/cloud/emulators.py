#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# time limit: 1800 s
"""A volume on real servers of the three dialects: versitygw, Azurite, fake-gcs-server.

MANGROVE_TEST_LARGE=1: 1 GiB and 5,000 files, instead of 40 MiB and 150. Small files go together into segments, so that
fake-gcs-server, which searches a list for every object, keeps up."""

import contextlib
import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, halt, main, pattern, read_file, tree_digest, wait_until, write_file  # noqa: E402
from workload import Workload  # noqa: E402

LARGE = os.environ.get("MANGROVE_TEST_LARGE") == "1"
BIG_MIB, FILES = (1024, 5000) if LARGE else (40, 150)
LIMIT_S = 900  # a kernel, three servers and two cores


def write_tree(top):
    """A large file, many small ones in folders, links, and what programs do to files."""
    with open(os.path.join(top, "large"), "wb") as f:
        for i in range(BIG_MIB // 8):
            f.write(pattern(i, 8 << 20))
    for i in range(FILES):
        folder = os.path.join(top, f"d{i % 10}")
        os.makedirs(folder, exist_ok=True)
        write_file(os.path.join(folder, f"f{i}"), pattern(i, i * 997 % 50000))
    os.symlink("../d1/f1", os.path.join(top, "d0", "link"))
    os.rename(os.path.join(top, "d2"), os.path.join(top, "renamed"))
    os.unlink(os.path.join(top, "d3", "f3"))
    with open(os.path.join(top, "large"), "r+b") as f:
        f.seek(5 << 20)
        f.write(pattern("middle", 100000))


def test_written_and_read_back():
    with Rig("emulators") as rig:
        m = rig.mount()
        write_tree(m.dir)
        before = tree_digest(m.dir)
        m.wait_healthy(LIMIT_S)
        m.umount()
        m = rig.mount(cache=os.path.join(rig.tmp, "cache2"))  # an empty cache
        assert tree_digest(m.dir) == before, "another tree after the next mount"
        assert m.status()["counters"]["lost_operations"] == 0
        m.umount()


def test_two_mounts():
    with Rig("emulators") as rig:
        one = rig.mount()
        two = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
        for i in range(5):
            data = pattern(("shared", i), 200000)
            write_file(one.path(f"f{i}"), data)
            # the name may be seen before the contents: it is created first, and closed later
            wait_until(lambda: os.path.exists(two.path(f"f{i}")) and read_file(two.path(f"f{i}")) == data,
                       "the other mount sees the file")
        two.umount()
        one.umount()


@contextlib.contextmanager
def at_work(mount):
    """Programs at work, before and after what happens inside; none sees an error."""
    w = Workload(mount.path("work"))
    os.mkdir(w.top)
    w.start()
    time.sleep(1)
    w.forget_longest()
    yield w
    time.sleep(2)
    w.stop()
    print(f"   {w.calls} calls, {len(w.files)} files, longest wait {w.longest:.2f} s ({w.slowest})", flush=True)
    assert not w.errors, w.errors[:5]
    w.check()


def check_again(rig, mount, work):
    """After the healing, and from an empty cache."""
    mount.wait_healthy(LIMIT_S)
    assert mount.status()["counters"]["lost_operations"] == 0
    mount.umount()
    again = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
    work.check(again.path("work"))
    again.umount()


def frozen(name):
    with Rig("emulators") as rig:
        m = rig.mount()
        with at_work(m) as w:
            halt(rig.emulators[name].pid)
            try:
                time.sleep(6)
                assert not w.errors, w.errors[:5]
            finally:
                os.kill(rig.emulators[name].pid, signal.SIGCONT)
        check_again(rig, m, w)


def test_versitygw_hangs():
    frozen("aws")


def test_azurite_hangs():
    frozen("azure")


def test_fakegcs_hangs():
    frozen("google")


def test_versitygw_is_killed_and_comes_back():
    """On the same port and data: what it acknowledged is there, what it was just told perhaps."""
    with Rig("emulators") as rig:
        m = rig.mount()
        with at_work(m) as w:
            server = rig.emulators["aws"]
            os.kill(server.pid, signal.SIGKILL)
            wait_until(lambda: m.store("aws")["state"] == "down", "the dead store is shown as down")
            time.sleep(2)
            rig.start_emulator("aws", server.server, server.port)
        check_again(rig, m, w)


def test_azurite_loses_what_it_acknowledged():
    """Killed in the middle of work it forgets its last seconds, though it said that they were stored."""
    with Rig("emulators") as rig:
        m = rig.mount()
        time.sleep(7)  # its tables are saved every five seconds: the container is to survive
        with at_work(m) as w:
            server = rig.emulators["azure"]
            time.sleep(3)
            os.kill(server.pid, signal.SIGKILL)
            wait_until(lambda: m.store("azure")["state"] == "down", "the dead store is shown as down")
            rig.start_emulator("azure", server.server, server.port)
        wait_until(lambda: m.store("azure")["state"] in ("healthy", "slow"), "the store is back")
        m.umount()
        again = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
        w.check(again.path("work"))
        again.umount()


if __name__ == "__main__":
    main()
