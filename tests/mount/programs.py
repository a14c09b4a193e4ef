#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of Mangrove: git, tar, rsync, sqlite, cp; and git, rsync and sqlite while a store hangs."""

import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from jobs import Hung, contents  # noqa: E402
from rig import Rig, Skip, main, pattern, read_file, wait_until, write_file  # noqa: E402


def need(tool):
    if not shutil.which(tool):
        raise Skip(f"{tool} is not installed")


def sh(*cmd, **kw):
    out = subprocess.run(cmd, capture_output=True, text=True, timeout=600, **kw)
    assert out.returncode == 0, f"{' '.join(cmd)}: {out.returncode}\n{out.stdout[-2000:]}{out.stderr[-2000:]}"
    return out.stdout


def make_tree(top, files=150):
    for i in range(files):
        path = os.path.join(top, f"dir{i % 7}", f"file{i}")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        write_file(path, pattern(("t", i), (i * 991) % 60000))
    os.symlink("dir1/file1", os.path.join(top, "link"))
    os.chmod(os.path.join(top, "dir2", "file2"), 0o755)


def with_mount(test):
    def run():
        with Rig() as rig:
            local = os.path.join(rig.tmp, "local")
            os.mkdir(local)
            test(rig.mount(), local)
    run.__name__ = test.__name__
    return run


@with_mount
def test_git(m, local):
    need("git")
    env = dict(os.environ, GIT_CONFIG_GLOBAL="/dev/null", GIT_AUTHOR_NAME="a", GIT_AUTHOR_EMAIL="a@b", GIT_COMMITTER_NAME="a",
               GIT_COMMITTER_EMAIL="a@b")
    source = os.path.join(local, "repo")
    make_tree(source)
    for cmd in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        sh("git", "-C", source, *cmd, env=env)
    sh("git", "clone", "-q", source, m.path("clone"), env=env)
    sh("git", "-C", m.path("clone"), "fsck", "--full", "--strict", env=env)
    assert sh("git", "-C", m.path("clone"), "status", "--porcelain", env=env) == ""
    write_file(m.path("clone", "new"), b"more\n")
    sh("git", "-C", m.path("clone"), "add", "-A", env=env)
    sh("git", "-C", m.path("clone"), "commit", "-qm", "two", env=env)
    sh("git", "-C", m.path("clone"), "gc", "-q", env=env)
    sh("git", "-C", m.path("clone"), "fsck", "--full", "--strict", env=env)
    sh("git", "-C", source, "pull", "-q", m.path("clone"), env=env)
    assert read_file(os.path.join(source, "new")) == b"more\n"


@with_mount
def test_tar(m, local):
    make_tree(os.path.join(local, "tree"))
    sh("tar", "-C", local, "-cf", os.path.join(local, "t.tar"), "tree")
    sh("tar", "-C", m.dir, "-xf", os.path.join(local, "t.tar"))
    sh("diff", "-r", os.path.join(local, "tree"), m.path("tree"))
    for folder, _, files in os.walk(os.path.join(local, "tree")):
        for name in files:
            a = os.path.join(folder, name)
            b = m.path("tree", os.path.relpath(a, os.path.join(local, "tree")))
            assert os.lstat(a).st_mode == os.lstat(b).st_mode
            assert int(os.lstat(a).st_mtime) == int(os.lstat(b).st_mtime), name


@with_mount
def test_rsync_twice(m, local):
    need("rsync")
    make_tree(os.path.join(local, "tree"))
    source, target = os.path.join(local, "tree") + "/", m.path("copy") + "/"
    sh("rsync", "-a", source, target)
    again = sh("rsync", "-a", "--itemize-changes", source, target)
    assert again.strip() == "", f"the second run moved something:\n{again}"
    sh("diff", "-r", source, target)
    assert sh("rsync", "-an", "--checksum", "--itemize-changes", source, target).strip() == ""


@with_mount
def test_cp_keeps_times(m, local):
    source = os.path.join(local, "f")
    write_file(source, pattern("cp", 300000))
    os.utime(source, ns=(1_600_000_000_123456789, 1_500_000_000_987654321))
    sh("cp", "-p", source, m.path("f"))
    assert os.stat(m.path("f")).st_mtime_ns == 1_500_000_000_987654321
    sh("cp", "--reflink=auto", "--sparse=auto", m.path("f"), m.path("g"))
    assert read_file(m.path("g")) == read_file(source)


@with_mount
def test_sqlite(m, local):
    for mode in ("delete", "wal"):
        db = sqlite3.connect(m.path(f"{mode}.db"))
        db.execute(f"pragma journal_mode={mode}")
        db.execute("create table t(i integer primary key, v blob)")
        for n in range(4):
            with db:
                db.executemany("insert into t(v) values(?)", ((pattern((n, i), 500),) for i in range(50)))
            with db:
                db.execute("delete from t where i % 7 = ?", (n,))
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        count = db.execute("select count(*) from t").fetchone()
        db.close()
        db = sqlite3.connect(m.path(f"{mode}.db"))
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
        assert db.execute("select count(*) from t").fetchone() == count
        db.close()


@with_mount
def test_many_appends(m, local):
    """A log file: every line is there, in order, also after an append by another descriptor."""
    with open(m.path("log"), "ab", buffering=0) as a, open(m.path("log"), "ab", buffering=0) as b:
        for i in range(300):
            (a if i % 2 else b).write(b"line %d\n" % i)
            if i % 100 == 0:
                os.fsync(a.fileno())
    assert read_file(m.path("log")) == b"".join(b"line %d\n" % i for i in range(300))


def through_outage(victim):
    """Gives the test two mounts, and a function that lets a store hang until the test's end; then both mounts show the same, whole."""
    def decorate(test):
        def run():
            with Rig("standin") as rig:
                local = os.path.join(rig.tmp, "local")
                os.mkdir(local)
                first, second = rig.mount(), rig.mount(cache=os.path.join(rig.tmp, "cache-second"))
                with Hung(rig, victim) as hung:
                    test(first, second, local, hung.begin)
                first.wait_healthy()
                assert first.status()["counters"]["lost_operations"] == 0
                wait_until(lambda: contents(second.dir) == contents(first.dir), "the second mount reads the same")
        run.__name__ = test.__name__
        return run
    return decorate


@through_outage("aws")
def test_git_through_an_outage(m, second, local, outage):
    need("git")
    source, git = os.path.join(local, "repo"), ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-c", "safe.directory=*"]
    make_tree(source, files=60)
    for cmd in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "one"]):
        sh(*git, "-C", source, *cmd)
    sh(*git, "clone", "-q", source, m.path("clone"))
    outage()
    make_tree(m.path("clone", "more"), files=20)
    sh(*git, "-C", m.path("clone"), "add", "-A")
    sh(*git, "-C", m.path("clone"), "commit", "-qm", "two")
    head = sh(*git, "-C", m.path("clone"), "rev-parse", "HEAD")

    def second_follows():
        ref = subprocess.run([*git, "-C", second.path("clone"), "rev-parse", "HEAD"], capture_output=True, text=True)
        return ref.stdout == head
    wait_until(second_follows, "the second mount sees the commit")
    sh(*git, "-C", second.path("clone"), "fsck", "--full", "--strict")


@through_outage("azure")
def test_rsync_through_an_outage(m, second, local, outage):
    need("rsync")
    source = os.path.join(local, "tree")
    make_tree(source, files=60)
    sh("rsync", "-a", source + "/", m.path("copy") + "/")
    outage()
    make_tree(os.path.join(source, "more"), files=20)
    write_file(os.path.join(source, "dir1", "file1"), pattern("changed", 70000))
    sh("rsync", "-a", "--delete", source + "/", m.path("copy") + "/")
    assert contents(m.path("copy")) == contents(source)
    wait_until(lambda: contents(second.path("copy")) == contents(source), "the second mount reads the copy")


@through_outage("google")
def test_sqlite_through_an_outage(m, second, local, outage):
    """What was committed is read on the second mount, while the store still hangs."""
    db = sqlite3.connect(m.path("t.db"))
    db.execute("create table t(i integer primary key, n integer)")
    db.commit()
    for n in range(20):
        with db:
            db.executemany("insert into t(n) values(?)", ((n,) for _ in range(50)))
        if n == 10:
            outage()
    db.close()

    def rows():
        with sqlite3.connect(f"file:{second.path('t.db')}?mode=ro", uri=True) as there:
            try:
                return there.execute("select count(*), count(distinct n) from t").fetchone() == (1000, 20)
            except sqlite3.OperationalError:  # the table is not seen yet
                return False
    wait_until(rows, "the second mount reads all rows")


if __name__ == "__main__":
    main()
