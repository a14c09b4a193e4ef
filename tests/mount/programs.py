#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Programs that know nothing of Mangrove: git, tar, rsync, sqlite, cp."""

import os
import shutil
import sqlite3
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, Skip, main, pattern, read_file, write_file  # noqa: E402


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


if __name__ == "__main__":
    main()
