#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What POSIX promises, call by call: every scenario runs on a local file system and on a mount, and
everything it observes (results, errors, attributes, listings, contents) must be the same.

A scenario is a function of a Watch; the Watch performs calls and notes what came of them."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import shutil
import socket
import stat
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main  # noqa: E402

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
NOREPLACE, EXCHANGE = 1, 2
KEEP_SIZE, PUNCH_HOLE, ZERO_RANGE, COLLAPSE = 1, 2, 16, 8


def checked(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "")
    return result


def renameat2(a, b, flags):
    return checked(LIBC.renameat2(AT_FDCWD, os.fsencode(a), AT_FDCWD, os.fsencode(b), flags))


def fallocate(fd, mode, off, length):
    return checked(LIBC.fallocate(fd, mode, ctypes.c_long(off), ctypes.c_long(length)))


class Watch:
    """A working folder and the log of what happened in it."""

    def __init__(self, top):
        self.top, self.log, self.fds, self.inodes = top, [], {}, {}

    def p(self, name):
        return os.path.join(self.top, name) if name else self.top

    def note(self, *what):
        self.log.append(what)

    def do(self, label, call, *args, **kw):
        """Performs a call on paths as given; notes its result or its errno."""
        try:
            value = call(*args, **kw)
        except OSError as e:
            self.note(label, errno.errorcode.get(e.errno, e.errno))
            return None
        self.note(label, value if isinstance(value, (int, str, bytes, bool, list)) else None)
        return value

    def stat(self, name, times=()):
        """Attributes that must agree. Inode numbers by first appearance, times by comparison with earlier ones."""
        try:
            st = os.lstat(self.p(name))
        except OSError as e:
            return self.note("stat", name, errno.errorcode[e.errno])
        size = st.st_size if not stat.S_ISDIR(st.st_mode) else None
        # Which names are one file; numbers of single names may be used again by a local file system.
        number = self.inodes.setdefault(st.st_ino, len(self.inodes)) if (st.st_nlink > 1 and size is not None) else None
        nlink = st.st_nlink if not stat.S_ISDIR(st.st_mode) else None  # file systems differ about folders
        self.note("stat", name, oct(st.st_mode), nlink, st.st_uid, st.st_gid, size, number,
                  st.st_rdev if not stat.S_ISREG(st.st_mode) and not stat.S_ISDIR(st.st_mode) else 0)
        return st

    def grew(self, label, before, after, *fields):
        """Which times moved between two stats."""
        self.note("times", label, [f for f in fields if getattr(after, f) > getattr(before, f)],
                  [f for f in fields if getattr(after, f) < getattr(before, f)])

    def ls(self, name=""):
        self.do(f"ls {name}", lambda: sorted(os.listdir(self.p(name))))

    def cat(self, name):
        def read():
            with open(self.p(name), "rb") as f:
                return f.read()
        return self.do(f"cat {name}", read)

    def open(self, key, name, flags, mode=0o644):
        fd = self.do(f"open {name} {flags:o}", lambda: self.fds.__setitem__(key, os.open(self.p(name), flags, mode)))
        return self.fds.get(key, fd)

    def close(self, key):
        os.close(self.fds.pop(key))

    def write(self, name, data, mode=0o644):
        def put():
            fd = os.open(self.p(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
            try:
                return os.write(fd, data)
            finally:
                os.close(fd)
        self.do(f"write {name}", put)

    def end(self):
        for fd in self.fds.values():
            os.close(fd)


@contextlib.contextmanager
def user(uid, gid, groups=()):
    """Acts as somebody who is not root."""
    os.setgroups(list(groups))
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups([0])


def create_and_remove(w):
    for name in ("f", "d"):
        w.stat(name)
    w.open("f", "f", os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o640)
    w.open("g", "f", os.O_CREAT | os.O_EXCL | os.O_RDWR)
    w.stat("f")
    w.do("mkdir", os.mkdir, w.p("d"), 0o750)
    w.do("mkdir again", os.mkdir, w.p("d"))
    w.do("mkdir over file", os.mkdir, w.p("f"))
    w.do("mkdir in nothing", os.mkdir, w.p("no/x"))
    w.do("mkdir in file", os.mkdir, w.p("f/x"))
    w.do("rmdir file", os.rmdir, w.p("f"))
    w.do("unlink dir", os.unlink, w.p("d"))
    w.do("mkdir d/e", os.mkdir, w.p("d/e"))
    w.do("rmdir full", os.rmdir, w.p("d"))
    w.do("rmdir dot", os.rmdir, w.p("d/."))
    w.do("rmdir dotdot", os.rmdir, w.p("d/e/.."))
    w.ls()
    w.ls("d")
    w.do("rmdir e", os.rmdir, w.p("d/e"))
    w.do("rmdir d", os.rmdir, w.p("d"))
    w.do("unlink f", os.unlink, w.p("f"))
    w.do("unlink f again", os.unlink, w.p("f"))
    w.ls()


def long_names(w):
    for n in (1, 254, 255, 256):
        w.write("n" * n, b"x")
    w.do("mkdir long", os.mkdir, w.p("d" * 256))
    w.do("symlink long", os.symlink, "t", w.p("s" * 256))
    w.do("lookup long", os.stat, w.p("q" * 300))
    for name in ("ä", "名前", "a b", "a\\b", "-", "~", "a'b\"c", "\x01", "\x7f", "x" * 100 + "é"):
        w.write(name, name.encode())
        w.cat(name)
    w.do("bytes", lambda: os.close(os.open(os.fsencode(w.p("")) + b"/\xff\xfe", os.O_CREAT | os.O_WRONLY)))
    w.do("ls bytes", lambda: sorted(os.listdir(os.fsencode(w.p("")))))


def links(w):
    w.write("a", b"one")
    w.do("link", os.link, w.p("a"), w.p("b"))
    w.stat("a")
    w.stat("b")
    w.do("link over", os.link, w.p("a"), w.p("b"))
    w.do("link dir", os.mkdir, w.p("d"))
    w.do("link dir", os.link, w.p("d"), w.p("e"))
    w.do("link nothing", os.link, w.p("no"), w.p("x"))
    before = os.stat(w.p("a"))
    w.do("unlink a", os.unlink, w.p("a"))
    w.grew("unlink", before, os.stat(w.p("b")), "st_ctime_ns", "st_mtime_ns")
    w.stat("b")
    w.cat("b")
    for i in range(50):
        os.link(w.p("b"), w.p(f"l{i}"))
    w.stat("b")
    w.do("symlink", os.symlink, "b", w.p("s"))
    w.do("symlink over", os.symlink, "x", w.p("s"))
    w.stat("s")
    w.do("readlink", os.readlink, w.p("s"))
    w.do("readlink file", os.readlink, w.p("b"))
    w.cat("s")
    w.do("dangling", os.symlink, "nowhere", w.p("t"))
    w.cat("t")
    w.do("loop", os.symlink, "u", w.p("u"))
    w.cat("u")
    w.do("link a symlink", lambda: os.link(w.p("s"), w.p("s2"), follow_symlinks=False))
    w.stat("s2")
    w.do("long target", os.symlink, "t" * 4000, w.p("v"))
    w.do("readlink long", os.readlink, w.p("v"))
    w.do("too long target", os.symlink, "t" * 4096, w.p("w"))
    w.do("empty target", os.symlink, "", w.p("x"))


def renames(w):
    for name in ("a", "b", "c"):
        w.write(name, name.encode())
    for name in ("d", "e", "d/sub", "full"):
        os.mkdir(w.p(name))
    w.write("full/x", b"x")
    r = os.rename
    w.do("over file", r, w.p("a"), w.p("b"))
    w.cat("b")
    w.do("missing", r, w.p("a"), w.p("z"))
    w.do("file over dir", r, w.p("b"), w.p("d"))
    w.do("dir over file", r, w.p("d"), w.p("b"))
    w.do("dir over empty", r, w.p("d"), w.p("e"))
    w.ls("e")
    w.do("dir over full", r, w.p("e"), w.p("full"))
    w.do("into itself", r, w.p("e"), w.p("e/sub/x"))
    w.do("into child", r, w.p("e"), w.p("e/sub"))
    w.do("to itself", r, w.p("b"), w.p("b"))
    os.link(w.p("b"), w.p("b2"))
    w.do("hard links", r, w.p("b"), w.p("b2"))
    w.stat("b")
    w.stat("b2")
    w.do("across", r, w.p("c"), w.p("full/c"))
    w.do("dir across", r, w.p("full"), w.p("e/full"))
    w.ls("e/full")
    w.do("up", r, w.p("e/full/c"), w.p("c"))
    w.do("dot", r, w.p("e/."), w.p("g"))
    w.do("parent", lambda: os.listdir(w.p("e/full/../sub")))
    w.do("through file", r, w.p("c"), w.p("b2/x"))
    for flags, label in ((NOREPLACE, "noreplace"), (EXCHANGE, "exchange"), (NOREPLACE | EXCHANGE, "both"), (64, "odd")):
        w.do(f"{label} existing", renameat2, w.p("c"), w.p("b2"), flags)
        w.do(f"{label} missing", renameat2, w.p("c"), w.p("nothing"), flags)
        w.ls()
        w.cat("c")
        w.cat("b2")
        if not os.path.exists(w.p("c")):
            os.rename(w.p("nothing"), w.p("c"))
    w.do("exchange file and dir", renameat2, w.p("c"), w.p("e"), EXCHANGE)
    w.stat("c")
    w.stat("e")
    w.ls("c")
    w.do("exchange into itself", renameat2, w.p("c"), w.p("c/sub"), EXCHANGE)
    w.do("dirs", lambda: [os.mkdir(w.p(x)) for x in ("p", "q", "p/1", "q/2")] and 0)
    w.do("exchange dirs", renameat2, w.p("p/1"), w.p("q/2"), EXCHANGE)
    w.do("exchanged", lambda: [sorted(os.listdir(w.p(x))) for x in ("p", "q")])


def open_flags(w):
    w.open("x", "no", os.O_RDONLY)
    w.write("f", b"0123456789")
    w.open("ro", "f", os.O_RDONLY)
    w.do("write to ro", os.write, w.fds["ro"], b"x")
    w.open("wo", "f", os.O_WRONLY)
    w.do("read from wo", os.read, w.fds["wo"], 4)
    w.do("pread past", os.pread, w.fds["ro"], 10, 100)
    w.do("pread end", os.pread, w.fds["ro"], 100, 8)
    w.open("dir", "", os.O_RDONLY | os.O_DIRECTORY)
    w.open("notdir", "f", os.O_RDONLY | os.O_DIRECTORY)
    w.open("dirw", "", os.O_WRONLY)
    os.symlink("f", w.p("s"))
    w.open("nofollow", "s", os.O_RDONLY | os.O_NOFOLLOW)
    w.open("creat through file", "f/x", os.O_CREAT | os.O_WRONLY)
    w.open("tr", "f", os.O_WRONLY | os.O_TRUNC)
    w.stat("f")
    w.do("old reader", os.pread, w.fds["ro"], 10, 0)
    w.do("write after trunc", os.write, w.fds["tr"], b"new")
    w.do("old reader again", os.pread, w.fds["ro"], 10, 0)
    w.close("tr")
    w.cat("f")
    w.open("ap", "f", os.O_WRONLY | os.O_APPEND)
    w.do("append", os.write, w.fds["ap"], b"+1")
    w.do("pwrite append", os.pwrite, w.fds["ap"], b"+2", 0)
    w.do("seek append", os.lseek, w.fds["ap"], 0, os.SEEK_SET)
    w.do("append again", os.write, w.fds["ap"], b"+3")
    w.do("read while open", os.pread, w.fds["ro"], 100, 0)
    w.close("ap")
    w.cat("f")
    w.open("creat ro", "r", os.O_CREAT | os.O_WRONLY, 0o444)
    w.do("write though 0444", os.write, w.fds["creat ro"], b"ok")
    w.stat("r")


def truncation(w):
    w.write("f", b"abcdefghij" * 1000)
    fd = w.open("f", "f", os.O_RDWR)
    for size in (5000, 0, 3, 70000, 10, 1 << 20, 1 << 33, 12):
        w.do(f"truncate {size}", os.ftruncate, fd, size)
        w.stat("f")
        w.do("head", os.pread, fd, 64, 0)
        w.do("tail", os.pread, fd, 64, max(0, size - 32))
    w.do("path", os.truncate, w.p("f"), 5)
    w.do("negative", os.truncate, w.p("f"), -1)
    w.do("dir", os.truncate, w.p(""), 0)
    w.do("missing", os.truncate, w.p("no"), 0)
    before = os.stat(w.p("f"))
    w.do("same size", os.truncate, w.p("f"), 5)
    w.grew("same size", before, os.stat(w.p("f")), "st_mtime_ns", "st_ctime_ns")
    w.do("write", os.pwrite, fd, b"XY", 100)
    w.cat("f")
    w.do("cut dirty", os.ftruncate, fd, 101)
    w.cat("f")
    w.do("grow dirty", os.ftruncate, fd, 103)
    w.cat("f")
    w.do("sync", os.fsync, fd)
    w.cat("f")
    w.open("ro", "f", os.O_RDONLY)
    w.do("ftruncate ro", os.ftruncate, w.fds["ro"], 0)


def holes(w):
    fd = w.open("f", "f", os.O_RDWR | os.O_CREAT)
    block = 65536

    def sparse():
        return [os.pread(fd, 16, o) for o in range(0, 8 * block, block)]

    os.pwrite(fd, b"A" * block, 0)
    os.pwrite(fd, b"B" * block, 4 * block)
    for sync in (False, True):
        if sync:
            os.fsync(fd)
        for at in (0, 10, block, 2 * block, 4 * block, 5 * block - 1):
            w.do(f"data {at}", os.lseek, fd, at, os.SEEK_DATA)
            w.do(f"hole {at}", os.lseek, fd, at, os.SEEK_HOLE)
        w.do("data past", os.lseek, fd, 5 * block, os.SEEK_DATA)
        w.do("hole past", os.lseek, fd, 6 * block, os.SEEK_HOLE)
    w.do("alloc", fallocate, fd, 0, 0, 7 * block)
    w.stat("f")
    w.do("alloc keep", fallocate, fd, KEEP_SIZE, 0, 20 * block)
    w.stat("f")
    w.do("punch", fallocate, fd, PUNCH_HOLE | KEEP_SIZE, block // 2, block)
    w.do("bytes", sparse)
    w.do("edge", os.pread, fd, 8, block // 2 - 4)
    w.do("punch past end", fallocate, fd, PUNCH_HOLE | KEEP_SIZE, 6 * block, 10 * block)
    w.stat("f")
    w.do("punch alone", fallocate, fd, PUNCH_HOLE, 0, block)
    w.do("zero", fallocate, fd, ZERO_RANGE, 4 * block, block // 4)
    w.do("zero edge", os.pread, fd, 8, 4 * block + block // 4 - 4)
    w.do("zero grow", fallocate, fd, ZERO_RANGE, 9 * block, block)
    w.stat("f")
    w.do("zero keep", fallocate, fd, ZERO_RANGE | KEEP_SIZE, 12 * block, block)
    w.stat("f")
    w.do("len 0", fallocate, fd, 0, 0, 0)
    w.do("negative", fallocate, fd, 0, -1, 10)
    w.do("sync", os.fsync, fd)
    w.do("bytes synced", sparse)
    w.cat("f")


def writes(w):
    fd = w.open("f", "f", os.O_RDWR | os.O_CREAT)
    for off, size, byte in ((0, 10, b"a"), (5, 10, b"b"), (100, 5, b"c"), (50, 60, b"d"), (0, 1, b"e"), (109, 1, b"f"),
                            (200000, 3, b"g"), (199990, 30, b"h"), (65535, 2, b"i")):
        w.do(f"pwrite {off}", os.pwrite, fd, byte * size, off)
        w.stat("f")
    w.cat("f")
    os.fsync(fd)
    w.cat("f")
    for off, size, byte in ((3, 199999, b"j"), (65530, 12, b"k"), (10, 0, b"")):
        w.do(f"pwrite {off}", os.pwrite, fd, byte * size, off)
    w.cat("f")
    w.close("f")
    w.cat("f")
    w.do("writev", lambda: with_fd(w.p("v"), os.O_CREAT | os.O_WRONLY, lambda fd: os.writev(fd, [b"ab", b"", b"cd"])))
    w.cat("v")


def with_fd(path, flags, call):
    fd = os.open(path, flags, 0o644)
    try:
        return call(fd)
    finally:
        os.close(fd)


def unlinked_but_open(w):
    w.write("f", b"first")
    fd = w.open("f", "f", os.O_RDWR)
    w.do("unlink", os.unlink, w.p("f"))
    w.stat("f")
    w.do("nlink", lambda: os.fstat(fd).st_nlink)
    w.do("read", os.pread, fd, 10, 0)
    w.do("write", os.pwrite, fd, b"second" * 20000, 3)
    w.do("read again", lambda: len(os.pread(fd, 1 << 20, 0)))
    w.do("truncate", os.ftruncate, fd, 4)
    w.do("sync", os.fsync, fd)
    w.do("read last", os.pread, fd, 10, 0)
    w.do("chmod", os.fchmod, fd, 0o600)
    w.do("mode", lambda: oct(os.fstat(fd).st_mode))
    w.write("f", b"another")
    w.do("old still", os.pread, fd, 10, 0)
    w.cat("f")
    w.do("link back", lambda: os.link(f"/proc/self/fd/{fd}", w.p("back"), follow_symlinks=True))
    w.open("t", "t", os.O_RDWR | os.O_CREAT)
    w.write("u", b"replacement")
    w.do("write to be replaced", os.write, w.fds["t"], b"replaced")
    w.do("rename over open", os.rename, w.p("u"), w.p("t"))
    w.do("read replaced", os.pread, w.fds["t"], 20, 0)
    w.cat("t")
    os.mkdir(w.p("d"))
    w.open("d", "d", os.O_RDONLY)
    w.do("rmdir open", os.rmdir, w.p("d"))
    w.do("create in removed", lambda: os.close(os.open("x", os.O_CREAT | os.O_WRONLY, dir_fd=w.fds["d"])))
    w.do("list removed", os.listdir, w.fds["d"])


def modes_and_owners(w):
    w.write("f", b"x")
    os.mkdir(w.p("d"))
    for mode in (0o0, 0o644, 0o4755, 0o2755, 0o6755, 0o1777, 0o7777):
        for name in ("f", "d"):
            w.do(f"chmod {name} {mode:o}", os.chmod, w.p(name), mode)
            w.stat(name)
    w.do("chmod missing", os.chmod, w.p("no"), 0o600)
    w.do("chown", os.chown, w.p("f"), 1000, 1001)
    w.stat("f")
    w.do("chown one", os.chown, w.p("f"), -1, 1002)
    w.stat("f")
    os.chmod(w.p("f"), 0o6755)
    w.do("chown clears", os.chown, w.p("f"), 1003, -1)
    w.stat("f")
    os.symlink("f", w.p("s"))
    w.do("lchown", os.lchown, w.p("s"), 7, 8)
    w.stat("s")
    w.stat("f")
    before = os.stat(w.p("f"))
    os.chmod(w.p("f"), 0o640)
    w.grew("chmod", before, os.stat(w.p("f")), "st_ctime_ns", "st_mtime_ns")
    os.chmod(w.p("d"), 0o2775)
    os.chown(w.p("d"), 0, 1234)
    w.write("d/f", b"x")
    w.stat("d/f")
    os.mkdir(w.p("d/e"))
    w.stat("d/e")
    old = os.umask(0o027)
    w.write("masked", b"", 0o666)
    os.mkdir(w.p("maskedd"), 0o777)
    os.umask(old)
    w.stat("masked")
    w.stat("maskedd")


def permissions(w):
    os.chmod(w.p(""), 0o755)
    w.write("f", b"secret", 0o600)
    w.write("r", b"readable", 0o644)
    os.mkdir(w.p("closed"), 0o700)
    os.mkdir(w.p("sticky"), 0o777)
    os.chmod(w.p("sticky"), 0o1777)
    os.mkdir(w.p("open"), 0o777)
    os.chmod(w.p("open"), 0o777)
    w.write("sticky/root", b"x")
    w.write("open/suid", b"x")
    os.chown(w.p("open/suid"), 1000, 1000)
    os.chmod(w.p("open/suid"), 0o6777)
    with user(1000, 1000, [1000]):
        w.open("f", "f", os.O_RDONLY)
        w.cat("r")
        w.open("rw", "r", os.O_WRONLY)
        w.ls("closed")
        w.do("enter", os.stat, w.p("closed/x"))
        w.do("create", lambda: os.close(os.open(w.p("new"), os.O_CREAT | os.O_WRONLY)))
        w.do("chmod", os.chmod, w.p("r"), 0o777)
        w.do("chown", os.chown, w.p("r"), 1000, -1)
        w.do("utime", os.utime, w.p("r"))
        w.do("truncate", os.truncate, w.p("r"), 0)
        w.do("unlink sticky", os.unlink, w.p("sticky/root"))
        w.do("rename sticky", os.rename, w.p("sticky/root"), w.p("sticky/x"))
        w.write("sticky/mine", b"x")
        w.stat("sticky/mine")
        w.do("unlink mine", os.unlink, w.p("sticky/mine"))
        w.write("open/own", b"x")
        w.do("give away", os.chown, w.p("open/own"), 1001, -1)
        w.do("own chmod", os.chmod, w.p("open/own"), 0o2755)
        w.stat("open/own")
        w.do("write suid", lambda: with_fd(w.p("open/suid"), os.O_WRONLY, lambda fd: os.write(fd, b"y")))
        w.do("access", lambda: [os.access(w.p("r"), m, effective_ids=True) for m in (os.R_OK, os.W_OK, os.X_OK)])
    w.stat("open/suid")


def times(w):
    w.write("f", b"x")
    os.mkdir(w.p("d"))
    ns = 1_000_000_000
    for a, m in ((0, 0), (5 * ns, 7 * ns + 123456789), (1 << 31, (1 << 31) * ns), (253402300799 * ns // 100, 4102444800 * ns)):
        w.do("utime", os.utime, w.p("f"), ns=(a, m))
        st = os.stat(w.p("f"))
        w.note("times", st.st_mtime_ns)
    before = os.stat(w.p("f"))
    w.do("now", os.utime, w.p("f"))
    after = os.stat(w.p("f"))
    w.grew("now", before, after, "st_ctime_ns")
    fd = w.open("f", "f", os.O_RDWR)
    os.write(fd, b"yy")
    os.utime(fd, ns=(11 * ns, 12 * ns))
    w.note("mtime", os.stat(w.p("f")).st_mtime_ns)
    w.close("f")
    w.note("mtime after close", os.stat(w.p("f")).st_mtime_ns)
    w.cat("f")
    w.note("mtime after read", os.stat(w.p("f")).st_mtime_ns)

    def parent(label, call, *args):
        before = os.stat(w.p("d"))
        w.do(label, call, *args)
        w.grew(label, before, os.stat(w.p("d")), "st_mtime_ns", "st_ctime_ns")

    parent("create", lambda: os.close(os.open(w.p("d/x"), os.O_CREAT | os.O_WRONLY)))
    parent("link", os.link, w.p("d/x"), w.p("d/y"))
    parent("rename", os.rename, w.p("d/x"), w.p("d/z"))
    parent("unlink", os.unlink, w.p("d/z"))
    parent("mkdir", os.mkdir, w.p("d/s"))
    parent("rmdir", os.rmdir, w.p("d/s"))
    parent("symlink", os.symlink, "x", w.p("d/l"))
    parent("mknod", os.mknod, w.p("d/n"), 0o644 | stat.S_IFIFO)
    parent("read", lambda: len(os.listdir(w.p("d"))))
    parent("failed create", os.mkdir, w.p("d/y"))
    parent("write in it", lambda: with_fd(w.p("d/y"), os.O_WRONLY, lambda fd: os.write(fd, b"1")))


def xattrs(w):
    w.write("f", b"x")
    os.mkdir(w.p("d"))
    for name in ("f", "d"):
        path = w.p(name)
        w.do("get missing", os.getxattr, path, "user.a")
        w.do("set", os.setxattr, path, "user.a", b"1")
        w.do("get", os.getxattr, path, "user.a")
        w.do("create", os.setxattr, path, "user.a", b"2", os.XATTR_CREATE)
        w.do("replace", os.setxattr, path, "user.a", b"3", os.XATTR_REPLACE)
        w.do("replace missing", os.setxattr, path, "user.b", b"3", os.XATTR_REPLACE)
        w.do("empty", os.setxattr, path, "user.empty", b"")
        w.do("get empty", os.getxattr, path, "user.empty")
        w.do("trusted", os.setxattr, path, "trusted.t", b"t")
        w.do("list", lambda: sorted(n for n in os.listxattr(path) if not n.startswith("security.")))
        w.do("remove", os.removexattr, path, "user.a")
        w.do("remove again", os.removexattr, path, "user.a")
        w.do("binary", os.setxattr, path, "user.bin", bytes(range(256)))
        w.do("get binary", os.getxattr, path, "user.bin")
        w.do("no class", os.setxattr, path, "nothing", b"x")
        w.do("other class", os.setxattr, path, "other.x", b"x")
        w.do("long name", os.setxattr, path, "user." + "n" * 251, b"x")
    before = os.stat(w.p("f"))
    os.setxattr(w.p("f"), "user.c", b"1")
    w.grew("setxattr", before, os.stat(w.p("f")), "st_ctime_ns", "st_mtime_ns")


def special_files(w):
    w.do("fifo", os.mkfifo, w.p("fifo"), 0o640)
    w.do("char", os.mknod, w.p("null"), 0o666 | stat.S_IFCHR, os.makedev(1, 3))
    w.do("block", os.mknod, w.p("blk"), 0o600 | stat.S_IFBLK, os.makedev(7, 0))
    w.do("reg", os.mknod, w.p("reg"), 0o600 | stat.S_IFREG)
    w.do("again", os.mknod, w.p("reg"), 0o600 | stat.S_IFREG)
    for name in ("fifo", "null", "blk", "reg"):
        w.stat(name)

    def sock():
        s = socket.socket(socket.AF_UNIX)
        with contextlib.closing(s):
            os.chdir(w.p(""))
            try:
                s.bind("sock")
            finally:
                os.chdir("/")
    w.do("socket", sock)
    w.stat("sock")
    fd = os.open(w.p("fifo"), os.O_RDWR | os.O_NONBLOCK)
    os.write(fd, b"through")
    w.do("fifo data", os.read, fd, 10)
    os.close(fd)
    w.do("rename fifo", os.rename, w.p("fifo"), w.p("fifo2"))
    w.do("unlink", lambda: [os.unlink(w.p(n)) for n in ("fifo2", "null", "blk", "sock")] and 0)
    w.ls()


def memory_maps(w):
    w.write("f", bytes(range(256)) * 1024)
    fd = w.open("f", "f", os.O_RDWR)
    with mmap.mmap(fd, 0) as m:
        w.note(bytes(m[:16]), bytes(m[-16:]), len(m))
        m[10:20] = b"0123456789"
        m[200000:200004] = b"MMAP"
        m.flush()
        w.do("seen by read", os.pread, fd, 16, 8)
        os.pwrite(fd, b"PWRITE", 100)
        w.note(bytes(m[98:110]))
    w.close("f")
    w.cat("f")
    fd = w.open("p", "f", os.O_RDONLY)
    with mmap.mmap(fd, 0, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as m:
        m[0:4] = b"priv"
        w.note(bytes(m[:8]))
    w.cat("f")


def direct_io(w):
    page = mmap.mmap(-1, 8192)
    page[:] = bytes(range(256)) * 32
    try:
        fd = os.open(w.p("f"), os.O_RDWR | os.O_CREAT | os.O_DIRECT)
    except OSError:
        return w.note("no O_DIRECT")
    w.note("direct")
    os.pwritev(fd, [page], 0)
    os.pwritev(fd, [page], 16384)
    back = mmap.mmap(-1, 8192)
    w.note(os.preadv(fd, [back], 4096), bytes(back[:4096]) == bytes(page[4096:]))
    w.note(os.preadv(fd, [back], 16384), bytes(back) == bytes(page))
    os.close(fd)
    w.cat("f")


def directories(w):
    for i in range(500):
        w.write(f"f{i:04}", b"")
    w.ls()
    seen = []
    with os.scandir(w.p("")) as it:
        for n, e in enumerate(it):
            seen.append(e.name)
            if n % 3 == 0:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(w.p(f"f{n:04}"))
    w.note("each once", len(seen) == len(set(seen)))
    rest = sorted(os.listdir(w.p("")))
    w.note("survivors were seen", set(rest) <= set(seen), len(rest))
    w.do("many dirs", lambda: [os.makedirs(w.p(f"x/{i}/y")) for i in range(40)] and 0)
    w.do("walk", lambda: sorted(os.path.relpath(d, w.p("")) for d, _, _ in os.walk(w.p("x"))))
    w.do("rmtree", lambda: shutil.rmtree(w.p("x")))
    w.ls()
    w.do("dots", lambda: [os.stat(w.p("f0001/..")) and 1])
    w.do("deep", lambda: os.makedirs(w.p("/".join(["d"] * 60))))
    w.do("dot entries", lambda: sorted(n for n in scandir_raw(w.p("")) if n.startswith(".")))


def scandir_raw(path):
    out = os.popen(f"ls -a '{path}'").read().split()
    return out


def copy_ranges(w):
    w.write("a", b"0123456789" * 20000)
    a, b = w.open("a", "a", os.O_RDWR), w.open("b", "b", os.O_RDWR | os.O_CREAT)

    def copy(src, dst, n, so, do):
        """The whole range, however many calls it takes."""
        done = 0
        while done < n:
            k = os.copy_file_range(src, dst, n - done, so + done, do + done)
            if k == 0:
                break
            done += k
        return done
    w.do("all", copy, a, b, 200000, 0, 0)
    w.cat("b")
    w.do("part", copy, a, b, 1000, 5, 150000)
    w.do("past end", copy, a, b, 1000, 199990, 0)
    w.do("beyond", copy, a, b, 1000, 300000, 0)
    w.do("extends", copy, a, b, 100, 0, 250000)
    w.stat("b")
    w.cat("b")
    w.do("overlap", copy, a, a, 100, 0, 50)
    w.do("within", copy, a, a, 100, 0, 100000)
    os.pwrite(a, b"changed", 0)
    w.do("independent", os.pread, b, 10, 0)
    w.cat("a")


def locks(w):
    a, b = w.open("a", "l", os.O_RDWR | os.O_CREAT), w.open("b", "l", os.O_RDWR)
    w.do("flock", lambda: fcntl.flock(a, fcntl.LOCK_EX | fcntl.LOCK_NB))
    w.do("flock taken", lambda: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB))
    w.do("unlock", lambda: fcntl.flock(a, fcntl.LOCK_UN))
    w.do("flock free", lambda: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB))
    w.do("record lock", lambda: fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 10, 0))


def replace_in_place(w):
    """The idioms programs use to publish a new version."""
    w.write("conf", b"old")
    w.write("conf.tmp", b"new")
    os.rename(w.p("conf.tmp"), w.p("conf"))
    w.cat("conf")
    fd = w.open("r", "conf", os.O_RDONLY)
    w.write("conf.tmp", b"newer")
    os.replace(w.p("conf.tmp"), w.p("conf"))
    w.do("reader keeps its version", os.pread, fd, 10, 0)
    w.cat("conf")
    w.write("conf", b"short")
    w.write("conf", b"much longer than before")
    w.cat("conf")
    w.write("conf", b"")
    w.stat("conf")
    t = tempfile.NamedTemporaryFile(dir=w.p(""), delete=False)
    t.write(b"temp")
    t.close()
    os.rename(t.name, w.p("done"))
    w.cat("done")


SCENARIOS = [create_and_remove, long_names, links, renames, open_flags, truncation, holes, writes, unlinked_but_open,
             modes_and_owners, permissions, times, xattrs, special_files, memory_maps, direct_io, directories,
             copy_ranges, locks, replace_in_place]


def observe(scenario, top):
    folder = os.path.join(top, scenario.__name__)
    os.mkdir(folder)
    w = Watch(folder)
    try:
        scenario(w)
    finally:
        w.end()
    return w.log


def compare(scenario, rig, mount, reference):
    want, got = observe(scenario, reference), observe(scenario, mount.dir)
    for i, (a, b) in enumerate(zip(want, got)):
        if a != b:
            before = "\n".join(f"   {x!r:.200}" for x in want[max(0, i - 3):i])
            raise AssertionError(f"{scenario.__name__}, observation {i}:\n{before}\n local {a!r:.600}\n mount {b!r:.600}")
    assert len(want) == len(got), f"{scenario.__name__}: {len(want)} observations against {len(got)}"


def make_test(scenario, shared):
    def test():
        compare(scenario, shared["rig"], shared["mount"], shared["reference"])
    test.__name__ = f"test_{scenario.__name__}"
    return test


def let_through(folder):
    """Other users may pass: through the folder, and what the test's runner made above it."""
    while folder != "/" and not os.stat(folder).st_mode & 0o001:
        os.chmod(folder, os.stat(folder).st_mode | 0o055)
        folder = os.path.dirname(folder)


if __name__ == "__main__":
    shared = {}
    with contextlib.ExitStack() as stack:
        rig = stack.enter_context(Rig())
        # A local file system with everything: not tmpfs, which lacks some of it.
        reference = tempfile.mkdtemp(prefix="mangrove-reference-", dir=os.environ.get("MANGROVE_REFERENCE", "/var/tmp"))
        stack.callback(shutil.rmtree, reference, ignore_errors=True)
        shared.update(rig=rig, mount=rig.mount("allow_other"), reference=reference)
        for folder in (reference, rig.tmp):
            let_through(folder)
        for s in SCENARIOS:
            globals()[f"test_{s.__name__}"] = make_test(s, shared)
        main()
