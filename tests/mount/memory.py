#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The memory budget holds: 64 streams at once, and the daemon stays within `memory=` + 64 MiB."""

import os
import shutil
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, pattern  # noqa: E402

BUDGET_MIB = 256
STREAMS = 64
STREAM_MIB = int(os.environ.get("MANGROVE_TEST_STREAM_MIB", "8"))
ALLOWED_KIB = (BUDGET_MIB + 64) * 1024


def memory_kib(pid, what):
    with open(f"/proc/{pid}/status") as f:
        return next(int(line.split()[1]) for line in f if line.startswith(what))


def peak_starts_now(pid):
    with open(f"/proc/{pid}/clear_refs", "w") as f:
        f.write("5")


def all_at_once(work):
    """Runs work(i) in STREAMS threads; the first error is raised."""
    errors = []

    def run(i):
        try:
            work(i)
        except Exception as e:  # told by the main thread
            errors.append(e)
    threads = [threading.Thread(target=run, args=(i,)) for i in range(STREAMS)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if errors:
        raise errors[0]


def within_budget(m, what):
    pid = m.pid
    peak, now = memory_kib(pid, "VmHWM"), memory_kib(pid, "VmRSS")
    print(f"   {what}: peak {peak // 1024} MiB, then {now // 1024} MiB, of {BUDGET_MIB} + 64 MiB")
    assert peak <= ALLOWED_KIB, f"{what}: {peak} KiB"


def streams(rig):
    blocks = [pattern(("m", i), 1 << 20) for i in range(8)]

    def write(i):
        with open(m.path(f"f{i}"), "wb", buffering=0) as f:
            for n in range(STREAM_MIB):
                f.write(blocks[(i + n) % len(blocks)])
            os.fsync(f.fileno())

    def read(i):
        with open(m.path(f"f{i}"), "rb", buffering=0) as f:
            for n in range(STREAM_MIB):
                assert f.read(1 << 20) == blocks[(i + n) % len(blocks)], f"f{i}: wrong bytes"

    m = rig.mount(f"memory={BUDGET_MIB}M")
    all_at_once(write)
    within_budget(m, "writes")
    m.umount()
    shutil.rmtree(m.cache)
    m = rig.mount(f"memory={BUDGET_MIB}M")
    all_at_once(read)
    within_budget(m, "reads from the stores")
    m.umount()
    m = rig.mount(f"memory={BUDGET_MIB}M")
    peak_starts_now(m.pid)
    all_at_once(read)
    within_budget(m, "reads from the cache")
    all_at_once(lambda i: (read if i % 2 else write)(i))
    within_budget(m, "both")
    m.wait_healthy()


def test_folders():
    with Rig() as rig:
        streams(rig)


def test_servers():
    """Over HTTP: bodies are in memory on their way."""
    with Rig("standin") as rig:
        streams(rig)


if __name__ == "__main__":
    main()
