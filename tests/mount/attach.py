#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Existing buckets as directories: filled by others, read through the kernel, as they are."""

import contextlib
import errno
import json
import mmap
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Mount, Rig, halt, main, pattern, program, read_file, wait_until, write_file  # noqa: E402
from standin import Standin  # noqa: E402

TREE = {"a": b"first", "dir/b": pattern("b", 70000), "dir/deeper/c": pattern("c", 3 << 20), "dir/empty": b"",
        "with space/ü.txt": b"text"}


class Buckets(Rig):
    """The three stand-in servers, with buckets of their own that nobody formatted."""

    def __init__(self, **options):
        super().__init__("standin", formatted=False, **options)

    def put(self, where, key, data):
        self.servers[where].control("PUT", "object/mangrove/" + urllib.parse.quote(key), data)

    def delete(self, where, key):
        self.servers[where].control("DELETE", "object/mangrove/" + urllib.parse.quote(key))

    def url(self, where, prefix=""):
        return self.stores[where].replace("/v?", f"/{prefix}?" if prefix else "?")

    def requests(self, where):
        """How often each operation was asked for."""
        return {op: n["requests"] for op, n in self.servers[where].stats()["ops"].items() if op != "other"}


def attach(rig, *words, options="", cache=None):
    n = len(rig.mounts) + len(rig.dead)
    place, cache = os.path.join(rig.tmp, f"mnt{n}"), cache or os.path.join(rig.tmp, "cache")
    os.makedirs(place, exist_ok=True)
    os.makedirs(cache, exist_ok=True)
    log = os.path.join(rig.tmp, f"mount{n}.log")
    opts = ",".join(filter(None, [f"cache_dir={cache}", "listen=none", options]))
    rig.run("mount", *words, place, "-o", opts, "--log-file", log)
    m = Mount(rig, place, cache, opts, log)
    rig.mounts.append(m)
    return m


def files_below(top):
    return {os.path.relpath(os.path.join(d, f), top): read_file(os.path.join(d, f)) for d, _, fs in os.walk(top) for f in fs}


def test_folders():
    with Rig(formatted=False) as rig:
        for name in ("aws", "azure"):
            for key, data in TREE.items():
                path = os.path.join(rig.folder(name), "data", key)
                os.makedirs(os.path.dirname(path), exist_ok=True)
                write_file(path, data)
        m = attach(rig, f"file://{rig.folder('aws')}/data", f"second=file://{rig.folder('azure')}/data")
        assert sorted(os.listdir(m.dir)) == ["data", "second"]
        assert files_below(m.path("data")) == TREE
        assert files_below(m.path("second")) == TREE
        m.umount()


def test_three_clouds():
    """No format, a directory each, the same bytes; the second look costs no request."""
    with Buckets() as rig:
        for where in rig.servers:
            for key, data in TREE.items():
                rig.put(where, "part/" + key, data)
            rig.put(where, "elsewhere", b"not shown")
        m = attach(rig, rig.url("aws", "part"), "pictures=" + rig.url("azure", "part"), "logs=" + rig.url("google", "part"))
        assert sorted(os.listdir(m.dir)) == ["logs", "part", "pictures"]
        for name in ("part", "pictures", "logs"):
            assert files_below(m.path(name)) == TREE, name
            st = os.stat(m.path(name, "dir/deeper/c"))
            assert st.st_size == 3 << 20 and abs(st.st_mtime - time.time()) < 600, st
        before = {where: rig.requests(where) for where in rig.servers}
        for name in ("part", "pictures", "logs"):
            subprocess.run(["ls", "-lR", m.path(name)], check=True, capture_output=True)
            assert files_below(m.path(name)) == TREE
        assert {where: rig.requests(where) for where in rig.servers} == before, "what was listed and read is asked for again"
        status = m.status()
        assert [a["name"] for a in status["attached"]] == ["part", "pictures", "logs"]
        assert not status["mount"]["degraded"] and "journal" not in status
        out = rig.run("status", m.dir)
        assert "BUCKET" in out.stdout and "part" in out.stdout, out.stdout
        m.umount()


def test_no_head_for_a_listing():
    with Buckets() as rig:
        for i in range(2000):
            rig.put("aws", f"many/f{i:05}", b"x" * (i % 7))
        m = attach(rig, "data=" + rig.url("aws", ""))
        assert os.listdir(m.path("data")) == ["many"]
        before = rig.requests("aws")
        out = subprocess.run(["ls", "-l", m.path("data/many")], check=True, capture_output=True, text=True).stdout
        assert len(out.splitlines()) == 2001, len(out.splitlines())
        after = rig.requests("aws")
        assert after["head"] == before["head"] and after["list"] > before["list"], (before, after)
        subprocess.run(["ls", "-l", m.path("data/many")], check=True, capture_output=True)
        assert rig.requests("aws") == after
        m.umount()


def test_a_path_is_one_list_a_name():
    """What was never listed is found by name: one LIST tells what a name is, also among names that begin alike."""
    with Buckets() as rig:
        m = attach(rig, *(f"{where}={rig.url(where)}" for where in rig.servers))
        for where in rig.servers:
            for key in ("dir/deeper/file", "dir/deeper/file-1", "dir-1", "dir.txt", "dir0/x", "empty/"):
                rig.put(where, key, key.encode() if not key.endswith("/") else b"")
            for path, lists in (("dir/deeper/file", 3), ("none", 1), ("dir-1", 1), ("empty", 1), ("dir0", 1), ("dir/deeper/fil", 1)):
                before, full = rig.requests(where), m.path(where, path)
                if "none" in path or path.endswith("fil"):
                    fails(errno.ENOENT, lambda: os.stat(full))
                elif path in ("empty", "dir0"):
                    assert os.path.isdir(full)
                else:
                    assert os.stat(full).st_size == len(path)
                after = rig.requests(where)
                assert (after["list"] - before["list"], after["head"]) == (lists, before["head"]), (where, path, before, after)
            assert read_file(m.path(where, "dir/deeper/file")) == b"dir/deeper/file"
            assert rig.requests(where)["head"] == 0
        m.umount()


def test_numbers_and_listing_survive_a_remount():
    with Buckets() as rig:
        for key, data in TREE.items():
            rig.put("google", key, data)
        url = "data=" + rig.url("google")
        m = attach(rig, url)
        numbers = {d: os.stat(os.path.join(m.dir, "data", d)).st_ino for d in TREE}
        assert files_below(m.path("data")) == TREE
        m.umount()
        before = rig.requests("google")
        m = attach(rig, url)
        assert {d: os.stat(os.path.join(m.dir, "data", d)).st_ino for d in TREE} == numbers
        assert files_below(m.path("data")) == TREE
        before["get"] += 1  # is it a volume?
        assert rig.requests("google") == before, ("a restart lists and reads again what it has", before, rig.requests("google"))
        m.umount()


def test_changes_by_others():
    """A changed object: the next open reads the new one; an open handle the old bytes or ESTALE, never a mixture."""
    with Buckets() as rig:
        old, new = pattern("old", 8 << 20), pattern("new", 8 << 20)
        rig.put("aws", "big", old)
        m = attach(rig, "data=" + rig.url("aws"), options="")
        config = os.path.join(rig.tmp, "short.conf")
        m.umount()
        write_file(config, f"[attach data]\nurl = {rig.url('aws')}\nttl = 1s\n[cache]\nmemory = 64M\n".encode())
        m = attach(rig, config)
        fd = os.open(m.path("data/big"), os.O_RDONLY)
        assert os.pread(fd, 1000, 0) == old[:1000]
        rig.put("aws", "big", new)
        seen = b""
        with contextlib.suppress(OSError):
            for off in range(0, 8 << 20, 65536):
                seen += os.pread(fd, 65536, off)
        assert seen == old[:len(seen)], "a mixture"
        os.close(fd)
        wait_until(lambda: read_file(m.path("data/big")) == new, "the new object is seen", 20)
        rig.put("aws", "added", b"1")
        wait_until(lambda: os.path.exists(m.path("data/added")), "an added object is seen", 20)
        rig.delete("aws", "added")
        wait_until(lambda: not os.path.exists(m.path("data/added")), "a deleted object is gone", 20)
        m.umount()


def test_what_cannot_be_done_says_so():
    with Buckets() as rig:
        rig.put("aws", "d/f", b"1")
        m = attach(rig, "data=" + rig.url("aws"))
        for call, number in ((lambda: os.mkdir(m.path("data")), errno.EEXIST), (lambda: os.rmdir(m.path("data")), errno.EBUSY),
                             (lambda: os.mkdir(m.path("other")), errno.EROFS), (lambda: os.stat(m.path("none")), errno.ENOENT),
                             (lambda: os.stat(m.path("data/none")), errno.ENOENT), (lambda: os.listdir(m.path("data/d/f")), errno.ENOTDIR),
                             (lambda: os.mkdir(m.path("data/d")), errno.EEXIST)):
            try:
                call()
                raise AssertionError(f"no error, expected {errno.errorcode[number]}")
            except OSError as e:
                assert e.errno == number, (e, errno.errorcode[number])
        m.umount()


def objects(rig, where):
    return json.loads(rig.servers[where].control("GET", "objects/mangrove").text)


def content(rig, where, key):
    return rig.servers[where].control("GET", "object/mangrove/" + urllib.parse.quote(key)).body


def test_written_objects():
    """Whole objects, in the clear, at close; small and large, new and over what was there; append; truncate; rename; unlink."""
    for where in ("aws", "azure", "google"):
        with Buckets() as rig:
            m = attach(rig, "data=" + rig.url(where))
            top = m.path("data")
            small, large = pattern("s", 70000), pattern("l", (50 << 20) + 12345)
            write_file(os.path.join(top, "small"), small)
            assert content(rig, where, "small") == small
            write_file(os.path.join(top, "large"), large)
            assert content(rig, where, "large") == large
            assert read_file(os.path.join(top, "large")) == large
            write_file(os.path.join(top, "empty"), b"")
            assert content(rig, where, "empty") == b""
            with open(os.path.join(top, "small"), "ab") as f:
                f.write(b"more")
            assert content(rig, where, "small") == small + b"more" == read_file(os.path.join(top, "small"))
            with open(os.path.join(top, "small"), "r+b") as f:
                f.seek(100)
                f.write(b"middle")
            assert content(rig, where, "small")[98:108] == small[98:100] + b"middle" + small[106:108]
            os.truncate(os.path.join(top, "small"), 10)
            assert content(rig, where, "small") == small[:10]
            os.mkdir(os.path.join(top, "d"))
            assert os.listdir(os.path.join(top, "d")) == []
            os.rename(os.path.join(top, "small"), os.path.join(top, "d", "moved"))
            assert content(rig, where, "d/moved") == small[:10] and not os.path.exists(os.path.join(top, "small"))
            os.replace(os.path.join(top, "d", "moved"), os.path.join(top, "empty"))
            assert content(rig, where, "empty") == small[:10]
            os.rmdir(os.path.join(top, "d"))
            os.unlink(os.path.join(top, "empty"))
            assert objects(rig, where) == ["large"], objects(rig, where)
            assert os.listdir(top) == ["large"]
            m.umount()
            m = attach(rig, "data=" + rig.url(where), cache=os.path.join(rig.tmp, "cache2"))
            assert files_below(m.path("data")) == {"large": large}
            m.umount()


def fails(number, call):
    try:
        call()
    except OSError as e:
        assert e.errno == number, (e, errno.errorcode[number])
        return
    raise AssertionError(f"no error, expected {errno.errorcode[number]}")


def test_only_the_writer_publishes():
    """Others that look into a new file, and children that close what they inherited, do not publish a half of it."""
    with Buckets() as rig:
        m = attach(rig, "data=" + rig.url("aws"))
        for size in (3000, 40 << 20):
            data, path = pattern(size, size), m.path(f"data/f{size}")
            fd = os.open(path, os.O_WRONLY | os.O_CREAT)
            os.set_inheritable(fd, True)
            with os.fdopen(fd, "wb", buffering=0) as f:
                f.write(data[:size - 1000])
                subprocess.run(["true"], close_fds=False, check=True)  # inherits it, and closes it at its end
                subprocess.run(["true"], check=True)
                if size < 1 << 20:
                    assert read_file(path) == data[:size - 1000]
                assert f"f{size}" not in objects(rig, "aws"), "half of a file is published"
                f.write(data[size - 1000:])
            assert content(rig, "aws", f"f{size}") == data
        m.umount()


def test_lost_races():
    """Somebody else wrote meanwhile: ESTALE, EEXIST for O_EXCL, and the other's object stays."""
    with Buckets() as rig:
        rig.put("aws", "f", b"old")
        m = attach(rig, "data=" + rig.url("aws"))
        fd = os.open(m.path("data/f"), os.O_WRONLY | os.O_TRUNC)
        os.write(fd, b"mine")
        rig.put("aws", "f", b"theirs")
        fails(errno.ESTALE, lambda: os.close(fd))
        assert content(rig, "aws", "f") == b"theirs"
        fd = os.open(m.path("data/new"), os.O_WRONLY | os.O_CREAT | os.O_EXCL)
        os.write(fd, b"mine")
        rig.put("aws", "new", b"theirs")
        fails(errno.EEXIST, lambda: os.close(fd))
        assert content(rig, "aws", "new") == b"theirs"
        fails(errno.EEXIST, lambda: os.open(m.path("data/f"), os.O_WRONLY | os.O_CREAT | os.O_EXCL))
        m.umount()


def test_cut_writes_leave_the_old_object():
    """Faults at each point of an upload: either the old or the new object, never a part; what fails says so."""
    with Buckets() as rig:
        old, new = pattern("old", 40 << 20), pattern("new", 41 << 20)
        rig.put("aws", "f", old)
        m = attach(rig, "data=" + rig.url("aws"), options="deadline=10s")
        for fault in ("reset_before", "reset_after", "short_body", "delay_apply"):
            for skip in range(0, 8, 2):
                rig.put("aws", "f", old)
                rig.run("refresh", m.path("data"))
                time.sleep(1.1)
                rig.servers["aws"].fault(op="any", fault=fault, skip=skip, count=1, ms=500)
                try:
                    write_file(m.path("data/f"), new)
                    expected = (new,)
                except OSError:
                    expected = (old, new)
                rig.servers["aws"].clear()
                assert content(rig, "aws", "f") in expected, (fault, skip)
        m.kill9()
        assert content(rig, "aws", "f") in (old, new)


def test_refused_in_a_bucket():
    with Buckets() as rig:
        rig.put("aws", "d/f", b"1")
        m = attach(rig, "data=" + rig.url("aws"))
        f, g = m.path("data/d/f"), m.path("data/d/g")
        fails(errno.EXDEV, lambda: os.rename(m.path("data/d"), m.path("data/e")))
        fails(errno.EPERM, lambda: os.link(f, g))
        fails(errno.ENOTEMPTY, lambda: os.rmdir(m.path("data/d")))
        fails(errno.EISDIR, lambda: os.unlink(m.path("data/d")))
        subprocess.run(["mv", m.path("data/d"), m.path("data/e")], check=True)
        assert objects(rig, "aws")[-1] == "e/f"
        m.umount()


def test_beside_a_volume():
    """[attach NAME] in a volume's configuration: a directory in its root; rename across is EXDEV, copying works."""
    with Buckets() as rig:
        rig.put("azure", "x/one", b"1" * 5000)
        rig.format()
        with open(rig.config, "a") as f:
            f.write(f"\n[attach raw]\nurl = {rig.url('azure')}\nread_only = true\n")
        m = rig.mount()
        os.mkdir(m.path("own"))
        write_file(m.path("own/f"), b"f")
        assert sorted(os.listdir(m.dir)) == ["own", "raw"]
        assert sorted(e.name for e in os.scandir(m.dir) if e.is_dir()) == ["own", "raw"]
        assert read_file(m.path("raw/x/one")) == b"1" * 5000
        try:
            os.rename(m.path("raw/x/one"), m.path("one"))
            raise AssertionError("renamed across places")
        except OSError as e:
            assert e.errno == errno.EXDEV, e
        subprocess.run(["cp", m.path("raw/x/one"), m.path("own/copy")], check=True)
        assert read_file(m.path("own/copy")) == b"1" * 5000
        for i in range(300):
            write_file(m.path(f"n{i}"), b"")
        assert len(os.listdir(m.dir)) == 302
        m.wait_healthy()
        m.umount()


def test_a_bucket_that_hangs():
    """Reads end by the deadline, a signal ends them at once, umount ends."""
    with Buckets() as rig:
        rig.put("aws", "f", pattern("f", 5 << 20))
        m = attach(rig, "data=" + rig.url("aws"), options="deadline=4s")
        assert os.stat(m.path("data/f")).st_size == 5 << 20
        halt(rig.servers["aws"].process.pid)
        try:
            try:
                read_file(m.path("data/f"))
                raise AssertionError("read from a server that hangs")
            except OSError as e:
                assert e.errno in (errno.EIO, errno.ETIMEDOUT), e
            child = subprocess.Popen(["cat", m.path("data/f")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(1)
            child.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a shell starts in the background
            assert child.wait(3) == -signal.SIGTERM
            m.umount()
        finally:
            os.kill(rig.servers["aws"].process.pid, signal.SIGCONT)


def mirrored(rig, options=""):
    config = os.path.join(rig.tmp, "mirrors.conf")
    write_file(config, f"[attach data]\nurl = {rig.url('aws')}\nmirror = {rig.url('google')}, {rig.url('azure')}\nttl = 2s\n".encode())
    return attach(rig, config, options=options)


def halted(rig, *names):
    @contextlib.contextmanager
    def block():
        for name in names:
            halt(rig.servers[name].process.pid)
        try:
            yield
        finally:
            for name in names:
                os.kill(rig.servers[name].process.pid, signal.SIGCONT)
    return block()


def test_mirrors_are_read_when_one_hangs():
    with Buckets() as rig:
        data = pattern("m", 60 << 20)
        for where in rig.servers:
            rig.put(where, "big", data)
        for name in rig.servers:
            m = mirrored(rig, "memory=256M")
            assert os.stat(m.path("data/big")).st_size == len(data)
            with open(m.path("data/big"), "rb", buffering=0) as f:
                seen, worst = f.read(1 << 20), 0
                with halted(rig, name):
                    while len(seen) < len(data):
                        begin = time.monotonic()
                        seen += f.read(1 << 20)
                        worst = max(worst, time.monotonic() - begin)
                assert seen == data
            print(f"   {name} hangs: longest wait of a read {worst:.2f} s")
            m.umount()
            shutil.rmtree(m.cache)


def test_what_a_mirror_missed_is_made_up():
    with Buckets() as rig:
        for where in rig.servers:
            rig.put(where, "old", b"old")
        m = mirrored(rig, "deadline=20s")
        small, large = pattern("s", 5000), pattern("l", 40 << 20)
        assert os.listdir(m.path("data")) == ["old"]
        with halted(rig, "google"):
            write_file(m.path("data/small"), small)
            write_file(m.path("data/large"), large)
            os.unlink(m.path("data/old"))
            assert read_file(m.path("data/large")) == large
            assert m.status()["mount"]["degraded"]
        wait_until(lambda: not m.status()["attached"][0]["missed"], "what was missed is made up")
        for where in rig.servers:
            assert objects(rig, where) == ["large", "small"], (where, objects(rig, where))
            assert content(rig, where, "small") == small and content(rig, where, "large") == large
        m.umount()


def test_readers_write_nothing():
    """Reading needs list and get alone, also from a store that refuses everything else and asks for no credentials."""
    with Buckets() as rig:
        for key, data in TREE.items():
            rig.put("aws", key, data)
        rig.servers["aws"].fault(op="put", fault="status", status=403, count=0)
        rig.servers["aws"].fault(op="delete", fault="status", status=403, count=0)
        m = attach(rig, "data=" + rig.url("aws"))
        assert files_below(m.path("data")) == TREE
        m.umount()
        asked = rig.requests("aws")
        assert not asked["put"] and not asked["delete"], asked


def test_public_buckets():
    """anonymous=true: no credentials, and no signature."""
    os.environ.setdefault("MANGROVE_STANDIN", program("mangrove-standin"))
    with Standin("gcs", "--bucket", "mangrove") as server, Rig(formatted=False) as rig:
        server.control("PUT", "object/mangrove/a", b"public")
        for name in [n for n in rig.env if n.startswith(("GOOGLE_", "AWS_", "AZURE_"))]:
            del rig.env[name]
        m = attach(rig, f"data=gs://mangrove?endpoint=http://127.0.0.1:{server.port}&anonymous=true")
        assert files_below(m.path("data")) == {"a": b"public"}
        m.umount()


def test_what_is_kept_here_is_sealed():
    """No file of the cache holds bytes of an object in the clear; a flipped bit in it is fetched again."""
    with Buckets() as rig:
        text = b"a line that can be recognised\n" * 40000
        rig.put("google", "text", text)
        m = attach(rig, "data=" + rig.url("google"))
        assert read_file(m.path("data/text")) == text
        m.umount()
        pieces = [os.path.join(d, f) for d, _, fs in os.walk(m.cache) for f in fs]
        assert sum(os.path.getsize(p) for p in pieces) > len(text), "nothing was kept"
        for path in pieces:
            assert text[:30] not in read_file(path), f"{path} holds an object in the clear"
        for path in pieces:
            if "/pieces/" in path and os.path.getsize(path) > 100000:
                data = bytearray(read_file(path))
                data[50000] ^= 1
                write_file(path, data)
        m = attach(rig, "data=" + rig.url("google"))
        assert read_file(m.path("data/text")) == text
        m.umount()


def test_odd_keys():
    """Each shape with its documented name, its bytes, and its key back; doctor lists them."""
    long = "n" * 300
    shapes = {"a//b": "a/%~e/b", "/x": "%~e/x", "a/./b": "a/%~./b", "a/../b": "a/%~../b", "both": "%~fboth", "both/in": "both/in",
              "marked/": "marked/%~m", "%~e": "%~%%~e", "%41": "%41", "ünï/cödé": "ünï/cödé", "sp ace": "sp ace", "folder_$folder$": None,
              "empty/": None, "back\\slash": "back\\slash", "new\nline": "new\nline", "q?&=+#": "q?&=+#", long: "%~x",
              "a b/ lead": "a b/ lead", "trail ": "trail ", "tab\tin": "tab\tin", "e\u0301": "e\u0301", "\u00e9": "\u00e9", "Case": "Case", "case": "case",
              "🌱/🌳": "🌱/🌳", ".hidden": ".hidden", "...": "...", "/".join("d" * 60): "/".join("d" * 60), "k" * 255: "k" * 255}
    with Buckets() as rig:
        for key, name in shapes.items():
            rig.put("aws", key, b"" if name is None else key.encode())
        m = attach(rig, "data=" + rig.url("aws"))
        found = files_below(m.path("data"))
        for key, name in shapes.items():
            if name == "%~x":
                assert [n for n in found if n.startswith("%~x") and len(n.encode()) <= 255 and found[n] == key.encode()], found.keys()
            elif name:
                assert found.pop(name, None) == key.encode(), (key, name, found.keys())
                assert os.getxattr(m.path("data", name), "user.mangrove.key").decode() == key
        assert os.path.isdir(m.path("data/folder")) and os.path.isdir(m.path("data/empty"))
        assert len(found) == 1, found.keys()
        said = rig.run("doctor", m.path("data")).stdout
        for name in ("%~e", "%~fboth", "%~m"):
            assert name in said, said
        m.umount()


def test_a_listing_that_fails_on_its_way():
    """A page that fails is asked for again; a store that goes on failing is an error, and what was listed before stays."""
    with Buckets() as rig:
        for i in range(5000):
            rig.put("aws", f"many/f{i:05}", b"")
        m = attach(rig, "data=" + rig.url("aws"), options="deadline=5s")
        rig.servers["aws"].fault(op="list", fault="status", status=503, skip=3, count=2)
        assert len(os.listdir(m.path("data/many"))) == 5000
        rig.servers["aws"].clear()
        rig.run("refresh", m.path("data"), "--deep")
        rig.servers["aws"].fault(op="list", fault="reset_after", count=0)
        assert len(os.listdir(m.path("data/many"))) == 5000
        rig.servers["aws"].clear()
        m.umount()


def test_mapped_and_interleaved():
    with Buckets() as rig:
        data = pattern("m", 20 << 20)
        rig.put("google", "model", data)
        m = attach(rig, "data=" + rig.url("google"))
        with open(m.path("data/model"), "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ) as mapped:
            for off in (0, 19 << 20, 7 << 20, 12345):
                assert mapped[off:off + 100000] == data[off:off + 100000]
        fds = [os.open(m.path("data/model"), os.O_RDONLY) for _ in range(4)]
        for step in range(5):
            for i, fd in enumerate(fds):
                off = i * (5 << 20) + step * (1 << 20)
                assert os.pread(fd, 1 << 20, off) == data[off:off + (1 << 20)]
        for fd in fds:
            os.close(fd)
        m.umount()


if __name__ == "__main__":
    main()
