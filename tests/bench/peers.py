#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Mangrove beside other programs that mount a bucket, on one server, in one run. Prints one table.

    MANGROVE_BUILD=build tests/bench/peers.py [--mib N] [--rounds N] [--server versitygw|standin] [NAME...]

A NAME is a column or the beginning of one. Each program mounts with what its documentation gives as defaults, and once more with
what it recommends for reading where that differs. What is not installed is named in the table; nothing is left out silently.
The server is versitygw (tests/contract/emulators.sh installs it), or our stand-in where that cannot be had."""

import argparse
import collections
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import urllib.parse

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from yard import MiB, Standin, drop_page_cache_of, is_mounted, program, read_all, timed, wait_until  # noqa: E402
from rig import Rig  # noqa: E402
from standin import S3  # noqa: E402

BUCKET = "mangrove"
ACCESS, SECRET, REGION = "test-access-key", "test-secret-key", "us-east-1"
SMALL, SMALL_BYTES, FOLDERS = 1000, 16 << 10, 20

Peer = collections.namedtuple("Peer", "name binary command env settings")


def aws_env(**more):
    return {"AWS_ACCESS_KEY_ID": ACCESS, "AWS_SECRET_ACCESS_KEY": SECRET, "AWS_REGION": REGION, **more}


def rclone(name, url, work, *options):
    env = {"RCLONE_CONFIG": os.path.join(work, "none.conf"), "RCLONE_CONFIG_P_TYPE": "s3", "RCLONE_CONFIG_P_PROVIDER": "Other",
           "RCLONE_CONFIG_P_ENDPOINT": url, "RCLONE_CONFIG_P_ACCESS_KEY_ID": ACCESS, "RCLONE_CONFIG_P_SECRET_ACCESS_KEY": SECRET,
           "RCLONE_CONFIG_P_REGION": REGION, "RCLONE_CACHE_DIR": os.path.join(work, "cache")}
    return Peer(name, "rclone", lambda d: ["rclone", "mount", "p:" + BUCKET, d, *options], env, " ".join(options))


def s3fs(name, url, work, *options):
    password = os.path.join(work, "password")
    with open(password, "w", opener=lambda p, f: os.open(p, f, 0o600)) as f:
        f.write(f"{ACCESS}:{SECRET}")
    fixed = ["-o", f"url={url},use_path_request_style,endpoint={REGION},passwd_file={password}"]
    words = [w for o in options for w in ("-o", o.format(cache=os.path.join(work, "cache")))]
    return Peer(name, "s3fs", lambda d: ["s3fs", BUCKET, d, "-f", *fixed, *words], aws_env(), " ".join(options))


def geesefs(name, url, work, *options):
    return Peer(name, "geesefs", lambda d: ["geesefs", "-f", "--endpoint", url, *options, BUCKET, d], aws_env(), " ".join(options))


def goofys(name, url, work, *options):
    return Peer(name, "goofys", lambda d: ["goofys", "-f", "--endpoint", url, *options, BUCKET, d], aws_env(), " ".join(options))


def mangrove(name, url, work, *options):
    where = f"data=s3://{BUCKET}?endpoint={url}&region={REGION}&path_style=true"
    opts = ",".join([f"cache_dir={work}/cache,listen=none", *options])
    return Peer(name, program("mangrove"), lambda d: [program("mangrove"), "mount", "-f", where, d, "-o", opts], aws_env(),
                " ".join(options))


PEERS = {
    "mangrove": (mangrove,),
    "rclone": (rclone,),
    "rclone, tuned": (rclone, "--vfs-cache-mode=full", "--vfs-read-ahead=128M", "--buffer-size=32M", "--transfers=16"),
    "s3fs": (s3fs,),
    "s3fs, tuned": (s3fs, "use_cache={cache}", "parallel_count=24", "multireq_max=48", "enable_noobj_cache"),
    "geesefs": (geesefs,),
    "geesefs, tuned": (geesefs, "--memory-limit=4000", "--max-parallel-parts=24", "--read-ahead-large=102400"),
    "goofys": (goofys,),
}


class Server:
    """versitygw, or our own; with the objects that everybody reads."""

    def __init__(self, kind, mib, stack_folder):
        self.kind, self.mib, self.folder = kind, mib, stack_folder

    def __enter__(self):
        if self.kind == "versitygw":
            out = Rig._emulator_script("start", "versitygw", self.folder)
            self.port, self.pid = (int(w) for w in out.stdout.split()[-2:])
        else:
            self.standin = Standin("s3", "--access-key", ACCESS, "--secret-key", SECRET, "--bucket", BUCKET,
                                   program=program("mangrove-standin"))
            self.port = self.standin.__enter__().port
        self.fill(S3(self.port, ACCESS, SECRET, REGION))
        return self

    def fill(self, call):
        def put(key, data):
            answer = call("PUT", f"/{BUCKET}/{urllib.parse.quote(key)}", body=data)
            assert answer.status == 200, (key, answer.status, answer.text)
        put("big/file", os.urandom(self.mib * MiB))
        for i in range(SMALL):
            put(f"small/d{i % FOLDERS:02}/f{i:04}", os.urandom(SMALL_BYTES))

    def __exit__(self, *exc):
        if self.kind == "versitygw":
            Rig._emulator_script("stop", str(self.pid))
        else:
            self.standin.__exit__(*exc)


def environment(peer):
    """Without a certificate bundle for other servers: some clients refuse to start with one and plain HTTP."""
    return {**{k: v for k, v in os.environ.items() if k != "AWS_CA_BUNDLE"}, **peer.env}


class Mounted:
    """One program's mount, with an empty cache of its own."""

    def __init__(self, peer, work):
        self.peer, self.work, self.dir = peer, work, os.path.join(work, "mnt")

    def __enter__(self):
        os.makedirs(self.dir)
        os.makedirs(os.path.join(self.work, "cache"), exist_ok=True)
        self.log = open(os.path.join(self.work, "log"), "wb")
        self.process = subprocess.Popen(self.peer.command(self.dir), env=environment(self.peer), stdout=self.log,
                                        stderr=self.log)
        try:
            wait_until(lambda: is_mounted(self.dir) or self.process.poll() is not None, self.peer.name)
            if self.process.poll() is not None:
                raise RuntimeError(self.said())
        except BaseException:
            self.__exit__()
            raise
        return os.path.join(self.dir, "data") if self.peer.name == "mangrove" else self.dir

    def said(self):
        with open(self.log.name, errors="replace") as f:
            return f.read().strip()[-300:] or "it ended without a word"

    def __exit__(self, *_):
        subprocess.run(["umount", self.dir], capture_output=True)
        try:
            self.process.wait(60)
        except subprocess.TimeoutExpired:
            self.process.terminate()
            self.process.wait(60)
        self.log.close()
        if is_mounted(self.dir):
            subprocess.run(["umount", "-l", self.dir], capture_output=True)


def run(*words):
    return lambda: subprocess.run(words, check=True, stdout=subprocess.DEVNULL)


def read_small(top):
    for i in range(SMALL):
        with open(os.path.join(top, f"small/d{i % FOLDERS:02}/f{i:04}"), "rb") as f:
            assert len(f.read()) == SMALL_BYTES


ROWS = {"find, ms": 1000, "ls -lR, ms": 1000, f"{SMALL} files of {SMALL_BYTES >> 10} KiB, files/s": None,
        "large file, cold, MiB/s": None, "large file, again, MiB/s": None}


def measure(top, mib):
    """In the order of ROWS."""
    big = os.path.join(top, "big/file")

    def again():
        drop_page_cache_of(big)
        return timed(lambda: read_all(big))
    return [timed(run("find", top)) * 1000, timed(run("ls", "-lR", top)) * 1000, SMALL / timed(lambda: read_small(top)),
            mib / timed(lambda: read_all(big)), mib / again()]


def all_rounds(peers, a, work):
    """{name: a list of rows for each round, or why there is none}; by turns, so that the machine's moods meet all of them."""
    results = {}
    for n in range(a.rounds):
        for peer in peers:
            if not shutil.which(peer.binary):
                results[peer.name] = "not installed"
                continue
            with tempfile.TemporaryDirectory(prefix="peer-", dir=work) as place:
                try:
                    made = make(peer.name, a.url, place)
                    with Mounted(made, place) as top:
                        results.setdefault(peer.name, []).append(measure(top, a.mib))
                except (RuntimeError, OSError, AssertionError, subprocess.SubprocessError) as e:
                    results[peer.name] = f"failed: {e}"
    return results


def make(name, url, work):
    call, *options = PEERS[name]
    return call(name, url, work, *options)


def show(results, a):
    there = {n: r for n, r in results.items() if isinstance(r, list)}
    print("| | " + " | ".join(there) + " |\n| --- |" + " --- |" * len(there))
    for i, row in enumerate(ROWS):
        print(f"| {row} | " + " | ".join(f"{statistics.median(m[i] for m in r):,.0f}" for r in there.values()) + " |")
    print()
    for name, r in results.items():
        if not isinstance(r, list):
            print(f"{name}: {r}")


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("names", nargs="*")
    p.add_argument("--mib", type=int, default=512)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--server", choices=("versitygw", "standin"), default="versitygw")
    a = p.parse_args()
    names = [n for n in PEERS if not a.names or any(n.startswith(w) for w in a.names)]
    with tempfile.TemporaryDirectory(prefix="peers-") as work, Server(a.server, a.mib, work) as server:
        a.url = f"http://127.0.0.1:{server.port}"
        peers = [make(n, a.url, work) for n in names]
        results = all_rounds(peers, a, work)
        show(results, a)
        for peer in peers:
            if peer.settings:
                print(f"{peer.name}: {peer.settings}")
        print("%d MiB, %d rounds, %s, load average %.1f %.1f %.1f on %d cores" % (a.mib, a.rounds, a.server, *os.getloadavg(),
                                                                                  os.cpu_count()))


if __name__ == "__main__":
    main()
