#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Each store in turn fails in each way under a mix of writes, reads, fsyncs and renames: no program sees an error, afterwards the volume
heals by itself, and what the store then holds is complete. The longest wait of a program is printed, not asserted."""
# time limit: 1200 s

import os
import signal
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, halt, main, wait_until  # noqa: E402
from workload import Workload  # noqa: E402

LENGTH_S = float(os.environ.get("MANGROVE_TEST_OUTAGE_S", "6"))


def stop(server):
    halt(server.process.pid)
    return lambda: os.kill(server.process.pid, signal.SIGCONT)


def refuse(server):
    server.fault(op="any", fault="refuse", count=0)
    return lambda: wait_until(lambda: heal(server), "the control path of a refusing server")


def heal(server):
    try:
        server.clear()
        return True
    except OSError:
        return False


def storm(server):
    server.fault(op="any", fault="status", status=503, retry_after=1, count=0)
    return server.clear


def slow(server):
    server.fault(op="any", fault="slow", ms=2000, count=0)
    return server.clear


def reset_after(server):
    """Executes everything and does not say so: every second answer is lost."""
    server.fault(op="any", fault="reset_after", prob=0.5, seed=3, count=0)
    return server.clear


def faults_of(server):
    """Requests that met a fault so far; what only slows down is not counted by the server."""
    return sum(server.stats()["faults"].values())


def outage(rig, mount, name, fail):
    w = Workload(mount.path("work-" + name + "-" + fail.__name__), seed=f"{name}{fail.__name__}")
    os.mkdir(w.top)
    w.start()
    time.sleep(1)
    w.forget_longest()
    server = rig.servers[name]
    before = faults_of(server)
    undo = fail(server)
    time.sleep(LENGTH_S)
    longest, slowest = w.longest, w.slowest
    undo()
    met = faults_of(server) - before
    time.sleep(1)
    w.stop()
    print(f"   {name} {fail.__name__}: {w.calls} calls, {len(w.files)} files, longest wait {longest:.2f} s ({slowest}), "
          f"{met} requests met the fault", flush=True)
    assert met > 1 or fail in (stop, slow), f"{fail.__name__} at {name} was no outage: {met} requests met it"
    assert not w.errors, w.errors[:5]
    mount.wait_healthy()
    w.check()
    return w


def check_alone(rig, name, works):
    """A fresh mount reads everything while the other two stores hang: what this one holds is complete."""
    m = rig.mount(cache=os.path.join(rig.tmp, f"cache-{name}"), options="deadline=20s")
    for other, server in rig.servers.items():
        if other != name:
            halt(server.process.pid)
    try:
        for w in works:
            w.check(os.path.join(m.dir, os.path.basename(w.top)))
    finally:
        for other, server in rig.servers.items():
            os.kill(server.process.pid, signal.SIGCONT)
    m.umount()


def run(fail):
    with Rig("standin") as rig:
        m = rig.mount()
        works = [outage(rig, m, name, fail) for name in rig.servers]
        for name in rig.servers:
            check_alone(rig, name, works)
        assert m.status()["counters"]["lost_operations"] == 0
        m.umount()


def test_hanging():
    run(stop)


def test_refusing():
    run(refuse)


def test_storm_of_503():
    run(storm)


def test_slow():
    run(slow)


def test_lost_answers():
    run(reset_after)


def test_killed():
    """The store is killed and stays away: everything goes on without it."""
    for victim in ("aws", "azure", "google"):
        with Rig("standin") as rig:
            m = rig.mount()
            w = Workload(m.path("work"))
            os.mkdir(w.top)
            w.start()
            time.sleep(1)
            w.forget_longest()
            rig.servers[victim].process.kill()
            time.sleep(LENGTH_S)
            w.stop()
            print(f"   {victim} killed: {w.calls} calls, longest wait {w.longest:.2f} s ({w.slowest})", flush=True)
            assert not w.errors, w.errors[:5]
            w.check()
            wait_until(lambda: m.store(victim)["state"] == "down", "the dead store is shown as down")
            m.umount()
            again = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
            w.check(again.path("work"))


if __name__ == "__main__":
    main()
