# SPDX-License-Identifier: Apache-2.0
"""Programs on a mount, and a store that fails in their middle.

    out = run_through_outage(rig, "azure", [python, "torch_jobs.py", "files", mount.dir])

The program prints "half" when it is in its middle: the store is halted then, and comes back after the end of the program."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
import threading

from rig import halt, read_file

LIMIT_S = 600


def environment(more):
    """A library is compiled when it is first used, and kept so: that costs less than to compile all of it beforehand."""
    return {name: value for name, value in {**os.environ, **more}.items() if name != "PYTHONDONTWRITEBYTECODE"}


class Job:
    """A program whose lines are looked at as they come."""

    def __init__(self, command, on_line=lambda line: None, variables={}):
        self.command, self.on_line, self.lines, self.failure = command, on_line, [], None
        self.tmp = tempfile.mkdtemp(prefix="job-")  # libraries leave things in TMPDIR
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True,
                                        errors="replace", start_new_session=True, env=environment({**variables, "TMPDIR": self.tmp}))
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        try:
            for line in self.process.stdout:
                self.lines.append(line.rstrip("\n"))
                self.on_line(self.lines[-1])
        except BaseException as e:  # raised by wait()
            self.failure = e
            self.kill()

    def kill(self):
        """It and the processes that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)

    def wait(self, check=True, limit=LIMIT_S):
        try:
            code = self.process.wait(limit)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self}: no end in {limit} s:\n{self.tail()}") from None
        self.thread.join(limit)
        if self.failure:
            raise self.failure
        if check and code:
            raise AssertionError(f"{self}: exit {code}\n{self.tail()}")
        return self.lines

    def tail(self, lines=60):
        return "\n".join(self.lines[-lines:])

    def __str__(self):
        return " ".join(self.command)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()
        self.process.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)


class Hung:
    """A stand-in server that stands still from begin() to the end of the block."""

    def __init__(self, rig, name):
        self.pid, self.begun = rig.servers[name].process.pid, False

    def begin(self):
        halt(self.pid)
        self.begun = True

    def __enter__(self):
        return self

    def __exit__(self, *_):
        os.kill(self.pid, signal.SIGCONT)


def run_through_outage(rig, name, command, limit=LIMIT_S):
    """The lines that the program printed."""
    with Hung(rig, name) as hung, Job(command, lambda line: hung.begin() if line == "half" else None) as job:
        lines = job.wait(limit=limit)
        assert hung.begun, f"{job} has no middle"
    return lines


def check_call(*command):
    with Job(command) as job:
        return job.wait()


def contents(top):
    """Every file's bytes by its name."""
    return {os.path.relpath(os.path.join(folder, name), top): read_file(os.path.join(folder, name))
            for folder, _, names in os.walk(top) for name in names if not os.path.islink(os.path.join(folder, name))}
