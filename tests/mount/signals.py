#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Signals of programs that wait for an answer: one that they handle disturbs no call, one that ends them ends the call too. And a
program that runs from the mount is not truncated."""

import ctypes
import errno
import os
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, halt, main, read_file  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)  # Python's own calls are repeated after EINTR


def call(name, *arguments):
    answer = getattr(LIBC, name)(*(os.fsencode(a) if isinstance(a, str) else a for a in arguments))
    if answer < 0:
        raise OSError(ctypes.get_errno(), f"{name}{arguments}: {os.strerror(ctypes.get_errno())}")
    return answer


def test_handled_signals_disturb_nobody():
    with Rig("standin") as rig:  # a commit takes longer than from one signal to the next
        m = rig.mount()
        seen = []
        signal.signal(signal.SIGALRM, lambda *_: seen.append(1))
        signal.siginterrupt(signal.SIGALRM, False)
        signal.setitimer(signal.ITIMER_REAL, 0.0005, 0.0005)
        try:
            data = b"x" * 300000
            for i in range(40):
                call("mkdir", m.path(f"d{i}"), 0o755)
                fd = call("open", m.path(f"d{i}", "f"), os.O_WRONLY | os.O_CREAT, 0o644)
                assert call("write", fd, data, len(data)) > 0
                call("fsync", fd)
                call("write", fd, b"y", 1)
                call("close", fd)
                call("chmod", m.path(f"d{i}", "f"), 0o600)
                call("rename", m.path(f"d{i}", "f"), m.path(f"d{i}", "g"))
                call("unlink", m.path(f"d{i}", "g"))
                call("rmdir", m.path(f"d{i}"))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
        assert len(seen) > 100, f"{len(seen)} signals only"
        assert os.listdir(m.dir) == []


# Waits for a commit that does not come, while a signal that it handles comes again and again.
WAITS = """
import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
for s in (signal.SIGTERM, signal.SIGQUIT):  # what a shell starts in the background ignores SIGQUIT
    signal.signal(s, signal.SIG_DFL)
signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
f = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
os.write(f, b"y" * 99999)
print("waits", flush=True)
os.fsync(f)
"""


def test_a_signal_that_ends_the_program_ends_the_call():
    with Rig("standin") as rig:
        m = rig.mount("deadline=50s")
        servers = [rig.servers[name].process for name in ("azure", "google")]
        for sent in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            child = subprocess.Popen([sys.executable, "-c", WAITS, m.path(f"f{sent}")], stdout=subprocess.PIPE)
            for server in servers:
                halt(server.pid)
            try:
                time.sleep(1)
                child.send_signal(sent)
                assert child.wait(10) == -sent
            finally:
                for server in servers:
                    server.send_signal(signal.SIGCONT)
                child.kill()
                child.communicate()
            m.wait_healthy()


def test_running_program():
    with Rig() as rig:
        m = rig.mount()
        program = m.path("sleep")
        shutil.copy("/bin/sleep", program)
        child = subprocess.Popen([program, "1000"])
        try:
            for flags in (os.O_WRONLY, os.O_RDWR, os.O_RDONLY | os.O_TRUNC, os.O_WRONLY | os.O_TRUNC):
                try:
                    os.close(os.open(program, flags))
                    raise AssertionError(f"a running program was opened with {flags:#x}")
                except OSError as e:
                    assert e.errno == errno.ETXTBSY, e
            assert child.poll() is None
            assert read_file(program) == read_file("/bin/sleep")
        finally:
            child.kill()
            child.wait()


if __name__ == "__main__":
    main()
