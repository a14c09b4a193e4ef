#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What users get wrong, and what is wrong around them: one clear line on stderr, the right exit status (2: wrong usage, 1: failed), nothing
changed at the stores, and no secret in what is said. Keys and superblocks are in keys.py; more of the tool's mistakes in tool.py."""

import contextlib
import os
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, Skip, complaints, main, pattern, read_file, wait_until, write_file  # noqa: E402

SECRETS = ("SECRETKEY", "c2VjcmV0LWtleS1mb3ItdGVzdHM", "PRIVATE KEY", "Signature=", "sig=")


def quiet_about_secrets(text):
    for secret in SECRETS:
        assert secret not in text, f"a secret is said: {text}"


def refused(out, status, *words):
    """One line, that exit status, those words."""
    assert out.returncode == status, out
    assert len(out.stderr.strip().splitlines()) == 1, out.stderr
    assert out.stderr.startswith("mangrove: "), out.stderr
    for word in words:
        assert word in out.stderr, (word, out.stderr)
    quiet_about_secrets(out.stdout + out.stderr)


def contents(rig):
    return {os.path.join(d, f): read_file(os.path.join(d, f))
            for d, _, fs in os.walk(os.path.join(rig.tmp, "stores")) for f in fs}


def format_at(rig, *urls, config="new.conf"):
    stores = [word for url in urls for word in ("--store", url)]
    return rig.run("format", "new", "--config", os.path.join(rig.tmp, config), *stores, check=False)


@contextlib.contextmanager
def small_disk(path, mib):
    os.makedirs(path, exist_ok=True)
    out = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={mib}m", "none", path], capture_output=True, text=True)
    if out.returncode:
        raise Skip(f"no tmpfs can be mounted: {out.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", path], capture_output=True)


def fill(path, leave=0):
    """Nothing of the disk is free, but for `leave` bytes."""
    free = os.statvfs(path)
    with open(os.path.join(path, "ballast"), "wb") as f:
        with contextlib.suppress(OSError):
            f.write(b"\0" * (free.f_bavail * free.f_frsize - leave))
            f.flush()


def test_usage():
    with Rig() as rig:
        before = contents(rig)
        place = os.path.join(rig.tmp, "place")
        os.mkdir(place)
        for words, args in ((("stauts", "status"), ["stauts"]),
                            (("--jsno", "--json"), ["status", "--jsno"]),
                            (("cache_sise", "cache_size"), ["mount", rig.config, place, "-o", "cache_sise=1G"]),
                            (("freshness",), ["mount", rig.config, place, "-o", "freshness=soon"]),
                            (("--store",), ["format", "x"]),
                            (("--timeout",), ["status", "--timeout", "later"])):
            refused(rig.run(*args, check=False), 2, *words)
        assert contents(rig) == before


def test_urls():
    with Rig() as rig:
        for url, *words in (("ftp://host/x", "ftp"), ("s3://b?regoin=eu", "regoin", "region"), ("s3://", "bucket"),
                            ("azblob://account", "container"), ("file://relative/dir", "file://"),
                            (f"file://{rig.tmp}/nowhere", "nowhere")):
            out = format_at(rig, url)
            assert out.returncode in (1, 2), (url, out)
            refused(out, out.returncode, *words)
        assert not os.path.exists(os.path.join(rig.tmp, "new.conf"))
        assert not os.path.exists(os.path.join(rig.tmp, "new.key"))


def test_missing_bucket():
    with Rig("standin") as rig:
        refused(format_at(rig, rig.stores["aws"].replace("s3://mangrove/", "s3://nosuch/")), 1, "nosuch")
        refused(format_at(rig, rig.stores["azure"].replace("/mangrove/", "/nosuch/")), 1, "nosuch")
        refused(format_at(rig, rig.stores["google"].replace("gs://mangrove/", "gs://nosuch/")), 1, "nosuch")


def test_wrong_credentials():
    with Rig("standin") as rig:
        for name, value, store, word in (("AWS_SECRET_ACCESS_KEY", "wrong", "aws", "SignatureDoesNotMatch"),
                                         ("AZURE_STORAGE_KEY", "d3Jvbmc=", "azure", "403"),
                                         ("GOOGLE_APPLICATION_CREDENTIALS", "/nonexistent.json", "google", "nonexistent")):
            right, rig.env[name] = rig.env[name], value
            refused(format_at(rig, rig.stores[store].replace("/v?", "/other?")), 1, word)
            rig.env[name] = right


def test_expired_credentials_of_one_store():
    """The mount works without it, says so, and is whole again when the credentials are."""
    with Rig("standin") as rig:
        m = rig.mount()
        rig.servers["aws"].fault(op="any", fault="status", status=403, code="ExpiredToken", count=0)
        write_file(m.path("f"), pattern("e", 200000), sync=True)
        assert read_file(m.path("f")) == pattern("e", 200000)
        out = wait_until(lambda: (lambda o: o if o.returncode == 3 else None)(rig.run("status", m.dir, check=False)), "degraded")
        quiet_about_secrets(out.stdout + out.stderr + read_file(m.log).decode())
        rig.servers["aws"].clear()
        m.wait_healthy()


def test_clock_off_by_an_hour():
    with Rig("standin", formatted=False, standin_options=["--now", "20200101T000000Z"]) as rig:
        out = format_at(rig, rig.stores["aws"])
        refused(out, 1, "clock")


def test_mount_points():
    with Rig() as rig:
        m = rig.mount()
        other = os.path.join(rig.tmp, "c2")

        def at(place):
            return rig.run("mount", rig.config, place, "-o", f"listen=none,cache_dir={other}", check=False)
        plain = os.path.join(rig.tmp, "plain")
        write_file(plain, b"")
        occupied = os.path.join(rig.tmp, "occupied")
        os.makedirs(os.path.join(occupied, "child"))
        refused(at(os.path.join(rig.tmp, "missing")), 1, "missing")
        refused(at(plain), 1, "not a directory")
        refused(at(occupied), 1, "not empty")
        refused(at(m.dir), 1, "already mounted")
        assert os.listdir(occupied) == ["child"]


def test_damaged_configuration():
    with Rig() as rig:
        place = os.path.join(rig.tmp, "place")
        os.mkdir(place)
        good = read_file(rig.config).decode()
        bad = os.path.join(rig.tmp, "bad.conf")
        for text, *words in ((good + "[cahce]\nsize = 1G\n", "cahce", "cache"), (good + "[cache]\nsise = 1G\n", "sise", "size"),
                             (good + "[cache]\nsize = lots\n", "lots"), (good + "no equals sign\n", bad + ":"),
                             ("", bad), ("\0\1\2\3", bad)):
            write_file(bad, text.encode())
            refused(rig.run("mount", bad, place, check=False), 1, *words)
        # As fstab and --config have it: elsewhere, and by a relative path.
        folder, name = os.path.split(rig.config)
        options = f"listen=none,cache_dir={rig.tmp}/c,_netdev,nofail,x-systemd.automount,comment=x"
        for words in ([name, place], ["anything", place, "--config", rig.config]):
            out = subprocess.run([rig.mangrove, "mount", *words, "-o", options], cwd=folder, env=rig.env, capture_output=True, text=True,
                                 timeout=100)
            assert out.returncode == 0, out
            assert os.path.ismount(place)
            rig.run("umount", place)


def test_status_without_mounts():
    with Rig() as rig:
        rig.env["XDG_RUNTIME_DIR"] = os.path.join(rig.tmp, "run")
        refused(rig.run("status", rig.tmp, check=False), 1)
        refused(rig.run("sync", rig.tmp, check=False), 1)


def test_two_formats_at_once():
    with Rig(formatted=False) as rig:
        commands = []
        for i in range(2):
            args = [rig.mangrove, "format", f"v{i}", "--config", os.path.join(rig.tmp, f"v{i}.conf")]
            for name, url in rig.stores.items():
                args += ["--store", f"{name}={url}"]
            commands.append(subprocess.Popen(args, env=rig.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True))
        said = [c.communicate(timeout=100) for c in commands]
        won = [i for i, c in enumerate(commands) if c.returncode == 0]
        assert len(won) <= 1, f"two volumes in one place: {said}"
        for i, c in enumerate(commands):
            if i not in won:
                assert c.returncode == 1 and len(said[i][1].strip().splitlines()) == 1, said[i]
        if won:
            rig.config = os.path.join(rig.tmp, f"v{won[0]}.conf")
            m = rig.mount()
            write_file(m.path("f"), b"x", sync=True)


def test_one_damaged_superblock_warns():
    with Rig() as rig:
        path = os.path.join(rig.folder("azure"), "volume.0000000000000000")
        data = bytearray(read_file(path))
        data[-5] ^= 1
        write_file(path, data)
        m = rig.mount()
        write_file(m.path("f"), b"x", sync=True)
        assert any("azure" in line for line in complaints(m.log)), read_file(m.log)


def test_full_cache_disk():
    """Pieces find no room: nothing but speed is lost."""
    with Rig() as rig:
        disk = os.path.join(rig.tmp, "disk")
        with small_disk(disk, 200):
            m = rig.mount(cache=os.path.join(disk, "cache"))
            write_file(m.path("before"), pattern("before", 3 << 20), sync=True)
            fill(disk, leave=70 << 20)  # the names still have room, 60 MiB of pieces have not
            for i in range(10):
                write_file(m.path(f"f{i}"), pattern(i, 6 << 20), sync=True)
            m.umount()
            m = rig.mount(cache=os.path.join(disk, "cache"))
            for i in range(10):
                assert read_file(m.path(f"f{i}")) == pattern(i, 6 << 20)
            m.umount()


def test_no_room_for_names():
    """Not a byte is left: changes wait, fail after the deadline, and go on when there is room. What was acknowledged is there."""
    with Rig() as rig:
        disk = os.path.join(rig.tmp, "disk")
        cache = os.path.join(disk, "cache")
        with small_disk(disk, 128):
            m = rig.mount("deadline=3s", cache=cache)
            write_file(m.path("before"), pattern("before", 20000), sync=True)
            fill(disk)
            try:
                write_file(m.path("during"), pattern("during", 20000), sync=True)
            except OSError:
                pass
            else:
                raise AssertionError("acknowledged with no room for its name")
            assert "No space left" in read_file(m.log).decode(), read_file(m.log)
            assert read_file(m.path("before")) == pattern("before", 20000)
            refused(rig.mount(cache=os.path.join(disk, "new"), check=False), 1, "No space left")
            os.unlink(os.path.join(disk, "ballast"))
            write_file(m.path("after"), pattern("after", 20000), sync=True)
            pid = m.pid
            fill(disk)
            m.kill9(pid)
            refused(rig.mount(cache=cache, check=False), 1, "No space left")
            os.unlink(os.path.join(disk, "ballast"))
            again = rig.mount(cache=cache)
            for name in ("before", "after"):
                assert read_file(again.path(name)) == pattern(name, 20000), f"{name} is lost"
            again.umount()


def test_file_that_lost_its_name_before_the_crash():
    """Unlinked while open, and the daemon killed: nothing is visible afterwards, nothing complains."""
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("kept"), b"kept", sync=True)
        pid = m.pid
        f = open(m.path("orphan"), "wb", buffering=0)
        f.write(pattern("o", 300000))
        os.fsync(f.fileno())
        os.unlink(m.path("orphan"))
        rig.run("sync", m.dir)
        m.kill9(pid)
        with contextlib.suppress(OSError):
            f.close()
        again = rig.mount()
        assert os.listdir(again.dir) == ["kept"]
        again.wait_healthy()
        assert again.status()["namespace"]["files"] == 1, again.status()["namespace"]
        write_file(again.path("orphan"), b"another")
        again.umount()
        shutil.rmtree(again.cache)
        last = rig.mount()
        assert sorted(os.listdir(last.dir)) == ["kept", "orphan"] and read_file(last.path("orphan")) == b"another"
        assert not [line for line in complaints(last.log) if "dead mount" not in line], complaints(last.log)


if __name__ == "__main__":
    main()
