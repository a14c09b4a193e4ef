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
from rig import Rig, main, pattern, read_file, wait_until, write_file  # noqa: E402

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


def delay(rig, seconds, *names):
    for name in names or rig.servers:
        rig.servers[name].fault(match="PUT", delay=seconds)


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


if __name__ == "__main__":
    main()
