#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""PyTorch on a mount, with a store that hangs in the middle of each run and a second mount that reads along.

Installs PyTorch from PyPI (2 GB) into an environment of the tests' cache (6 GB), once."""
# time limit: 1500 s

import os
import signal
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[0] = os.path.join(HERE, "..", "lib")  # and not this folder: a file here has the name of a library
from environments import torch  # noqa: E402
from jobs import Hung, Job, contents, run_through_outage  # noqa: E402
from rig import Rig, main, wait_until  # noqa: E402


def job(name, folder, size):
    return [torch(), os.path.join(HERE, "jobs", "torch_jobs.py"), name, folder, "--size", str(size)]


def two_mounts(rig, options=""):
    return rig.mount(), rig.mount(options, cache=os.path.join(rig.tmp, "cache-second"))


def check(rig, mount, second):
    """The volume is whole again, nothing was lost, and the second mount reads every byte as the first."""
    mount.wait_healthy()
    assert mount.status()["counters"]["lost_operations"] == 0
    expected = contents(mount.dir)
    assert expected
    wait_until(lambda: contents(second.dir) == expected, "the second mount reads the same", step=1)


def run(name, size, victim):
    torch()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig)
        begin = time.monotonic()
        run_through_outage(rig, victim, job(name, mount.dir, size))
        print(f"   {name}: {time.monotonic() - begin:.1f} s", flush=True)
        check(rig, mount, second)


def test_thousands_of_files():
    run("files", 2000, "aws")


def test_webdataset():
    run("webdataset", 800, "azure")


def test_memory_mapped_arrays():
    run("arrays", 2000, "google")


def test_safetensors():
    run("safetensors", 4000, "aws")


def test_distributed_checkpoint():
    run("distributed", 2000, "azure")


def saved_while_read(name, victim, on_second):
    """One process saves, another loads what is there."""
    torch()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig)
        with Job(job("watch", (second if on_second else mount).dir, 40)) as reader:
            run_through_outage(rig, victim, job(name, mount.dir, 40))
            print(f"   {name}: {reader.wait()[0]}", flush=True)
        check(rig, mount, second)


def test_checkpoint_replaced_and_read():
    saved_while_read("replace", "google", on_second=False)


def test_checkpoint_replaced_and_read_by_another_mount():
    saved_while_read("replace", "aws", on_second=True)


def test_checkpoint_in_place_and_read_by_another_mount():
    saved_while_read("in_place", "azure", on_second=True)


def test_resume():
    """Program and daemon are killed in the middle, while a store hangs; another machine goes on, to the weights of a run that nobody stopped."""
    torch()
    with Rig("standin") as rig:
        mount, second = two_mounts(rig, "strict")  # what was saved before the end of the first machine is seen at once
        with Hung(rig, "google") as hung:
            def on_line(line):
                if line == "half":
                    hung.begin()
                if line == "step 30":
                    first.process.send_signal(signal.SIGKILL)
            with Job(job("resume", mount.dir, 40), on_line) as first:
                first.wait(check=False)
            done = max(int(line.split()[1]) for line in first.lines if line.startswith("step "))
            mount.kill9()
            with Job(job("resume", second.dir, 40)) as again:
                lines = again.wait()
        start = int(lines[0].split()[2])
        assert done <= start <= done + 1, f"step {done} was saved, and the run went on from {start}"
        second.wait_healthy()


if __name__ == "__main__":
    main()
