#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The daemon is killed at random moments under writers that note what was acknowledged; after the next mount all of it is there and
nothing is half visible. MANGROVE_TEST_CRASHES=200 for the long run."""

import contextlib
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, read_file, write_file  # noqa: E402

CRASHES = int(os.environ.get("MANGROVE_TEST_CRASHES", "15"))


class Noter(threading.Thread):
    """Writes until the mount dies. What was acknowledged is in `done`; what was under way is in `doing`."""

    def __init__(self, top, me):
        super().__init__(daemon=True)
        self.top, self.me, self.done, self.doing, self.n = top, me, {}, {}, 0

    def run(self):
        with contextlib.suppress(OSError):
            while True:
                self.step()
                self.n += 1

    def put(self, name, data, sync):
        self.doing[name] = data
        fd = os.open(os.path.join(self.top, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            for at in range(0, len(data), 65536):
                os.write(fd, data[at:at + 65536])
            if sync:
                os.fsync(fd)
                self.done[name] = data
        finally:
            os.close(fd)
        self.done[name] = data
        self.doing.pop(name)

    def step(self):
        raise NotImplementedError


class NewFiles(Noter):
    def step(self):
        size = random.Random(self.n).choice([5, 1000, 20000, 100000, 1000000])
        self.put(f"{self.me}-new-{self.n}", pattern((self.me, self.n), size), sync=self.n % 2)


class Overwrites(Noter):
    """One name, overwritten in place: old or new, never anything else."""

    def step(self):
        self.put(f"{self.me}-over", pattern((self.me, self.n), 10000 + (self.n * 7919) % 200000), sync=self.n % 2)


class Replaces(Noter):
    """Written aside, fsync'd, renamed, the folder fsync'd: the idiom of every careful program."""

    def step(self):
        name, data = f"{self.me}-replaced", pattern((self.me, "r", self.n), 30000)
        tmp = name + ".tmp"
        self.put(tmp, data, sync=True)
        self.done.pop(tmp)
        self.doing[name] = data
        os.rename(os.path.join(self.top, tmp), os.path.join(self.top, name))
        fd = os.open(self.top, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
        self.done[name] = data
        self.doing.pop(name)


def check(top, noters):
    for w in noters:
        for name, data in w.done.items():
            got = read_file(os.path.join(top, name))
            allowed = [data] + ([w.doing[name]] if name in w.doing else [])
            assert got in allowed, f"{name}: {len(got)} bytes, neither what was acknowledged nor what was under way"
        for name, data in w.doing.items():  # half visible?
            path = os.path.join(top, name)
            if name not in w.done and os.path.exists(path):
                got = read_file(path)
                assert got in (b"", data), f"{name} is half there: {len(got)} of {len(data)} bytes"


def crash(rig, mount, n):
    top = mount.path(f"crash{n}")
    os.mkdir(top)
    fd = os.open(mount.dir, os.O_RDONLY)
    os.fsync(fd)
    os.close(fd)
    pid = mount.pid  # now: to ask later would close copies of open files, and a close makes half a file visible
    noters = [NewFiles(top, "a"), NewFiles(top, "b"), Overwrites(top, "c"), Replaces(top, "d")]
    for w in noters:
        w.start()
    time.sleep(random.uniform(0.05, 1.0))
    mount.kill9(pid)
    for w in noters:
        w.join(60)
        assert not w.is_alive(), "a program hangs on a dead mount"
    again = rig.mount(directory=mount.dir)
    check(os.path.join(again.dir, f"crash{n}"), noters)
    return again, sum(len(w.done) for w in noters)


def test_killed_at_random_moments():
    with Rig() as rig:
        m, total = rig.mount(), 0
        for n in range(CRASHES):
            m, done = crash(rig, m, n)
            total += done
        print(f"   {CRASHES} crashes, {total} acknowledged files, all there")
        m.wait_healthy()
        m.umount()


def test_killed_with_another_mount_going_on():
    """The survivor takes the tip over and both agree afterwards."""
    with Rig() as rig:
        a = rig.mount()
        b = rig.mount(cache=os.path.join(rig.tmp, "cache-b"))
        write_file(a.path("f"), b"from a", sync=True)
        a.kill9()
        write_file(b.path("g"), b"from b", sync=True)
        assert read_file(b.path("f")) == b"from a"
        a = rig.mount(directory=a.dir)
        assert read_file(a.path("g")) == b"from b"


def test_unsent_copies_of_a_killed_mount_are_made():
    """Killed while the third store has not got its copies: the next mount fences the dead one, finds what lacks, and makes it."""
    with Rig("standin") as rig:
        m = rig.mount()
        pid = m.pid
        rig.servers["google"].fault(op="put", match="/c/", fault="stall", ms=60000, count=0)
        for i in range(5):
            write_file(m.path(f"f{i}"), pattern(i, 200000), sync=True)
        m.kill9(pid)
        rig.servers["google"].clear()
        m = rig.mount(directory=m.dir)
        m.wait_healthy()
        for i in range(5):
            text = os.getxattr(m.path(f"f{i}"), "user.mangrove.replicas").decode()
            assert text == "aws=1/1 azure=1/1 google=1/1", text


def test_truncated_but_not_closed():
    """open(O_TRUNC), write, kill before close: the old contents."""
    with Rig() as rig:
        m = rig.mount()
        old, new = pattern("old", 300000), pattern("new", 200000)
        write_file(m.path("f"), old)
        pid = m.pid
        fd = os.open(m.path("f"), os.O_WRONLY | os.O_TRUNC)
        os.write(fd, new)
        time.sleep(3)  # longer than anything is kept back for
        assert read_file(m.path("f")) == new
        m.kill9(pid)
        with contextlib.suppress(OSError):
            os.close(fd)
        m = rig.mount(directory=m.dir)
        assert read_file(m.path("f")) == old


def test_terminated_politely():
    """SIGTERM: what was written is stored before the daemon ends."""
    with Rig() as rig:
        m = rig.mount()
        pid = m.pid
        fd = os.open(m.path("f"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x" * 100000)
        os.kill(pid, signal.SIGTERM)
        end = time.monotonic() + 60
        while os.path.exists(f"/proc/{pid}") and time.monotonic() < end:
            time.sleep(0.1)
        with contextlib.suppress(OSError):
            os.close(fd)
        rig.mounts.remove(m)
        rig.dead.append(m.dir)
        m = rig.mount(directory=m.dir)
        assert read_file(m.path("f")) == b"x" * 100000


if __name__ == "__main__":
    main()
