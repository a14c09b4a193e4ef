#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""A file that another machine removes or replaces stays readable where it is open; what nobody has open any more is freed."""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern, wait_until, write_file  # noqa: E402

SIZE = 3 << 20
GRACE_S = 3


def two_mounts(rig):
    options = f"orphan_grace={GRACE_S}s"
    return rig.mount(options), rig.mount(options, cache=os.path.join(rig.tmp, "cache-second"))


def bytes_of(mount):
    return mount.status()["namespace"]["bytes"]


def test_it_stays_while_it_is_open_elsewhere():
    with Rig() as rig:
        first, second = two_mounts(rig)
        write_file(first.path("model"), pattern("old", SIZE), sync=True)
        wait_until(lambda: os.path.exists(second.path("model")), "the other mount sees it")
        with open(second.path("model"), "rb", buffering=0) as f:
            write_file(first.path("new"), pattern("new", 1000), sync=True)
            os.replace(first.path("new"), first.path("model"))
            wait_until(lambda: os.path.getsize(second.path("model")) == 1000, "the other mount sees the new one")
            end = time.monotonic() + 3 * GRACE_S
            while time.monotonic() < end:
                for off in range(0, SIZE, 1 << 20):
                    os.posix_fadvise(f.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
                    assert os.pread(f.fileno(), 1 << 20, off) == pattern("old", SIZE)[off:off + (1 << 20)]
            assert bytes_of(first) == SIZE + 1000
        wait_until(lambda: bytes_of(first) == 1000, "its bytes are freed")


def test_it_is_freed_when_nobody_says_that_it_is_open():
    with Rig() as rig:
        first, second = two_mounts(rig)
        write_file(first.path("file"), pattern(1, SIZE), sync=True)
        os.unlink(first.path("file"))
        wait_until(lambda: bytes_of(second) == 0, "its bytes are freed")


def test_alone_it_is_freed_at_once():
    with Rig() as rig:
        first = rig.mount("orphan_grace=1h")
        with open(first.path("file"), "w+b") as f:
            f.write(pattern(1, SIZE))
            f.flush()
            os.fsync(f.fileno())
            os.unlink(first.path("file"))
            f.seek(0)
            assert f.read() == pattern(1, SIZE)
        wait_until(lambda: bytes_of(first) == 0, "its bytes are freed")


if __name__ == "__main__":
    main()
