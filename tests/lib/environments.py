# SPDX-License-Identifier: Apache-2.0
"""Virtual environments for tests, each made once for all of them, in the tests' cache.

    python = virtual_environment("spark", "pyspark==4.3.0", megabytes=500)

The first call installs the packages by pip; whoever asks at the same time waits for it. Where that is impossible the test is
skipped, and says why."""

import fcntl
import os
import shutil
import subprocess
import sys
import time

from rig import Skip, cached

LIMIT_S = 1200


def virtual_environment(name, *packages, megabytes=100):
    """The Python of an environment with these packages, which need about so much room."""
    wanted = "\n".join((f"python {sys.version.split()[0]}",) + packages) + "\n"
    folder = cached(name)
    stamp = os.path.join(folder, "made-of")
    with open(folder + ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.exists(stamp) or _text(stamp) != wanted:
            _make(folder, packages, megabytes)
            with open(stamp, "w") as f:
                f.write(wanted)
    return os.path.join(folder, "bin", "python")


def _text(path):
    with open(path) as f:
        return f.read()


def _make(folder, packages, megabytes):
    shutil.rmtree(folder)  # of other packages, or half made
    free = shutil.disk_usage(os.path.dirname(folder)).free >> 20
    if free < 2 * megabytes:
        raise Skip(f"{' '.join(packages)}: too large for a disk with {free} MB free ({2 * megabytes} wanted)")
    print(f"   {folder}: pip installs {' '.join(packages)}", flush=True)
    begin = time.monotonic()
    _run([sys.executable, "-m", "venv", folder], "a virtual environment")
    _run([os.path.join(folder, "bin", "python"), "-m", "pip", "install", "-q", "--no-cache-dir", "--no-compile",
          "--disable-pip-version-check", *packages], " ".join(packages))
    print(f"   {folder}: made in {time.monotonic() - begin:.0f} s", flush=True)


def _run(command, what):
    try:
        out = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT_S, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        raise Skip(f"{what} cannot be had: no answer in {LIMIT_S} s") from None
    if out.returncode:
        said = (out.stderr or out.stdout).strip().splitlines() or [f"exit {out.returncode}"]
        raise Skip(f"{what} cannot be had: {said[-1]}")


# ---- what the tests use ----


def torch():
    return virtual_environment("torch", "torch==2.15.0", "numpy==2.4.*", "safetensors==0.8.0", "webdataset==1.0.2", megabytes=6000)


def spark():
    if not shutil.which("java"):
        raise Skip("java is not installed")
    return virtual_environment("spark", "pyspark==4.3.0", megabytes=1200)


def kubernetes_validate():
    """A checker that brings the schemas of Kubernetes with it."""
    return os.path.join(os.path.dirname(virtual_environment("kubernetes-validate", "kubernetes-validate")), "kubernetes-validate")
