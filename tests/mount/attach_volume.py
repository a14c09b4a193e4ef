#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Buckets that a volume names: attached and detached while it is mounted, seen by every mount of it."""

import errno
import os
import shutil
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
from attach import TREE, Buckets, fails, files_below  # noqa: E402
from rig import complaints, main, pattern, read_file, wait_until, write_file  # noqa: E402


def volume(**options):
    """A volume on the three servers, and a bucket with TREE at one of them."""
    rig = Buckets(**options)
    rig.formatted = True
    return rig


def fill(rig, where="azure", prefix="part/"):
    for key, data in TREE.items():
        rig.put(where, prefix + key, data)


def other_machine(rig, options=""):
    return rig.mount(options, cache=os.path.join(rig.tmp, "cache-other"))


def names(m):
    return sorted(os.listdir(m.dir))


def refused(rig, *words):
    out = rig.run(*words, check=False)
    assert out.returncode, out
    return out.stderr


def test_every_mount_sees_it():
    with volume() as rig:
        fill(rig)
        m, other = rig.mount(), other_machine(rig)
        for one in (m, other):
            assert not os.path.exists(one.path("raw")) and names(one) == []
        os.mkdir(m.path("own"))
        rig.run("attach", "raw=" + rig.url("azure", "part"), m.dir, "--read-only", "--ttl", "5s")
        assert names(m) == ["own", "raw"] and files_below(m.path("raw")) == TREE
        wait_until(lambda: names(other) == ["own", "raw"], "the other mount shows it")
        assert files_below(other.path("raw")) == TREE
        [shown] = other.status()["attached"]
        assert (shown["name"], shown["of_volume"], shown["read_only"], shown["ttl_seconds"]) == ("raw", True, True, 5), shown
        fails(errno.EROFS, lambda: write_file(other.path("raw/new"), b""))
        rig.run("detach", other.path("raw"))
        assert names(other) == ["own"] and not os.path.exists(other.path("raw"))
        wait_until(lambda: names(m) == ["own"] and not os.path.exists(m.path("raw")), "the other mount shows it no more")
        other.umount()
        m.umount()


def test_its_name_is_taken():
    with volume() as rig:
        m, other = rig.mount(), other_machine(rig)
        os.mkdir(m.path("own"))
        write_file(m.path("f"), b"f")
        assert "has this name" in refused(rig, "attach", "own=" + rig.url("azure", "x"), m.dir)
        rig.run("attach", "raw=" + rig.url("azure", "x"), m.dir)
        assert "has this name" in refused(rig, "attach", "raw=" + rig.url("aws", "x"), m.dir)
        for one in (m, other):  # also where it is not known yet
            fails(errno.EEXIST, lambda: os.mkdir(one.path("raw")))
            fails(errno.EBUSY, lambda: os.rename(one.path("own"), one.path("raw")))
            fails(errno.EBUSY, lambda: os.rename(one.path("raw"), one.path("other")))
            fails(errno.EEXIST, lambda: os.symlink("f", one.path("raw")))
            fails(errno.EBUSY, lambda: os.rmdir(one.path("raw")))
        assert "no bucket" in refused(rig, "detach", m.path("own"))
        rig.run("detach", "raw", m.dir)
        os.mkdir(m.path("raw"))
        other.umount()
        m.umount()


def test_open_files_go_on():
    with volume() as rig:
        data = pattern("big", 9 << 20)
        rig.put("aws", "x/big", data)
        rig.put("google", "y/other", b"other")
        m = rig.mount("memory=256M")
        rig.run("attach", "raw=" + rig.url("aws", "x"), m.dir)
        with open(m.path("raw/big"), "rb", buffering=0) as f, open(m.path("raw/new"), "wb") as new:
            assert f.read(100) == data[:100]
            ino = os.stat(m.path("raw")).st_ino
            new.write(b"begun before")
            rig.run("detach", "raw", m.dir)
            fails(errno.ENOENT, lambda: os.stat(m.path("raw")))
            rig.run("attach", "raw=" + rig.url("google", "y"), m.dir)
            assert files_below(m.path("raw")) == {"other": b"other"}
            assert os.stat(m.path("raw")).st_ino != ino, "another bucket with the same numbers"
            assert f.read(len(data)) + f.read(len(data)) == data[100:]
        assert rig.servers["aws"].control("GET", "object/mangrove/x/new").body == b"begun before"
        rig.run("detach", "raw", m.dir)
        rig.run("attach", "raw=" + rig.url("aws", "x"), m.dir)
        assert os.stat(m.path("raw")).st_ino == ino, "the same bucket again with other numbers"
        assert files_below(m.path("raw")) == {"big": data, "new": b"begun before"}
        m.umount()


def test_it_stays_over_restart_checkpoint_and_rebuild():
    with volume() as rig:
        fill(rig)
        m = rig.mount()
        rig.run("attach", "raw=" + rig.url("azure", "part"), m.dir)
        assert files_below(m.path("raw")) == TREE
        number = os.stat(m.path("raw/dir/b")).st_ino
        m.umount()
        m = rig.mount()
        assert files_below(m.path("raw")) == TREE and os.stat(m.path("raw/dir/b")).st_ino == number
        rig.run("debug", "checkpoint", m.dir)
        m.umount()
        shutil.rmtree(m.cache)
        m = rig.mount()
        assert files_below(m.path("raw")) == TREE
        m.kill9()
        m = rig.mount()
        assert names(m) == ["raw"] and read_file(m.path("raw/a")) == TREE["a"]
        m.umount()


def test_the_commands_work_in_it():
    with volume() as rig:
        fill(rig)
        rig.put("azure", "part/odd//name", b"odd")
        m = rig.mount()
        rig.run("attach", "raw=" + rig.url("azure", "part"), m.dir, "--ttl", "1h")
        assert files_below(m.path("raw"))["odd/%~e/name"] == b"odd"
        assert "object a" in rig.run("where", m.path("raw/a")).stdout
        assert "odd/%~e" in rig.run("doctor", m.path("raw")).stdout
        assert "raw" in rig.run("status", m.dir).stdout
        rig.put("azure", "part/late", b"late")
        rig.run("refresh", m.path("raw"))
        wait_until(lambda: "late" in os.listdir(m.path("raw")), "a refresh shows what others made", limit=10)
        m.umount()


def test_a_machine_without_credentials():
    """It shows the directory, answers EACCES, and its log says what is missing."""
    with volume() as rig:
        fill(rig)
        m = rig.mount()
        rig.run("attach", "raw=" + rig.url("azure", "part"), m.dir)
        rig.env.pop("AZURE_STORAGE_KEY")
        other = other_machine(rig, "deadline=10s")
        assert names(other) == ["raw"]
        fails(errno.EACCES, lambda: os.listdir(other.path("raw")))
        fails(errno.EACCES, lambda: read_file(other.path("raw/a")))
        assert any("no Azure credentials" in line for line in complaints(other.log)), complaints(other.log)
        other.umount()
        m.umount()


def test_a_volume_chooses_no_folder():
    """A folder is shown by a machine whose configuration names it, and by no other."""
    with volume() as rig:
        folder = os.path.join(rig.tmp, "folder")
        os.makedirs(os.path.join(folder, "sub"))
        write_file(os.path.join(folder, "sub/f"), b"here")
        m = rig.mount()
        said = refused(rig, "attach", f"raw=file://{folder}/sub", m.dir)
        assert "a folder of this machine is shown only if" in said, said
        m.umount()
        plain = read_file(rig.config)
        write_file(rig.config, plain + f"\n[attach near]\nurl = file://{folder}\n".encode())
        m = rig.mount()
        rig.run("attach", f"raw=file://{folder}/sub", m.dir)
        assert files_below(m.path("raw")) == {"f": b"here"}
        write_file(rig.config, plain)
        other = other_machine(rig)
        assert names(other) == ["raw"]
        fails(errno.EACCES, lambda: os.listdir(other.path("raw")))
        assert "refused" in rig.run("status", other.dir).stdout
        assert any("a folder of this machine" in line for line in complaints(other.log))
        other.umount()
        m.umount()


def test_a_section_stands_in_front():
    with volume() as rig:
        rig.put("azure", "x/theirs", b"theirs")
        rig.put("google", "y/mine", b"mine")
        with open(rig.config, "a") as f:
            f.write(f"\n[attach raw]\nurl = {rig.url('google', 'y')}\n")
        m = rig.mount()
        out = rig.run("attach", "raw=" + rig.url("azure", "x"), m.dir).stdout
        assert "stands in front" in out, out
        assert files_below(m.path("raw")) == {"mine": b"mine"}
        assert "by this machine alone" in refused(rig, "detach", m.path("raw"))
        m.umount()
        write_file(rig.config, read_file(rig.config).split(b"\n[attach")[0])
        m = rig.mount()
        assert files_below(m.path("raw")) == {"theirs": b"theirs"}
        m.umount()


def test_refusals():
    with volume() as rig:
        m = rig.mount()
        assert "NoSuchBucket" in refused(rig, "attach", "x=" + rig.url("aws").replace("mangrove", "no-such-bucket"), m.dir)
        assert "not a bucket" in refused(rig, "attach", "x=ftp://somewhere", m.dir)
        assert "a url with this endpoint" in refused(rig, "attach", "x=gs://some?endpoint=http://127.0.0.1:1", m.dir)
        for url in ("s3://key:secret@bucket", "azblob://account/container?sig=secret"):  # never into the namespace
            refused(rig, "attach", "x=" + url, m.dir)
        assert "expected a duration" in refused(rig, "attach", "x=" + rig.url("aws"), m.dir, "--ttl", "soon")
        assert "no bucket" in refused(rig, "detach", "x", m.dir)
        m.umount()
        m = rig.mount("ro")
        assert "read-only" in refused(rig, "attach", "x=" + rig.url("aws"), m.dir)
        m.umount()


if __name__ == "__main__":
    main()
