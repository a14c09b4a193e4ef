#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The speed of a mount beside yardsticks, in one run on one machine: raw curl against the same servers, and libfuse's
passthrough_ll. Prints one table; ratios are what counts.

    MANGROVE_BUILD=build tests/bench/run.py [--quick] [--mib N] [NAME...]

The servers are our own (tests/lib/web*.c) in the GCS dialect: real emulators would be what is measured. Needs curl, a C
compiler and libfuse's examples (package libfuse3-dev). Cores are shared by programs, mount and servers: run it on an idle machine."""

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, is_mounted, program, wait_until  # noqa: E402
from standin import Standin  # noqa: E402

MiB = 1 << 20
PASSTHROUGH = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"


class BenchRig(Rig):
    """A volume on three servers without authentication, so that curl can speak to them as well."""

    def _file_stores(self):
        self.servers = {n: self.stack.enter_context(Standin("gcs", "--bucket", "mangrove", program=program("mangrove-standin")))
                        for n in ("one", "two", "three")}
        return {n: f"gs://mangrove/v?endpoint=http://127.0.0.1:{s.port}&anonymous=true" for n, s in self.servers.items()}

    def url(self, name, key):
        return f"http://127.0.0.1:{self.servers[name].port}/storage/v1/b/mangrove/o/{key}?alt=media"

    def upload_url(self, name, key):
        return f"http://127.0.0.1:{self.servers[name].port}/upload/storage/v1/b/mangrove/o?uploadType=media&name={key}"


class Table:
    def __init__(self):
        self.rows = []

    def add(self, what, unit, ours, yardstick, other, goal, lower=False):
        ratio = (ours / other) if other else None
        self.rows.append((what, unit, ours, yardstick, other, ratio, goal, lower))
        self.show(self.rows[-1])

    @staticmethod
    def show(row):
        what, unit, ours, yardstick, other, ratio, goal, lower = row
        ok = "" if ratio is None or goal is None else ("yes" if (ratio <= goal if lower else ratio >= goal) else "NO")
        sign = "<=" if lower else ">="
        print(f"{what:34} {ours:10.1f} {unit:7} {yardstick:30} {other or 0:10.1f}  {ratio or 0:6.2f} "
              f"{sign + ' ' + format(goal, '.2f') if goal else '':8} {ok}", flush=True)


def timed(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def drop_page_cache():
    with open("/proc/sys/vm/drop_caches", "w") as f:
        f.write("1")


def read_all(path, direct=False):
    fd = os.open(path, os.O_RDONLY)
    buf = bytearray(MiB)
    try:
        while os.readv(fd, [buf]):
            pass
    finally:
        os.close(fd)


def write_all(path, size):
    block = os.urandom(MiB)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    try:
        for _ in range(size // MiB):
            os.write(fd, block)
    finally:
        os.close(fd)


def curl(*arguments):
    subprocess.run(["curl", "-sS", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)


def curl_ranges(url, size, parallel=8, part=MiB):
    """One curl process, `parallel` transfers at a time, over kept-alive connections."""
    config = "".join(f'url = "{url}"\nrange = {at}-{min(at + part, size) - 1}\noutput = /dev/null\n' + "next\n"
                     for at in range(0, size, part))
    subprocess.run(["curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", str(parallel), "-K", "-"],
                   input=config.removesuffix("next\n"), text=True, check=True, stdout=subprocess.DEVNULL)


def best(n, call):
    return min(timed(call) for _ in range(n))


# ---- contents ----

def bench_sequential(table, a):
    size = a.mib * MiB
    with BenchRig() as rig:
        sample = os.path.join(rig.tmp, "sample")
        write_all(sample, size)
        m = rig.mount()
        ours = timed(lambda: write_all(m.path("f"), size))
        chunk = os.path.join(rig.tmp, "chunk")
        write_all(chunk, 8 * MiB)

        def three_curls():
            """The same bytes in 8 MiB objects to three servers, each by one curl process with four transfers at a time."""
            runs = []
            for n in rig.servers:
                config = "next\n".join(f'url = "{rig.upload_url(n, f"raw{i}")}"\nrequest = POST\nupload-file = "{chunk}"\noutput = /dev/null\n'
                                       f'header = "Content-Type: application/octet-stream"\nheader = "Expect:"\n'
                                       for i in range(size // (8 * MiB)))
                p = subprocess.Popen(["curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", "4", "-K", "-"],
                                     stdin=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
                p.stdin.write(config)
                p.stdin.close()
                runs.append(p)
            assert all(p.wait() == 0 for p in runs)
        other = timed(three_curls)
        table.add("sequential write, 3 stores", "MiB/s", a.mib / ours, "3 parallel curls", a.mib / other, 0.7)
        rig.run("sync", m.dir, "--all")
        m.umount()
        shutil.rmtree(m.cache)
        curl("-X", "POST", "-T", sample, "-H", "Content-Type: application/octet-stream", "-H", "Expect:",
             rig.upload_url("one", "whole"))
        m = rig.mount()
        ours = timed(lambda: read_all(m.path("f")))
        other = best(2, lambda: curl_ranges(rig.url("one", "whole"), size))
        table.add("sequential read, cold", "MiB/s", a.mib / ours, "curl, 8 parallel ranges", a.mib / other, 0.7)

        def is_cached():
            """A busy machine keeps what it has time for; what it missed is read once more."""
            if m.status()["cache"]["bytes"] >= size:
                return True
            drop_page_cache_of(m.path("f"))
            read_all(m.path("f"))
            return False
        wait_until(is_cached, "the cache on disk", step=2)
        m.umount()
        m = rig.mount()
        with passthrough(rig) as (top, below):
            shutil.copyfile(sample, os.path.join(below, "sample"))

            def once(path):
                drop_page_cache_of(path)
                return timed(lambda: read_all(path))
            once(m.path("f"))
            ours = min(once(m.path("f")) for _ in range(3))
            other = min(once(os.path.join(top, "sample")) for _ in range(3))
            table.add("sequential read, warm", "MiB/s", a.mib / ours, "passthrough_ll", a.mib / other, 0.8)


def drop_page_cache_of(path):
    """This file's pages only: the yardstick's backing file and our pieces stay where they are."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


@contextlib.contextmanager
def passthrough(rig):
    """libfuse's own example over a local folder, with its caching on."""
    binary, top, below = (os.path.join(rig.tmp, n) for n in ("passthrough_ll", "pass", "below"))
    flags = subprocess.run(["pkg-config", "--cflags", "--libs", "fuse3"], capture_output=True, text=True, check=True).stdout.split()
    subprocess.run(["cc", "-O2", "-w", PASSTHROUGH, "-o", binary, "-I", os.path.dirname(PASSTHROUGH), *flags], check=True)
    os.mkdir(top)
    os.mkdir(below)
    p = subprocess.Popen([binary, "-f", "-o", f"source={below},cache=always,timeout=60", top])
    try:
        wait_until(lambda: is_mounted(top), "passthrough_ll")
        yield top, below
    finally:
        subprocess.run(["umount", top])
        p.wait(30)


# ---- small ----

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


BENCHES = {"sequential": bench_sequential, "fsync": bench_fsync, "metadata": bench_metadata, "slow_store": bench_slow_store}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*", help="of " + ", ".join(BENCHES))
    p.add_argument("--quick", action="store_true")
    p.add_argument("--mib", type=int, default=1024)
    a = p.parse_args()
    a.files, a.fsyncs = 5000, 100
    if a.quick:
        a.mib, a.files, a.fsyncs = 128, 1000, 20
    print(f"{'what':34} {'mangrove':>10} {'':7} {'yardstick':30} {'':10}  {'ratio':>6} {'goal':8} met")
    table = Table()
    for name in a.names or BENCHES:
        BENCHES[name](table, a)


if __name__ == "__main__":
    main()
