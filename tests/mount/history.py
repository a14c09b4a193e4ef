#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Who did what: `mangrove log` and `mangrove changes`, against what was really done."""

import json
import os
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, read_file, wait_until, write_file  # noqa: E402


def lines(rig, *words):
    return [json.loads(line) for line in rig.run(*words, "--json").stdout.splitlines()]


def log(rig, *words):
    """(operation, path, to) of each."""
    return [(c["operation"], c.get("path"), c.get("to")) for c in lines(rig, "log", *words) if "operation" in c]


def test_every_kind_of_change():
    with Rig() as rig:
        m = rig.mount()
        top = m.path("models")
        os.mkdir(top)
        write_file(m.path("models", "a"), os.urandom(300000), sync=True)
        os.rename(m.path("models", "a"), m.path("models", "b"))
        os.chmod(m.path("models", "b"), 0o600)
        os.symlink("b", m.path("models", "l"))
        os.link(m.path("models", "b"), m.path("hard"))
        os.truncate(m.path("models", "b"), 5)
        os.setxattr(m.path("models", "b"), "user.x", b"1")
        os.removexattr(m.path("models", "b"), "user.x")
        os.unlink(m.path("hard"))
        os.chown(m.path("models", "b"), 7, 8)
        os.unlink(m.path("models", "b"))
        os.unlink(m.path("models", "l"))
        os.rmdir(top)
        rig.run("sync", m.dir)
        expected = [
            ("mkdir", "/models", None), ("create", "/models/a", None), ("write", "/models/a", None), ("rename", "/models/a", "/models/b"),
            ("setattr", "/models/b", None), ("symlink", "/models/l", None), ("link", "/models/b", "/hard"), ("truncate", "/models/b", None),
            ("setxattr", "/models/b", None), ("removexattr", "/models/b", None), ("unlink", "/hard", None), ("setattr", "/models/b", None),
            ("unlink", "/models/b", None), ("unlink", "/models/l", None), ("rmdir", "/models", None)]
        assert log(rig, m.dir) == expected, log(rig, m.dir)
        assert log(rig, rig.name) == expected
        # Of a path, though it is gone; in words for people.
        assert log(rig, top) == [e for e in expected if e[:2] != ("unlink", "/hard")]
        assert ("unlink", "/hard", None) in log(rig, m.path("hard")) and ("mkdir", "/models", None) not in log(rig, m.path("hard"))
        text = rig.run("log", top).stdout
        assert "rename" in text and "/models/a -> /models/b" in text and "mode 0600" in text and "owner 7" in text, text
        # Who: this process' user, on the machine and process of the mount.
        first = lines(rig, "log", m.dir)[0]
        assert first["uid"] == os.getuid() and first["host"].endswith(f":{m.pid}") and first["inode"], first
        assert abs(time.time() - time.mktime(time.strptime(first["time"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 3600, first
        everything = [c["operation"] for c in lines(rig, "log", m.dir, "--all") if "operation" in c]
        assert everything[:2] == ["format", "mount"] and len(everything) > len(expected), everything


def test_names_that_were_given_before_and_names_that_are_no_text():
    """What is read begins in the middle; directories were renamed meanwhile."""
    with Rig() as rig:
        m = rig.mount()
        os.makedirs(m.path("one", "two"))
        write_file(m.path("one", "two", "f"), b"x", sync=True)
        odd = os.path.join(os.fsencode(m.dir), b"\xff\xc3\xa9")
        with open(odd, "wb"):
            pass
        rig.run("sync", m.dir)
        begin = lines(rig, "log", m.dir)[-1]["position"]
        os.rename(m.path("one"), m.path("moved"))
        write_file(m.path("moved", "two", "f"), b"yy", sync=True)
        os.chmod(odd, 0o600)
        rig.run("sync", m.dir)
        got = [(c["operation"], c["path"]) for c in lines(rig, "changes", m.dir, "--from", str(begin)) if "operation" in c]
        assert got == [("rename", "/one"), ("write", "/moved/two/f"), ("setattr", "/\ufffd\u00e9")], got
        # From a second mount, after the first has forgotten everything.
        m.umount()
        other = rig.mount("ro", cache=os.path.join(rig.tmp, "other"))
        assert [(c["operation"], c["path"]) for c in lines(rig, "changes", other.dir, "--from", str(begin)) if "operation" in c] == got


def test_since():
    with Rig() as rig:
        m = rig.mount()
        for i in range(12):
            write_file(m.path(f"early{i}"), b"x", sync=True)
        time.sleep(1.1)  # the search is by seconds
        border = time.time()
        time.sleep(1.1)
        for i in range(7):
            write_file(m.path(f"late{i}"), b"x", sync=True)
        date = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(border))
        created = [path for what, path, _ in log(rig, m.dir, "--since", date) if what == "create"]
        assert created == [f"/late{i}" for i in range(7)], created
        assert len([1 for what, _, _ in log(rig, m.dir, "--since", "1h") if what == "create"]) == 19
        assert len(log(rig, m.dir, "--last", "2")) < 6
        out = rig.run("log", m.dir, "--since", "yesterday", check=False)
        assert out.returncode == 2 and "yesterday" in out.stderr, out


def test_a_feed_that_is_followed_and_resumed():
    """Two mounts write; who follows sees all in one order, and goes on where it was stopped."""
    with Rig() as rig:
        a = rig.mount()
        b = rig.mount(cache=os.path.join(rig.tmp, "b"))
        note = os.path.join(rig.tmp, "position")
        seen = []

        def follow():
            p = subprocess.Popen([rig.mangrove, "changes", b.dir, "--follow", "--json", "--position-file", note], env=rig.env, text=True,
                                 stdout=subprocess.PIPE)

            def read():
                for line in p.stdout:
                    c = json.loads(line)
                    if c.get("operation") == "create":
                        seen.append(c["path"])
            reader = threading.Thread(target=read)
            reader.start()
            return p, reader

        p, reader = follow()
        wait_until(lambda: os.path.exists(note), "where it begins")
        write_file(b.path("begin"), b"", sync=True)
        for i in range(5):
            write_file((a if i % 2 else b).path(f"f{i}"), b"x", sync=True)
        wait_until(lambda: len(seen) == 6, "six changes")
        p.kill()
        p.wait()
        reader.join()
        position = int(read_file(note))
        for i in range(5, 9):
            write_file((a if i % 2 else b).path(f"f{i}"), b"x", sync=True)
        p, reader = follow()
        wait_until(lambda: "/f8" in seen, "what was done meanwhile")
        wait_until(lambda: int(read_file(note)) > position, "how far it has come is noted")
        p.kill()
        p.wait()
        reader.join()
        assert sorted(set(seen)) == ["/begin"] + [f"/f{i}" for i in range(9)], seen
        rig.run("sync", a.dir)
        wait_until(lambda: log(rig, a.dir) == log(rig, b.dir), "both tell the same", step=0.5)


def test_a_sensor_that_looks_now_and_then():
    """Each look gives what came since the last one; the first one begins now."""
    with Rig() as rig:
        m = rig.mount()
        os.mkdir(m.path("in"))
        write_file(m.path("in", "before"), b"x", sync=True)
        look = ["changes", m.path("in"), "--position-file", os.path.join(rig.tmp, "position")]
        assert not [c for c in lines(rig, *look) if "operation" in c]
        write_file(m.path("in", "after"), b"x", sync=True)
        write_file(m.path("elsewhere"), b"x", sync=True)
        assert {c["path"] for c in lines(rig, *look) if "operation" in c} == {"/in/after"}
        assert not [c for c in lines(rig, *look) if "operation" in c]


def test_what_the_journal_no_longer_has():
    with Rig() as rig:
        m = rig.mount()
        for i in range(6):
            write_file(m.path(f"f{i}"), b"x", sync=True)
        links = [os.path.join(folder, name) for s in ("aws", "azure", "google") for folder, _, names in os.walk(rig.folder(s))
                 for name in names if os.path.basename(os.path.dirname(folder)) == "j"]
        first = min(os.path.basename(p).split(".")[0] for p in links)
        assert first == "0" * 16, first
        for path in links:
            if int(os.path.basename(path).split(".")[0], 16) < 4:
                os.unlink(path)
        out = rig.run("changes", m.dir, "--from", "1", check=False)
        assert out.returncode == 1 and "no longer has slot 1" in out.stderr, out
        assert any(what == "create" for what, _, _ in log(rig, m.dir, "--since", "1h"))


main()
