#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The speed of a mount beside yardsticks, in one run on one machine: raw curl against the same servers, and libfuse's
passthrough_ll. Prints one table; ratios are what counts.

    MANGROVE_BUILD=build tests/bench/run.py [--quick] [--mib N] [NAME...]

The servers are our own (tests/lib/web*.c) in the GCS dialect: real emulators would be what is measured. Needs curl, a C
compiler and libfuse's examples (package libfuse3-dev). Cores are shared by programs, mount and servers: run it on an idle machine."""

import argparse
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from contents import bench_cold, bench_distant, bench_warm, bench_write  # noqa: E402
from yard import BenchRig, MiB, Table, favour, passthrough, timed, write_all  # noqa: E402


def bench_fsync(table, a):
    """p50 of a 4 KiB write and fsync, in round trips of 20 ms."""
    with BenchRig() as rig:
        m = rig.mount()
        fd = os.open(m.path("f"), os.O_WRONLY | os.O_CREAT)
        os.write(fd, b"x" * 4096)
        os.fsync(fd)
        for s in rig.servers.values():
            s.fault(op="any", fault="slow", ms=20, count=0)
        took = []
        for _ in range(a.fsyncs):
            begin = time.monotonic()
            os.write(fd, b"x" * 4096)
            os.fsync(fd)
            took.append(time.monotonic() - begin)
        os.close(fd)
        for s in rig.servers.values():
            s.clear()
        table.add("4 KiB write+fsync, p50", "ms", statistics.median(took) * 1000, "a round trip", 20.0, 1.5, lower=True)


def metadata(top, n):
    """Operations a second on n files in one folder."""
    d = os.path.join(top, "many")
    os.mkdir(d)
    names = [os.path.join(d, f"f{i}") for i in range(n)]
    moved = [os.path.join(d, f"g{i}") for i in range(n)]

    def create():
        for p in names:
            os.close(os.open(p, os.O_CREAT | os.O_EXCL | os.O_WRONLY))

    def stat():
        for p in names:
            os.stat(p)

    def rename():
        for x, y in zip(names, moved):
            os.rename(x, y)

    def unlink():
        for p in moved:
            os.unlink(p)
    result = {"create": n / timed(create)}
    stat()
    result["stat, warm"] = n / min(timed(stat) for _ in range(3))
    result["rename"] = n / timed(rename)
    result["unlink"] = n / timed(unlink)
    os.rmdir(d)
    return result


def bench_metadata(table, a):
    with BenchRig() as rig, passthrough(rig) as (top, _):
        m = rig.mount()
        ours = [metadata(m.dir, a.files) for _ in range(3)]
        other = [metadata(top, a.files) for _ in range(3)]
        for what, goal in (("create", 0.5), ("stat, warm", 0.9), ("rename", 0.5), ("unlink", 0.5)):
            table.add(f"{what}, {a.files} files", "op/s", statistics.median(r[what] for r in ours), "passthrough_ll",
                      statistics.median(r[what] for r in other), goal)


def bench_slow_store(table, a):
    """A third store of 20 MB/s must not slow a writer. Room for what it has not got yet: the write is short enough."""
    size = min(a.mib, 256) * MiB
    with BenchRig() as rig:
        m = rig.mount()
        write_all(m.path("warm"), 64 * MiB)
        rig.run("sync", m.dir, "--all")
        runs = {"before": [], "after": []}
        for i in range(3):  # by turns, so that the machine's moods meet both
            runs["before"].append(timed(lambda: write_all(m.path(f"a{i}"), size)))
            rig.run("sync", m.dir, "--all")
            rig.servers["three"].fault(op="put", fault="slow", bytes_per_s=20_000_000, ms=0, count=0)
            runs["after"].append(timed(lambda: write_all(m.path(f"b{i}"), size)))
            rig.servers["three"].clear()
            rig.run("sync", m.dir, "--all")
            m.wait_healthy()
        before, after = (statistics.median(runs[k]) for k in ("before", "after"))
        table.add("write beside a slow third store", "MiB/s", size / MiB / after, "without the slow one", size / MiB / before, 0.9)


def untar(archive, top):
    os.mkdir(top)
    seconds = timed(lambda: subprocess.run(["tar", "xf", archive, "-C", top], check=True))
    shutil.rmtree(top)  # passthrough_ll holds a descriptor for each file that it knows
    return seconds


def bench_staged(table, a):
    """Many small files with close=staged and 20 ms added to each store: the disk of this machine is what counts."""
    n = 2 * a.files
    with BenchRig() as rig, passthrough(rig) as (top, _):
        source, archive = os.path.join(rig.tmp, "source"), os.path.join(rig.tmp, "files.tar")
        os.mkdir(source)
        for i in range(n):
            with open(os.path.join(source, f"f{i}"), "wb") as f:
                f.write(os.urandom(8192))
        subprocess.run(["tar", "cf", archive, "-C", source, "."], check=True)
        for server in rig.servers.values():
            server.fault(op="any", fault="slow", ms=20, count=0)
        m = rig.mount("close=staged")
        runs = [(untar(archive, m.path(f"d{i}")), untar(archive, os.path.join(top, f"d{i}"))) for i in range(3)]
        ours, other = (statistics.median(times) for times in zip(*runs))
        table.add(f"untar of {n} files of 8 KiB, close=staged", "file/s", n / ours, "passthrough_ll", n / other, 1 / 3)


BENCHES = {"write": bench_write, "cold": bench_cold, "distant": bench_distant, "warm": bench_warm, "fsync": bench_fsync,
           "metadata": bench_metadata, "slow_store": bench_slow_store, "staged": bench_staged}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="of " + ", ".join(BENCHES))
    p.add_argument("--quick", action="store_true")
    p.add_argument("--mib", type=int)
    p.add_argument("--rounds", type=int)
    a = p.parse_args()
    a.mib = a.mib or (128 if a.quick else 1024)
    a.rounds = a.rounds or (1 if a.quick else 3)
    a.files, a.fsyncs = (1000, 20) if a.quick else (5000, 100)
    favour(os.getpid())
    print(Table.HEAD)
    table = Table()
    for name in a.names or BENCHES:
        BENCHES[name](table, a)
    print("load average: %.1f %.1f %.1f on %d cores" % (*os.getloadavg(), os.cpu_count()))


if __name__ == "__main__":
    main()
