#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Two stores of three are away: reads go on, writes wait and can be interrupted, end with EIO after the deadline; nothing that
was acknowledged is lost when they return, and writing goes on by itself."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, halt, main, pattern, read_file, wait_until, write_file  # noqa: E402


def stop(rig, *names):
    for n in names:
        halt(rig.servers[n].process.pid)


def go_on(rig, *names):
    for n in names:
        os.kill(rig.servers[n].process.pid, signal.SIGCONT)


def try_write(path):
    try:
        write_file(path, b"x" * 100000, sync=True)
        return None
    except OSError as e:
        return e.errno


def run(away):
    with Rig("standin") as rig:
        m = rig.mount("deadline=8s")
        for i in range(10):
            write_file(m.path(f"f{i}"), pattern(i, 200000), sync=True)
        rig.run("sync", m.dir, "--all")
        stop(rig, *away)
        try:
            for i in range(10):
                assert read_file(m.path(f"f{i}")) == pattern(i, 200000)
            error = try_write(m.path("late"))
            assert error == errno.EIO, f"a write without a quorum ended with {error}"
            # Interruptible: a program that waits ends at once when it is killed.
            child = subprocess.Popen([sys.executable, "-c", f"import os; f=os.open({m.path('killed')!r}, 65); os.write(f, b'y'*99999); os.fsync(f)"])
            time.sleep(1)
            child.send_signal(signal.SIGKILL)
            child.wait(5)
        finally:
            go_on(rig, *away)
        wait_until(lambda: try_write(m.path("again")) is None, "writing goes on")
        for i in range(10):
            assert read_file(m.path(f"f{i}")) == pattern(i, 200000)
        m.wait_healthy()
        m.umount()
        again = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
        assert read_file(again.path("again")) == b"x" * 100000
        for i in range(10):
            assert read_file(again.path(f"f{i}")) == pattern(i, 200000)


def test_two_hang():
    run(("azure", "google"))


def test_the_other_two_hang():
    run(("aws", "azure"))


def test_two_folders_are_moved_away():
    """Folders as stores: what waits goes on when they are back, and is EIO when they are not."""
    with Rig() as rig:
        m = rig.mount("deadline=20s")
        write_file(m.path("before"), pattern("b", 200000), sync=True)
        rig.run("sync", m.dir, "--all")
        away = [(rig.folder(n), rig.folder(n) + ".away") for n in ("azure", "google")]
        for folder, other in away:
            os.rename(folder, other)
        assert read_file(m.path("before")) == pattern("b", 200000)
        answers = []
        writer = threading.Thread(target=lambda: answers.append(try_write(m.path("waits"))))
        writer.start()
        writer.join(3)
        assert writer.is_alive(), f"a write without a quorum did not wait: {answers}"
        for folder, other in away:
            os.rename(other, folder)
        writer.join(60)
        assert answers == [None], f"it ended with {answers}, though the folders came back"
        m.wait_healthy()
        m.umount()
        m = rig.mount("deadline=3s")
        for folder, other in away:
            os.rename(folder, other)
        assert try_write(m.path("late")) == errno.EIO
        for folder, other in away:
            os.rename(other, folder)
        wait_until(lambda: try_write(m.path("again")) is None, "writing goes on")
        assert read_file(m.path("waits")) == b"x" * 100000
        m.wait_healthy()
        m.umount()


def test_all_hang_and_umount_ends():
    """No store at all: a read of what is cached works, umount says what is left instead of hanging."""
    with Rig("standin") as rig:
        m = rig.mount("deadline=5s")
        write_file(m.path("f"), b"small", sync=True)
        stop(rig, *rig.servers)
        try:
            assert read_file(m.path("f")) == b"small"
            fd = os.open(m.path("f"), os.O_WRONLY)
            os.write(fd, b"dirty")
            try:
                os.close(fd)
                raise AssertionError("close succeeded without a store")
            except OSError as e:
                assert e.errno == errno.EIO, e
            out = subprocess.run([rig.mangrove, "umount", m.dir, "--timeout", "5s"], env=rig.env,
                                 capture_output=True, text=True, timeout=100)
            assert out.returncode != 0 and out.stderr.strip(), out
        finally:
            go_on(rig, *rig.servers)
        m.umount()
        again = rig.mount()
        assert read_file(again.path("f")) == b"dirty"


if __name__ == "__main__":
    main()
