#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Objects of a bucket become files of the volume: adopted without reading a byte, changed, sealed, and what is refused."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, complaints, main, pattern, read_file, wait_until, write_file  # noqa: E402

TREE = {"a": b"first", "dir/b": pattern("b", 70000), "dir/deeper/c": pattern("c", 3 << 20), "dir/empty": b"",
        "with space/ü.txt": b"text", "big": pattern("big", (20 << 20) + 12345)}


class Adopt(Rig):
    """A volume on the three stand-in servers, and foreign objects beside it in the same buckets."""

    def __init__(self, **options):
        super().__init__("standin", **options)

    def put(self, where, key, data):
        self.servers[where].control("PUT", "object/mangrove/" + urllib.parse.quote(key), data)

    def delete(self, where, key):
        self.servers[where].control("DELETE", "object/mangrove/" + urllib.parse.quote(key))

    def keys(self, where):
        return list(json.loads(self.servers[where].control("GET", "objects/mangrove").text))

    def fill(self, where, tree, prefix="raw/"):
        for key, data in tree.items():
            self.put(where, prefix + key, data)

    def url(self, where, prefix="raw"):
        return self.stores[where].replace("/v?", f"/{prefix}?")

    def adopt(self, m, where, name="raw", mode="--adopt", prefix="raw", check=True):
        out = self.run("import", mode, self.url(where, prefix), m.path(name), "--json", check=check, timeout=600)
        return json.loads(out.stdout) if check else out

    def requests(self, where, op):
        return self.servers[where].stats()["ops"][op]["requests"]


def files_below(top):
    return {os.path.relpath(os.path.join(d, f), top): read_file(os.path.join(d, f)) for d, _, fs in os.walk(top) for f in fs}


def names_below(top):
    return sorted(os.path.relpath(os.path.join(d, f), top) for d, ds, fs in os.walk(top) for f in fs)


def fails_with(number, call):
    try:
        call()
    except OSError as e:
        assert e.errno == number, e
        return
    raise AssertionError(f"no error, expected {errno.errorcode[number]}")


def where(rig, path):
    return json.loads(rig.run("where", path, "--json", check=False).stdout)


def test_adopted_from_three_clouds():
    """Names without a byte read, then the contents, times, a rename of the top in one step; another mount and a remount see it."""
    with Adopt() as rig:
        for cloud in rig.servers:
            rig.fill(cloud, TREE)
        m = rig.mount()
        for cloud in rig.servers:
            out = rig.adopt(m, cloud, cloud)
            assert (out["state"], out["files"], out["refused"]) == ("done", len(TREE), 0), out
            names = names_below(m.path(cloud))
            assert names == sorted(TREE), names
            assert {n: os.stat(m.path(cloud, n)).st_size for n in TREE} == {n: len(d) for n, d in TREE.items()}
            st = os.stat(m.path(cloud, "big"))
            assert abs(st.st_mtime - time.time()) < 600 and st.st_blocks > 0, st
        second = rig.mount(cache=os.path.join(rig.tmp, "cache2"))
        for cloud in rig.servers:
            assert files_below(m.path(cloud)) == TREE, cloud
            os.rename(m.path(cloud), m.path("moved-" + cloud))
            rig.run("sync", m.dir)
            wait_until(lambda cloud=cloud: os.path.exists(second.path("moved-" + cloud, "big")), "the other mount sees it")
            assert files_below(second.path("moved-" + cloud)) == TREE
        second.umount()
        m.umount()
        shutil.rmtree(m.cache)
        m = rig.mount()
        assert files_below(m.path("moved-azure")) == TREE
        assert complaints(m.log) == [], complaints(m.log)
        m.umount()


def test_no_object_is_read():
    with Adopt() as rig:
        rig.fill("google", {f"d{i % 7}/f{i}": b"x" * i for i in range(3000)})
        m = rig.mount()
        rig.run("sync", m.dir, "--all")
        before = rig.requests("google", "head")
        rig.servers["google"].fault(op="get", match="raw", fault="status", status=403, count=0)  # who reads would fail
        lists = rig.requests("google", "list")
        out = rig.adopt(m, "google")
        assert out["files"] == 3000 and out["directories"] == 7, out
        assert rig.requests("google", "head") == before
        assert rig.requests("google", "list") - lists <= 4, rig.requests("google", "list") - lists
        m.umount()


def test_adopted_files_are_files():
    """Written into, appended to, cut, punched, copied, linked, removed: new bytes go to chunks, the object stays as it is."""
    with Adopt() as rig:
        rig.fill("aws", TREE)
        m = rig.mount()
        rig.adopt(m, "aws")
        want = dict(TREE)
        with open(m.path("raw/big"), "r+b") as f:
            f.seek(5 << 20)
            f.write(b"CHANGED" * 1000)
            f.flush()
            os.fsync(f.fileno())
            assert os.pread(f.fileno(), 7, 5 << 20) == b"CHANGED"
        big = bytearray(want["big"])
        big[5 << 20:(5 << 20) + 7000] = b"CHANGED" * 1000
        want["big"] = bytes(big)
        with open(m.path("raw/dir/b"), "ab") as f:
            f.write(b"more")
        want["dir/b"] += b"more"
        os.truncate(m.path("raw/dir/deeper/c"), 1234567)
        want["dir/deeper/c"] = want["dir/deeper/c"][:1234567]
        with open(m.path("raw/dir/deeper/c"), "r+b") as f:
            subprocess.run(["fallocate", "-p", "-o", "4096", "-l", "8192", m.path("raw/dir/deeper/c")], check=True)
        c = bytearray(want["dir/deeper/c"])
        c[4096:12288] = bytes(8192)
        want["dir/deeper/c"] = bytes(c)
        write_file(m.path("raw/a"), b"another")
        want["a"] = b"another"
        os.link(m.path("raw/big"), m.path("raw/link"))
        subprocess.run(["cp", "--reflink=auto", m.path("raw/big"), m.path("raw/copy")], check=True)
        want["link"] = want["copy"] = want["big"]
        assert files_below(m.path("raw")) == want
        m.umount()
        shutil.rmtree(m.cache)
        m = rig.mount()
        assert files_below(m.path("raw")) == want
        for key, data in TREE.items():
            got = rig.servers["aws"].control("GET", "object/mangrove/" + urllib.parse.quote("raw/" + key)).body
            assert got == data, f"the object {key} was touched"
        shutil.rmtree(m.path("raw"))
        rig.run("sync", m.dir)
        assert {"raw/" + k for k in TREE} <= set(rig.keys("aws")), "an object was removed"
        m.umount()


def test_changed_underneath():
    """Another object, or none: EIO and the key in the log; what was read before stays readable; never a mixture."""
    for cloud in ("aws", "azure", "google"):
        with Adopt() as rig:
            rig.fill(cloud, TREE)
            m = rig.mount()
            rig.adopt(m, cloud)
            rig.put(cloud, "raw/big", pattern("other", len(TREE["big"])))
            rig.delete(cloud, "raw/dir/b")
            fails_with(errno.EIO, lambda m=m: read_file(m.path("raw/big")))
            fails_with(errno.EIO, lambda m=m: read_file(m.path("raw/dir/b")))
            assert read_file(m.path("raw/dir/deeper/c")) == TREE["dir/deeper/c"]
            said = "\n".join(complaints(m.log))
            assert said.count("key=big") == 1 and said.count("key=dir/b") == 1, said
            out = rig.run("import", "--seal", m.path("raw"), check=False)
            assert out.returncode == 1 and "big" in out.stderr and "dir/b" in out.stderr, out
            assert where(rig, m.path("raw/big"))["foreign_bytes"] == len(TREE["big"])
            rig.put(cloud, "raw/dir/b", TREE["dir/b"])  # a new version, if only by its number
            m.umount()


def test_odd_names():
    """The same names as in an attached bucket."""
    keys = ["a", "a/b", "x//y", "dir/", "full/", "p/./q", "%~z", "n" * 300, "a-b"]
    with Adopt() as rig:
        for key in keys:
            rig.put("aws", "odd/" + key, b"" if key == "dir/" else b"1")
        m = rig.mount()
        out = rig.adopt(m, "aws", "odd", prefix="odd")
        assert out["refused"] == 0, out
        config = os.path.join(rig.tmp, "attach.conf")
        write_file(config, f"[attach odd]\nurl = {rig.url('aws', 'odd')}\n".encode())
        seen = os.path.join(rig.tmp, "seen")
        os.makedirs(seen)
        os.makedirs(os.path.join(rig.tmp, "cache3"))
        rig.run("mount", config, seen, "-o", f"cache_dir={rig.tmp}/cache3,listen=none", "--log-file", os.path.join(rig.tmp, "seen.log"))
        try:
            def tree(top):
                return sorted(os.path.relpath(os.path.join(d, n), top) for d, ds, fs in os.walk(top) for n in ds + fs)
            assert tree(m.path("odd")) == tree(os.path.join(seen, "odd")), (tree(m.path("odd")), tree(os.path.join(seen, "odd")))
        finally:
            rig.run("umount", seen)
        m.umount()


def test_again_and_conflicts():
    """What is there is passed over; what is something else stays, is named, and the command says so; new objects are added."""
    with Adopt() as rig:
        rig.fill("aws", TREE)
        m = rig.mount()
        os.makedirs(m.path("raw/dir"))
        write_file(m.path("raw/a"), b"mine")
        write_file(m.path("raw/with space"), b"a file where a directory should be")
        out = rig.adopt(m, "aws", check=False)
        assert out.returncode == 1 and "left as they were" in out.stderr, out
        report = json.loads(out.stdout)
        assert report["refused"] == 3 and report["files"] == len(TREE) - 2, report
        assert read_file(m.path("raw/a")) == b"mine"
        rig.put("aws", "raw/later", b"later")
        os.unlink(m.path("raw/a"))
        os.unlink(m.path("raw/with space"))
        out = rig.adopt(m, "aws")
        assert (out["files"], out["present"], out["refused"]) == (3, len(TREE) - 2, 0), out
        assert files_below(m.path("raw")) == {**TREE, "later": b"later"}
        m.umount()


def test_resumed_after_a_crash():
    """The daemon dies in the middle: the next mount goes on with the same command, and ends with every name once."""
    with Adopt() as rig:
        tree = {f"d{i % 20}/f{i:05}": b"x" for i in range(12000)}
        for key, data in tree.items():
            rig.put("google", "raw/" + key, data)
        m = rig.mount()
        pid = m.pid
        p = subprocess.Popen([rig.mangrove, "import", "--adopt", rig.url("google"), m.path("raw")], env=rig.env,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        wait_until(lambda: os.path.isdir(m.path("raw/d0")), "the import has begun", step=0.005)
        m.kill9(pid)
        assert p.wait(120) != 0
        p.communicate()
        m = rig.mount()
        out = rig.adopt(m, "google")
        assert out["files"] + out["present"] == len(tree) and out["refused"] == 0, out
        assert names_below(m.path("raw")) == sorted(tree)
        assert files_below(m.path("raw/d7")) == {k[3:]: d for k, d in tree.items() if k.startswith("d7/")}
        m.umount()


def test_stopped_by_a_signal():
    with Adopt() as rig:
        for i in range(9000):
            rig.put("aws", f"raw/f{i:05}", b"x")
        m = rig.mount()
        rig.servers["aws"].fault(op="list", fault="status", status=503, skip=4, count=6)
        p = subprocess.Popen([rig.mangrove, "import", "--adopt", rig.url("aws"), m.path("raw")], env=rig.env,
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_until(lambda: os.path.isdir(m.path("raw")) and os.listdir(m.path("raw")), "the import has begun", step=0.005)
        p.send_signal(signal.SIGINT)
        out, err = p.communicate(timeout=120)
        assert p.returncode == 0 or "stopped" in err, (p.returncode, out, err)
        out = rig.adopt(m, "aws")
        assert out["files"] + out["present"] == 9000, out
        assert len(os.listdir(m.path("raw"))) == 9000
        m.umount()


def test_sealed():
    """After sealing, the bucket can go; times stay; a small change made meanwhile stays."""
    for cloud in ("aws", "azure", "google"):
        with Adopt() as rig:
            rig.fill(cloud, {**TREE, **{f"small/{i}": pattern(str(i), 1000 + i) for i in range(300)}})
            want = {**TREE, **{f"small/{i}": pattern(str(i), 1000 + i) for i in range(300)}}
            m = rig.mount()
            rig.adopt(m, cloud)
            with open(m.path("raw/big"), "r+b") as f:
                f.seek(9 << 20)
                f.write(b"MINE")
            big = bytearray(want["big"])
            big[9 << 20:(9 << 20) + 4] = b"MINE"
            want["big"] = bytes(big)
            times = {n: os.stat(m.path("raw", n)).st_mtime_ns for n in want}
            assert where(rig, m.path("raw/dir/deeper/c"))["foreign_bytes"] == 3 << 20
            out = json.loads(rig.run("import", "--seal", m.path("raw"), "--json", timeout=600).stdout)
            assert out["state"] == "done" and out["failed"] == 0, out
            assert out["unverified"] == 2, out  # the two parts of the changed file
            got = where(rig, m.path("raw/dir/deeper/c"))
            assert got["foreign_bytes"] == 0 and got["chunks"] == 1, got
            for key in list(rig.keys(cloud)):
                if key.startswith("raw/"):
                    rig.delete(cloud, key)
            assert files_below(m.path("raw")) == want
            assert {n: os.stat(m.path("raw", n)).st_mtime_ns for n in want} == times
            out = json.loads(rig.run("import", "--seal", m.path("raw"), "--json").stdout)
            assert out["sealed_files"] == 0, out
            m.umount()
            shutil.rmtree(m.cache)
            m = rig.mount()
            assert files_below(m.path("raw")) == want
            out = rig.run("fsck", m.dir)
            m.umount()


def test_a_flipped_bit_is_not_sealed():
    """What arrives is compared with the object's MD5: the file stays in its bucket, and is sealed the next time."""
    with Adopt() as rig:
        rig.put("aws", "raw/b", TREE["dir/b"])
        m = rig.mount()
        rig.adopt(m, "aws")
        rig.servers["aws"].fault(op="get", match="raw", fault="bit_flip", count=1)
        out = rig.run("import", "--seal", m.path("raw"), "--json", check=False)
        report = json.loads(out.stdout)
        assert out.returncode == 1 and (report["failed"], report["sealed_files"]) == (1, 0), out
        assert where(rig, m.path("raw/b"))["foreign_bytes"] == 70000
        report = json.loads(rig.run("import", "--seal", m.path("raw"), "--json").stdout)
        assert (report["failed"], report["sealed_files"], report["unverified"]) == (0, 1, 0), report
        rig.delete("aws", "raw/b")
        assert read_file(m.path("raw/b")) == TREE["dir/b"]
        m.umount()


def test_copied():
    """Adopted and sealed by one command; again: nothing to do; with one store of the volume down all the same."""
    with Adopt() as rig:
        rig.fill("aws", TREE)
        m = rig.mount()
        out = rig.adopt(m, "aws", mode="--copy")
        assert out["files"] == len(TREE) and out["sealed_files"] == len(TREE) - 1, out
        assert files_below(m.path("raw")) == TREE
        again = rig.adopt(m, "aws", mode="--copy")
        assert (again["files"], again["present"], again["sealed_files"]) == (0, len(TREE), 0), again
        for key in TREE:
            rig.delete("aws", "raw/" + key)
        m.umount()
        shutil.rmtree(m.cache)
        m = rig.mount()
        assert files_below(m.path("raw")) == TREE
        m.umount()


def test_one_store_down():
    with Adopt() as rig:
        rig.fill("aws", TREE)
        m = rig.mount()
        rig.servers["google"].process.kill()
        out = rig.adopt(m, "aws", mode="--copy")
        assert out["sealed_files"] == len(TREE) - 1, out
        assert files_below(m.path("raw")) == TREE
        m.umount(check=False)


def test_without_credentials():
    """A machine that may not read the bucket has the names, and answers EACCES or EIO with a line that says why."""
    with Adopt() as rig:
        rig.fill("azure", TREE)
        m = rig.mount()
        rig.adopt(m, "azure")
        m.umount()
        shutil.rmtree(m.cache)
        with open(rig.config) as f:
            text = f.read()
        own = os.path.join(rig.tmp, "own.conf")
        start = text.index("[store azure]")
        end = text.find("[", start + 1)
        write_file(own, (text[:start] + (text[end:] if end > 0 else "")).encode())
        rig.config = own
        del rig.env["AZURE_STORAGE_KEY"]
        m = rig.mount()
        assert names_below(m.path("raw")) == sorted(TREE)
        begun = time.monotonic()
        try:
            read_file(m.path("raw/a"))
            raise AssertionError("read without credentials")
        except OSError as e:
            assert e.errno in (errno.EACCES, errno.EIO), e
        assert time.monotonic() - begun < 60
        said = "\n".join(complaints(m.log))
        assert "cannot be opened" in said or "cannot be read" in said, said
        write_file(m.path("still"), b"works")
        assert read_file(m.path("still")) == b"works"
        m.umount(check=False)


def test_wrong_use():
    with Adopt() as rig:
        m = rig.mount()
        for arguments, status, words in ((["--adopt", "raw", m.path("x")], 1, "no bucket"),
                                         (["--adopt", m.path("x")], 2, "usage"),
                                         (["--seal", "--adopt", m.path("x")], 2, "usage"),
                                         (["--seal", m.path("none")], 1, "No such file"),
                                         (["--adopt", rig.url("aws").replace("/mangrove/", "/nobucket/"), m.path("x")], 1, "cannot be listed"),
                                         (["--adopt", "s3://elsewhere?endpoint=http://127.0.0.1:1", m.path("x")], 1, "endpoint")):
            out = rig.run("import", *arguments, check=False)
            assert out.returncode == status and words in out.stderr, (arguments, out)
        m.umount()
        m = rig.mount("ro")
        out = rig.run("import", "--seal", m.dir, check=False)
        assert out.returncode == 1 and "read-only" in out.stderr, out
        m.umount()


if __name__ == "__main__":
    main()
