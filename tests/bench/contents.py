# SPDX-License-Identifier: Apache-2.0
"""Contents of large files: written, read cold from the stores, read warm from the local cache."""

import argparse
import os
import shutil
import statistics
import subprocess

from yard import (BenchRig, MiB, children_s, curl, curl_ranges, drop_page_cache_of, favour, passthrough, processor_s, read_all,
                  read_streams, read_tensors, timed, wait_until, write_all)
from rig import Mount


def bench_write(table, a):
    size = a.mib * MiB
    with BenchRig() as rig:
        m = rig.mount()
        chunk = os.path.join(rig.tmp, "chunk")
        write_all(chunk, 8 * MiB)

        def three_curls(round_):
            """The same bytes in 8 MiB objects to three servers, each by one curl process with four transfers at a time."""
            runs = []
            for n in rig.servers:
                config = "next\n".join(f'url = "{rig.upload_url(n, f"raw{round_}-{i}")}"\nrequest = POST\nupload-file = "{chunk}"\n'
                                       'output = /dev/null\nheader = "Content-Type: application/octet-stream"\nheader = "Expect:"\n'
                                       for i in range(size // (8 * MiB)))
                p = subprocess.Popen(["curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", "4", "-K", "-"],
                                     stdin=subprocess.PIPE, text=True, stdout=subprocess.DEVNULL)
                p.stdin.write(config)
                p.stdin.close()
                runs.append(p)
            assert all(p.wait() == 0 for p in runs)
        ours, other = [], []
        for i in range(a.rounds):
            ours.append(timed(lambda: write_all(m.path(f"f{i}"), size)))
            rig.run("sync", m.dir, "--all")
            other.append(timed(lambda: three_curls(i)))
        table.add("sequential write, 3 stores", "MiB/s", a.mib / statistics.median(ours), "3 parallel curls",
                  a.mib / statistics.median(other), 0.7)


class Cold:
    """One file in a volume and one object in a bucket, the same bytes, and mounts that have read nothing yet."""

    def __init__(self, rig, a):
        self.rig, self.size, self.mounts = rig, a.mib * MiB, 0
        self.sample = os.path.join(rig.tmp, "sample")
        write_all(self.sample, self.size)
        m = rig.mount()
        shutil.copyfile(self.sample, m.path("f"))
        rig.run("sync", m.dir, "--all")
        m.umount()
        shutil.rmtree(m.cache)
        curl("-X", "POST", "-T", self.sample, "-H", "Content-Type: application/octet-stream", "-H", "Expect:",
             rig.upload_url("one", "bucket/f"))
        os.unlink(self.sample)

    def new_cache(self):
        """Nothing is deleted in between: for some seconds ext4 looks for free inodes among those that were."""
        self.mounts += 1
        return os.path.join(self.rig.tmp, f"cache{self.mounts}")

    def volume(self, cache=None):
        m = self.rig.mount(cache=cache or self.new_cache())
        return m, m.path("f")

    def bucket(self, cache=None):
        rig = self.rig
        place, cache = os.path.join(rig.tmp, "bucket"), cache or self.new_cache()
        os.makedirs(place, exist_ok=True)
        os.makedirs(cache, exist_ok=True)
        log = os.path.join(rig.tmp, "bucket.log")
        rig.run("mount", "data=" + rig.stores["one"].replace("/v?", "/bucket?"), place, "-o", f"cache_dir={cache},listen=none",
                "--log-file", log)
        m = Mount(rig, place, cache, "", log)
        rig.mounts.append(m)
        favour(m.pid)
        return m, m.path("data/f")

    def read(self, place, program):
        """Seconds, and the mount's processor seconds, of one cold read."""
        m, path = place()
        pid = m.pid
        os.stat(path)
        before = processor_s(pid)
        took = timed(lambda: program(path))
        used = processor_s(pid) - before
        m.umount()
        return took, used


def bench_cold(table, a):
    """By turns, so that the machine's moods meet all of them."""
    with BenchRig() as rig:
        cold = Cold(rig, a)
        url = rig.url("one", "bucket/f")
        programs = {"one stream": read_all, "four streams": lambda p: read_streams(p, cold.size),
                    "mapped tensors": lambda p: read_tensors(p, cold.size)}
        runs = {("curl", into): [] for into in ("pipe", "nothing")}
        for _ in range(a.rounds):
            for (_, into), row in runs.items():
                if _ == "curl":
                    before = children_s()
                    row.append((timed(lambda: curl_ranges(url, cold.size, into)), children_s() - before))
            for where, place in (("volume", cold.volume), ("bucket", cold.bucket)):
                for what, call in programs.items():
                    runs.setdefault((where, what), []).append(cold.read(place, call))
        speed = {k: a.mib / statistics.median(t for t, _ in row) for k, row in runs.items()}
        cost = {k: statistics.median(c for _, c in row) * 1000 / a.mib for k, row in runs.items()}
        for where in ("volume", "bucket"):
            one = speed[where, "one stream"]
            table.add(f"{where}, cold, one stream", "MiB/s", one, "curl, 24 ranges, into a pipe", speed["curl", "pipe"], 0.8)
            table.add("", "MiB/s", one, "curl, 24 ranges, thrown away", speed["curl", "nothing"], None)
            table.add("    processor", "ms/MiB", cost[where, "one stream"], "curl, into a pipe", cost["curl", "pipe"], None)
            for what in ("four streams", "mapped tensors"):
                table.add(f"{where}, cold, {what}", "MiB/s", speed[where, what], "one stream", one, 0.7)


def bench_distant(table, a):
    """Stores as far away as real ones: each connection waits 20 ms for its first byte and carries 10 MB/s. Reading ahead is all."""
    a = argparse.Namespace(**{**vars(a), "mib": min(a.mib, 512)})
    with BenchRig() as rig:
        cold = Cold(rig, a)
        for s in rig.servers.values():
            s.fault(op="get", fault="slow", ms=20, bytes_per_s=10_000_000, count=0)
        runs = {"curl": [], "volume": [], "bucket": []}
        for _ in range(a.rounds):
            runs["curl"].append(timed(lambda: curl_ranges(rig.url("one", "bucket/f"), cold.size, "pipe")))
            runs["volume"].append(cold.read(cold.volume, read_all)[0])
            runs["bucket"].append(cold.read(cold.bucket, read_all)[0])
        speed = {k: a.mib / statistics.median(v) for k, v in runs.items()}
        for where in ("volume", "bucket"):
            table.add(f"{where}, cold, distant stores", "MiB/s", speed[where], "curl, 24 ranges, into a pipe", speed["curl"], 0.8)


def keep_all(m, path, size):
    """A busy machine keeps what it has time for; what it missed is read once more."""
    def is_cached():
        if m.status()["cache"]["bytes"] >= size:
            return True
        drop_page_cache_of(path)
        read_all(path)
        return False
    wait_until(is_cached, "the cache on disk", step=1)


def bench_warm(table, a):
    """From the pieces on the local disk."""
    with BenchRig() as rig:
        cold = Cold(rig, a)
        warm = {}
        with passthrough(rig) as (top, below):
            write_all(os.path.join(below, "f"), cold.size)

            def once(path):
                drop_page_cache_of(path)
                return timed(lambda: read_all(path))
            for where, place in (("volume", cold.volume), ("bucket", cold.bucket)):
                m, path = place()
                keep_all(m, path, cold.size)
                m.umount()
                m, path = place(m.cache)
                once(path)
                ours, other = [], []
                for _ in range(a.rounds):
                    ours.append(once(path))
                    other.append(once(os.path.join(top, "f")))
                m.umount()
                warm[where] = a.mib / statistics.median(ours)
                table.add(f"{where}, warm", "MiB/s", warm[where], "passthrough_ll", a.mib / statistics.median(other),
                          0.8 if where == "volume" else None)
        table.add("bucket, warm", "MiB/s", warm["bucket"], "the volume's", warm["volume"], 0.8)
