# SPDX-License-Identifier: Apache-2.0
"""What the benchmarks share: yardsticks, programs that read and write, and the table."""

import contextlib
import fcntl
import mmap
import os
import random
import resource
import statistics
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, is_mounted, program, wait_until  # noqa: E402
from standin import Standin  # noqa: E402

MiB = 1 << 20
PASSTHROUGH = "/usr/share/doc/libfuse3-dev/examples/passthrough_ll.c"
RANGES = 24  # at one time: as many as a mount reads ahead


def favour(pid):
    """Linux shares its cores by session, and a daemon has one of its own: what is measured goes before who else works here."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/autogroup", "w") as f:
        f.write("-20")


class BenchRig(Rig):
    """A volume on three servers without authentication, so that curl can speak to them as well."""

    def mount(self, *arguments, **more):
        m = super().mount(*arguments, **more)
        favour(m.pid)
        return m

    def _file_stores(self):
        self.servers = {n: self.stack.enter_context(Standin("gcs", "--bucket", "mangrove", program=program("mangrove-standin")))
                        for n in ("one", "two", "three")}
        return {n: f"gs://mangrove/v?endpoint=http://127.0.0.1:{s.port}&anonymous=true" for n, s in self.servers.items()}

    def url(self, name, key):
        key = key.replace("/", "%2F")
        return f"http://127.0.0.1:{self.servers[name].port}/storage/v1/b/mangrove/o/{key}?alt=media"

    def upload_url(self, name, key):
        key = key.replace("/", "%2F")
        return f"http://127.0.0.1:{self.servers[name].port}/upload/storage/v1/b/mangrove/o?uploadType=media&name={key}"


class Table:
    HEAD = f"{'what':34} {'mangrove':>10} {'':7} {'yardstick':30} {'':10}  {'ratio':>6} {'goal':8} met"

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
        other = f"{other:10.1f}  {ratio:6.2f}" if other else " " * 18
        print(f"{what:34} {ours:10.1f} {unit:7} {yardstick:30} {other} "
              f"{sign + ' ' + format(goal, '.2f') if goal else '':8} {ok}", flush=True)


def timed(call):
    begin = time.monotonic()
    call()
    return time.monotonic() - begin


def median(n, call):
    return statistics.median(timed(call) for _ in range(n))


def processor_s(pid):
    """Of a process and its threads, so far."""
    with open(f"/proc/{pid}/stat") as f:
        fields = f.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def children_s():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


# ---- programs ----

def drain(fd):
    buf = bytearray(MiB)
    while os.readv(fd, [buf]):
        pass


def read_all(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        drain(fd)
    finally:
        os.close(fd)


def read_streams(path, size, streams=4):
    """As loaders of training data do: each stream has a part of the file, by turns."""
    fd = os.open(path, os.O_RDONLY)
    buf = bytearray(MiB)
    part = size // streams
    try:
        for at in range(0, part, MiB):
            for i in range(streams):
                assert os.preadv(fd, [buf], i * part + at)
    finally:
        os.close(fd)


def read_tensors(path, size, tensor=32 * MiB):
    """As safetensors are loaded: the file is mapped, and tensors are copied out of it, in an order of the model's own."""
    order = list(range(0, size, tensor))
    random.Random(1).shuffle(order)
    fd = os.open(path, os.O_RDONLY)
    try:
        with mmap.mmap(fd, size, prot=mmap.PROT_READ) as m, memoryview(m) as view:
            room = bytearray(tensor)
            for at in order:
                n = min(tensor, size - at)
                room[:n] = view[at:at + n]
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


def drop_page_cache_of(path):
    """This file's pages only: the yardstick's backing file and our pieces stay where they are."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(fd)


# ---- yardsticks ----

def curl(*arguments):
    subprocess.run(["curl", "-sS", "--fail", *arguments], check=True, stdout=subprocess.DEVNULL)


def curl_ranges(url, size, into, parallel=RANGES, part=MiB):
    """One curl process, `parallel` ranges at a time, over kept-alive connections. Into "pipe": a program receives them, as ours does;
    into "nothing": they are thrown away."""
    config = "next\n".join(f'url = "{url}"\nrange = {at}-{min(at + part, size) - 1}\n'
                           + ('output = "/dev/null"\n' if into == "nothing" else 'output = "-"\n')
                           for at in range(0, size, part))
    p = subprocess.Popen(["curl", "-sS", "--fail", "--no-progress-meter", "-Z", "--parallel-max", str(parallel), "-K", "-"],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    fcntl.fcntl(p.stdout, fcntl.F_SETPIPE_SZ, MiB)
    p.stdin.write(config.encode())
    p.stdin.close()
    came = 0
    buf = bytearray(MiB)
    while True:
        n = p.stdout.readinto(buf)
        if not n:
            break
        came += n
    assert p.wait() == 0 and came == (0 if into == "nothing" else size), came


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
