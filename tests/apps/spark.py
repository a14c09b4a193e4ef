#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Spark on a mount, with a store that hangs in the middle of each run and a second mount that reads along.

Installs PySpark from PyPI (450 MB) into an environment of the tests' cache (1 GB), once. Needs Java 17 or later."""
# time limit: 1500 s

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from environments import spark  # noqa: E402
from jobs import Job, contents, run_through_outage  # noqa: E402
from rig import Rig, main, read_file, wait_until  # noqa: E402


def job(rig, name, folder, size, *more):
    return [spark(), os.path.join(HERE, "jobs", "spark_jobs.py"), name, folder, "--size", str(size), "--local", rig.tmp, *more]


class Follower:
    """Reads on another mount whatever is published there: a result is whole as soon as it has its name. Not so the files of a stream's
    sink, which are written under their last name; its metadata says which of them count."""

    def __init__(self, top):
        self.top, self.stopping, self.seen, self.errors = top, threading.Event(), set(), []
        self.thread = threading.Thread(target=self._run, daemon=True)

    def _look(self, path):
        try:
            data = read_file(path)
        except FileNotFoundError:
            return  # overwritten by the job
        except OSError as e:
            self.errors.append(f"{path}: {e}")
            return
        if path.endswith(".parquet") and not (len(data) > 12 and data[:4] == data[-4:] == b"PAR1"):
            self.errors.append(f"{path}: {len(data)} bytes are no whole parquet file")
        self.seen.add(os.path.relpath(path, self.top))

    def _run(self):
        while not self.stopping.is_set():
            for folder, folders, names in os.walk(self.top):
                folders[:] = [name for name in folders if not name.startswith((".", "_")) and name != "sink"]
                for name in names:
                    if name.startswith("part-"):
                        self._look(os.path.join(folder, name))
            time.sleep(0.1)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join(60)


def two_mounts(rig):
    return rig.mount(), rig.mount(cache=os.path.join(rig.tmp, "cache-second"))


def check(mount, second):
    """The volume is whole again, nothing was lost, and the second mount reads every byte as the first."""
    mount.wait_healthy()
    assert mount.status()["counters"]["lost_operations"] == 0
    expected = contents(mount.dir)
    assert expected
    wait_until(lambda: contents(second.dir) == expected, "the second mount reads the same", step=1)


def run(name, size, victim, times=1):
    spark()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig)
        with Follower(second.dir) as follower:
            for _ in range(times):
                begin = time.monotonic()
                run_through_outage(rig, victim, job(rig, name, mount.dir, size))
                print(f"   {name}: {time.monotonic() - begin:.1f} s", flush=True)
        assert follower.seen and not follower.errors, follower.errors[:5]
        check(mount, second)


def test_formats_overwritten_and_appended():
    run("tables", 20000, "aws")


def test_dynamic_partitions():
    run("partitions", 20000, "azure")


def test_warehouse():
    run("warehouse", 5000, "google", times=2)


def test_streaming_killed_and_restarted():
    """Spark is killed while it streams, and a store hangs; started again it delivers each row once."""
    spark()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig)

        def on_line(line):
            if line == "fed 8":
                first.process.send_signal(signal.SIGKILL)
        with Follower(second.dir) as follower:
            with Job(job(rig, "streaming", mount.dir, 20), on_line) as first:
                lines = first.wait(check=False)
            assert "fed 8" in lines and "done" not in lines, first.tail()
            run_through_outage(rig, "aws", job(rig, "streaming", mount.dir, 20))
        assert not follower.errors, follower.errors[:5]
        check(mount, second)


class Cluster:
    """A master and two workers, each with an address of the loopback for a host of its own, on one mount."""

    def __init__(self, rig):
        self.rig = rig
        self.stack = contextlib.ExitStack()

    def start(self, name, *arguments):
        home = subprocess.run([spark(), "-c", "import pyspark; print(pyspark.__path__[0])"], capture_output=True, text=True, check=True).stdout.strip()
        command = [os.path.join(home, "bin", "spark-class"), f"org.apache.spark.deploy.{name}", "--webui-port", "0", *arguments]
        return self.stack.enter_context(Job(command, variables={"SPARK_DAEMON_MEMORY": "512m", "SPARK_HOME": home, "PYSPARK_PYTHON": spark()}))

    def worker(self, host):
        work = os.path.join(self.rig.tmp, f"work-{host}")
        started = self.start("worker.Worker", "--host", host, "--cores", "2", "--memory", "1g", "-d", work, self.url)
        wait_until(lambda: "Successfully registered with master" in started.tail(), f"{started} is registered")

    def __enter__(self):
        try:
            master = self.start("master.Master", "--host", "127.0.0.1", "--port", "0")
            self.url = wait_until(lambda: re.search(r"spark://127\.0\.0\.1:\d+", master.tail()), "the master is there").group(0)
            self.worker("127.0.0.1")
            self.worker("127.0.0.2")
        except BaseException:
            self.stack.close()
            raise
        return self

    def __exit__(self, *_):
        self.stack.close()


def test_committer_with_speculative_execution():
    """FileOutputCommitter v1: two workers write, one task twice, and the driver publishes by renaming."""
    spark()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig)
        with Cluster(rig) as cluster, Follower(second.dir) as follower:
            lines = run_through_outage(rig, "azure", job(rig, "speculation", mount.dir, 6000, "--master", cluster.url))
            print("   " + ", ".join(line for line in lines if line.endswith(" s")), flush=True)
        assert follower.seen and not follower.errors, follower.errors[:5]
        check(mount, second)


if __name__ == "__main__":
    main()
