#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The tool: what it refuses in one line, what it answers to programs, and the two faces of the control socket."""

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import time
import urllib.error
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Rig, main, read_file, wait_until, write_file  # noqa: E402

FIELDS = {
    "version": str,
    "volume": {"name": str, "id": str, "format": int},
    "mount": {"dir": str, "pid": int, "incarnation": str, "uptime": float, "degraded": bool, "read_only": bool},
    "journal": {"applied_slot": int, "tip_slot": int, "owner": str, "owned": bool, "pending_operations": int,
                "commit_seconds": {"p50": float, "p99": float}, "state_hash": str},
    "namespace": {"files": int, "directories": int, "bytes": int},
    "cache": {"dir": str, "bytes": int, "limit": int, "hits": int, "misses": int},
    "pending": {"dirty_bytes": int, "staged_chunks": int, "staged_bytes": int, "oldest_seconds": float},
    "operations": {"count": int, "latency_seconds": {"p50": float, "p99": float}, "kinds": list},
    "counters": {"lost_operations": int, "corrupt_frames": int, "repaired_chunks": int},
}
STORE_FIELDS = {
    "name": str, "url": str, "state": str, "breaker": str, "latency_seconds": {"p50": float, "p95": float},
    "throughput": float, "requests": int, "errors": int, "hedged": int, "bytes_read": int, "bytes_written": int,
    "in_flight_chunks": int, "deficit_chunks": int, "deficit_bytes": int, "bad_chunks": int, "lag_seconds": float,
    "last_error": (str, type(None)), "cost": float,
    "spending": {"reads": int, "writes": int, "read_price": float, "write_price": float, "reads_price": float, "writes_price": float},
}


def has_fields(value, fields, where="status"):
    for name, kind in fields.items():
        assert name in value, f"{where}.{name} is missing"
        if isinstance(kind, dict):
            has_fields(value[name], kind, f"{where}.{name}")
        else:
            assert isinstance(value[name], kind), f"{where}.{name} = {value[name]!r}"


def fails(rig, status, *words, args):
    out = rig.run(*args, check=False)
    assert out.returncode == status, out
    assert len(out.stderr.strip().splitlines()) == 1, out.stderr
    for word in words:
        assert word in out.stderr, out.stderr


def test_status_has_every_field():
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"x" * 100000)
        st = m.status()
        has_fields(st, FIELDS)
        assert [s["name"] for s in st["stores"]] == ["aws", "azure", "google"]
        for store in st["stores"]:
            has_fields(store, STORE_FIELDS, "stores[]")
        assert st["namespace"]["files"] == 1 and st["mount"]["dir"] == m.dir
        table = rig.run("status", m.dir).stdout
        assert "aws" in table and "healthy" in table and "COST" in table
        assert rig.run("status", rig.name, "--json").returncode == 0


def test_attributes_that_are_computed():
    with Rig() as rig:
        m = rig.mount()
        for content in (b"", b"x", os.urandom(3 << 20), os.urandom((5 << 20) + 17)):
            write_file(m.path("f"), content)
            assert os.getxattr(m.path("f"), "user.mangrove.sha256").decode() == hashlib.sha256(content).hexdigest(), len(content)
        with open(m.path("f"), "r+b") as f:  # what is written and not sent yet counts
            f.write(b"changed")
            f.flush()
            assert os.getxattr(m.path("f"), "user.mangrove.sha256").decode() == hashlib.sha256(b"changed" + content[7:]).hexdigest()
        assert int(os.getxattr(m.path("f"), "user.mangrove.inode")) == os.stat(m.path("f")).st_ino
        assert os.listxattr(m.path("f")) == []
        for path, name in ((m.dir, "user.mangrove.sha256"), (m.path("f"), "user.mangrove.nosuch")):
            try:
                os.getxattr(path, name)
                raise AssertionError(f"{path} has {name}")
            except OSError as e:
                assert e.errno == errno.ENODATA, e


def test_costs():
    """What was asked, at the configured prices; without them, at those of the provider's list (a folder's: nothing)."""
    with Rig() as rig:
        text = read_file(rig.config).decode()
        write_file(rig.config, re.sub(r"(?m)^(\[store aws\])$", r"\1\nread_price = 2\nwrite_price = 1000\nreads_price = 10\nwrites_price = 100", text).encode())
        m = rig.mount("listen=127.0.0.1:0")
        write_file(m.path("f"), os.urandom(5 << 20), sync=True)
        aws, azure = m.store("aws"), m.store("azure")
        used = aws["spending"]
        assert aws["bytes_written"] > 5 << 20 and used["writes"] > 0 and used["reads"] > 0, aws
        expected = aws["bytes_read"] / 1e9 * 2 + aws["bytes_written"] / 1e9 * 1000 + used["reads"] / 1000 * 10 + used["writes"] / 1000 * 100
        assert abs(aws["cost"] - expected) < 1e-6, (aws, expected)
        assert azure["cost"] == 0, azure
        metrics = urllib.request.urlopen(f"http://{m.status()['mount']['listen']}/metrics").read().decode()
        assert float(re.search(r'mangrove_store_cost_total{store="aws"} (\S+)', metrics).group(1)) > aws["cost"] - 1e-6  # digits


def test_mistakes_are_one_line():
    with Rig() as rig:
        place = os.path.join(rig.tmp, "place")
        os.mkdir(place)
        mount = ["mount", rig.config, place]
        fails(rig, 2, "alow_other", "allow_other", args=[*mount, "-o", "alow_other"])
        fails(rig, 2, "memory", args=[*mount, "-o", "memory=much"])
        fails(rig, 2, "unknown command 'mont'", "mount", args=["mont"])
        fails(rig, 2, "--forground", "--foreground", args=[*mount, "--forground"])
        fails(rig, 2, "usage", args=["mount", rig.config])
        fails(rig, 1, "no volume 'nosuch'", args=["mount", "nosuch", place])
        fails(rig, 1, "unknown kind of store", args=["mount", "ftp://x", place])
        fails(rig, 1, "No such file", args=["mount", rig.config, place + "2"])
        write_file(os.path.join(place, "occupied"), b"")
        fails(rig, 1, "not empty", args=mount)
        os.unlink(os.path.join(place, "occupied"))
        fails(rig, 1, "listen=nonsense", args=[*mount, "-o", f"listen=nonsense,cache_dir={rig.tmp}/c"])
        fails(rig, 1, "not a mangrove mount", args=["umount", place])
        bad = os.path.join(rig.tmp, "bad.conf")
        write_file(bad, b"[volume]\nname = x\n[store a]\nrul = file:///a\n")
        fails(rig, 1, bad + ":4", "did you mean 'url'", args=["mount", bad, place])
        fails(rig, 1, "does not exist", args=["format", "new", "--config", rig.config + "2", "--store",
                                              f"file://{rig.tmp}/nowhere"])


def test_cache_folder_in_use():
    with Rig() as rig:
        m = rig.mount()
        out = rig.mount(check=False)
        assert out.returncode == 1 and "in use" in out.stderr, out
        below = rig.mount(check=False, cache=os.path.join(m.dir, "cache"))
        assert below.returncode == 1 and "FUSE" in below.stderr, below


def test_a_mount_that_is_in_use():
    """Who looks in for a moment keeps nobody from unmounting; who stays does."""
    with Rig() as rig:
        m = rig.mount()
        write_file(m.path("f"), b"x")
        with open(m.path("f"), "rb"):
            out = m.umount(check=False)
        assert out.returncode == 1 and "in use" in out.stderr, out
        f = open(m.path("f"), "rb")
        glance = threading.Timer(1, f.close)
        glance.start()
        m.umount()
        glance.join()


def test_already_mounted_and_dead_mounts():
    with Rig() as rig:
        m = rig.mount()
        out = rig.mount(directory=m.dir, cache=os.path.join(rig.tmp, "cache2"), check=False)
        assert out.returncode == 1 and "already mounted" in out.stderr, out
        m.kill9()
        again = rig.mount(directory=m.dir)
        assert os.listdir(again.dir) == []
        again.umount()
        assert rig.run("umount", m.dir, check=False).returncode == 1


def test_as_mount_calls_it():
    with Rig() as rig:
        helper = os.path.join(rig.tmp, "mount.mangrove")
        os.symlink(rig.mangrove, helper)
        os.symlink(rig.mangrove, os.path.join(rig.tmp, "umount.mangrove"))
        place = os.path.join(rig.tmp, "place")
        os.mkdir(place)
        program, rig.mangrove = rig.mangrove, helper
        options = f"rw,_netdev,nofail,noatime,x-systemd.requires=network.target,listen=none,cache_dir={rig.tmp}/c"
        rig.run(rig.config, place, "-n", "-o", options)
        rig.mangrove = program
        with open("/proc/self/mountinfo") as f:
            line = next(line for line in f if f" {place} " in line)
        assert "fuse.mangrove" in line and "noatime" in line, line
        rig.mangrove = os.path.join(rig.tmp, "umount.mangrove")
        rig.run(place)
        rig.mangrove = program
        assert not os.path.ismount(place)


def test_one_store_away():
    with Rig() as rig:
        shutil.move(rig.folder("azure"), rig.folder("azure") + ".away")
        m = rig.mount()
        write_file(m.path("f"), os.urandom(300000))
        out = rig.run("status", m.dir, check=False)
        assert out.returncode == 3 and "down" in out.stdout, out
        wait_until(lambda: m.store("azure")["deficit_chunks"], "a deficit")
        out = rig.run("where", m.path("f"), check=False)
        assert out.returncode == 3 and "incomplete" in out.stdout, out
        shutil.move(rig.folder("azure") + ".away", rig.folder("azure"))
        assert rig.run("status", m.dir, "--wait", "--timeout", "100s").returncode == 0
        out = rig.run("where", m.path("f"), "--json")
        where = json.loads(out.stdout)
        assert {s["name"]: s["chunks"] for s in where["stores"]} == {"aws": 1, "azure": 1, "google": 1}, where
        rig.run("sync", m.dir, "--all")


def test_too_many_stores_away():
    with Rig() as rig:
        for name in ("azure", "google"):
            shutil.move(rig.folder(name), rig.folder(name) + ".away")
        out = rig.mount("deadline=3s", check=False)
        assert not hasattr(out, "dir") and out.returncode == 1, out
        assert len(out.stderr.strip().splitlines()) == 1, out.stderr


def unix_request(path, method, target):
    class Connection(http.client.HTTPConnection):
        def connect(self):
            self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            self.sock.settimeout(60)
            self.sock.connect(path)
    c = Connection("mangrove")
    c.request(method, target)
    r = c.getresponse()
    return r.status, r.read().decode()


def test_two_faces():
    with Rig() as rig:
        m = rig.mount("listen=127.0.0.1:0")
        mount = m.status()["mount"]
        assert os.stat(mount["socket"]).st_mode & 0o777 == 0o600
        base = f"http://{mount['listen']}"
        has_fields(json.load(urllib.request.urlopen(base + "/status")), FIELDS)
        text = urllib.request.urlopen(base + "/metrics").read().decode()
        for line in ('mangrove_store_up{store="aws"} 1', 'mangrove_deficit_bytes{store="azure"} 0', "mangrove_cache_bytes",
                     'mangrove_store_request_seconds_count{store="aws",operation="put"}',
                     'mangrove_store_errors_total{store="google"} 0', "mangrove_journal_commit_seconds_count",
                     "mangrove_lost_operations_total 0"):
            assert line in text, text
        assert b"<!doctype html>" in urllib.request.urlopen(base + "/").read()
        for method, path, status in (("POST", "/sync", 403), ("GET", "/where?path=/", 403), ("GET", "/changes", 403), ("GET", "/log", 403), ("POST", "/status", 405),
                                     ("GET", "/nosuch", 404), ("GET", "/../etc/passwd", 404)):
            try:
                urllib.request.urlopen(urllib.request.Request(base + path, method=method))
                raise AssertionError(f"{method} {path} was answered")
            except urllib.error.HTTPError as e:
                assert e.code == status, (method, path, e.code)
                assert "error" in json.load(e)
        sock = mount["socket"]
        assert unix_request(sock, "POST", "/sync")[0] == 200
        assert unix_request(sock, "POST", "/sync?timeout=soon")[0] == 400
        assert unix_request(sock, "POST", "/drill?store=nosuch")[0] == 404
        assert unix_request(sock, "POST", "/drill?store=aws&mode=fire")[0] == 400
        assert unix_request(sock, "POST", "/loglevel?level=loud")[0] == 400
        assert unix_request(sock, "GET", "/where?path=/none")[0] == 404
        m.umount()
        assert not os.path.exists(sock)


def test_drill():
    """A store refuses while programs write: no error, and all that it missed is there afterwards."""
    with Rig() as rig:
        m = rig.mount()
        drill = subprocess.Popen([rig.mangrove, "drill", "azure", m.dir, "--for", "5s", "--json"], env=rig.env, text=True, stdout=subprocess.PIPE)
        wait_until(lambda: m.store("azure")["drill"] == "down", "the drill")
        second = rig.run("drill", "aws", m.dir, "--for", "5s", check=False)
        assert second.returncode == 1 and "a drill is going on" in second.stderr, second
        for i in range(4):
            write_file(m.path(f"f{i}"), os.urandom(200000), sync=True)
        out = json.loads(drill.communicate(timeout=100)[0])
        assert drill.returncode == 0 and out["detected"] and out["recovered"] and out["program_errors"] == 0, out
        assert out["deficits_made"] >= 1 and out["deficits_repaired"] == out["deficits_made"] and out["longest_stall_seconds"] > 0, out
        assert m.store("azure")["drill"] is None
        text = rig.run("drill", "aws", m.dir, "--for", "1s", "--mode", "errors").stdout
        for word in ("aws, errors", "errors seen by programs  0", "longest stall", "deficits made, repaired"):
            assert word in text, text
        rig.run("drill", "aws", m.dir, "--mode", "none")


def test_drill_of_wrong_bytes():
    with Rig() as rig:
        m = rig.mount()
        data = {f"f{i}": os.urandom(200000) for i in range(6)}
        for name, content in data.items():
            write_file(m.path(name), content, sync=True)
        rig.run("sync", m.dir, "--all")
        m.umount()
        m = rig.mount(cache=os.path.join(rig.tmp, "empty"))
        drill = subprocess.Popen([rig.mangrove, "drill", "azure", m.dir, "--for", "4s", "--mode", "corrupt", "--json"], env=rig.env, text=True,
                                 stdout=subprocess.PIPE)
        wait_until(lambda: m.store("azure")["drill"] == "corrupt", "the drill")
        for name, content in data.items():
            assert read_file(m.path(name)) == content, name
        out = json.loads(drill.communicate(timeout=100)[0])
        assert drill.returncode == 0 and out["detected"] and out["recovered"] and out["program_errors"] == 0, out
        rig.run("scrub", m.dir)


def test_top():
    with Rig() as rig:
        m = rig.mount()
        samples = subprocess.Popen([rig.mangrove, "top", m.dir, "--delay", "500ms", "--count", "6", "--json"], env=rig.env, text=True,
                                   stdout=subprocess.PIPE)
        while samples.poll() is None:
            write_file(m.path("f"), os.urandom(1 << 20), sync=True)
        lines = [json.loads(line) for line in samples.communicate(timeout=100)[0].splitlines()]
        assert len(lines) == 6 and samples.returncode == 0, lines
        assert max(line["calls"] for line in lines) > 0 and max(line["slots"] for line in lines) > 0, lines
        assert max(s["written"] for line in lines for s in line["stores"] if s["name"] == "aws") > 1e5, lines
        assert any(u["name"] == str(os.getuid()) and u["calls"] > 0 for line in lines for u in line["users"]), lines
        assert any(k["name"] == "write" and k["calls"] > 0 for line in lines for k in line["kinds"]), lines
        table = rig.run("top", m.dir, "--count", "1", "--delay", "200ms").stdout
        for word in ("aws", "healthy", "WRITTEN/s", "CALL", "fsync", "calls/s", "entries/s", f"uid {os.getuid()}:"):
            assert word in table, table
        fails(rig, 2, "--delay", args=["top", m.dir, "--delay", "0s"])
        fails(rig, 2, "--count", args=["top", m.dir, "--count", "some"])


def test_watching_ends_with_the_mount():
    with Rig() as rig:
        m = rig.mount()
        watchers = [subprocess.Popen([rig.mangrove, *words, m.dir], env=rig.env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
                    for words in (["status", "--watch"], ["top"])]
        for w in watchers:  # it has looked once, at least
            assert rig.name in w.stdout.readline()
        m.umount()
        for w in watchers:
            out, err = w.communicate(timeout=60)
            assert w.returncode == 1 and "gone" in err, (out, err)


def test_doctor():
    with Rig() as rig:
        out = rig.run("doctor", rig.config, "--json")
        checks = json.loads(out.stdout)
        assert all(c["result"] != "problem" for c in checks), checks
        os.unlink(rig.key)
        out = rig.run("doctor", rig.config, check=False)
        assert out.returncode == 1 and "problem" in out.stdout and rig.key in out.stdout, out


def test_a_bundle_without_secrets():
    """Everything that is secret is planted where it might leak: variables, files, the configuration and its comments, URLs, messages."""
    planted = {"AK-PLANTED-ACCESS", "PLANTED-SECRET-KEY", "PLANTED-SESSION-TOKEN", "UExBTlRFRC1BWlVSRS1LRVk=", "PLANTED-PASSPHRASE", "PLANTED-COMMENT",
               "PLANTED-IN-URL", "PLANTED-COMMAND"}
    with Rig() as rig:
        rig.env.update(AWS_ACCESS_KEY_ID="AK-PLANTED-ACCESS", AWS_SECRET_ACCESS_KEY="PLANTED-SECRET-KEY",
                       AWS_SESSION_TOKEN="PLANTED-SESSION-TOKEN", AZURE_STORAGE_KEY="UExBTlRFRC1BWlVSRS1LRVk=", MANGROVE_TEST_PASSPHRASE="PLANTED-PASSPHRASE")
        text = read_file(rig.config).decode().replace(f"key_file = {rig.key}", f"key_command = cat {rig.key} # PLANTED-COMMAND")
        assert "key_command" in text
        write_file(rig.config, text.encode())
        m = rig.mount()
        write_file(m.path("f"), os.urandom(100000), sync=True)
        rig.run("log-level", "debug", m.dir)
        write_file(m.path("g"), b"PLANTED-SECRET-KEY", sync=True)
        with open(rig.config, "a") as f:
            f.write("; PLANTED-COMMENT\n[attach raw]\nurl = s3://raw?endpoint=http://me:PLANTED-IN-URL@127.0.0.1:1\n")
        key = read_file(rig.key)
        planted |= {word for word in re.split(r"[^A-Za-z0-9+/=_.~%-]+", key.decode("latin-1")) if len(word) >= 16}
        target = os.path.join(rig.tmp, "bundle.tar.gz")
        assert rig.run("debug", "bundle", m.dir, "--output", target).stdout.strip() == target
        parts = {}
        with tarfile.open(target) as tar:
            for member in tar.getmembers():
                if member.isfile():
                    parts[os.path.basename(member.name)] = tar.extractfile(member).read()
        assert set(parts) == {"status.json", "metrics.txt", "log.txt", "config.txt", "versions.txt", "limits.txt", "process.txt", "memory.txt"}, set(parts)
        for name, content in parts.items():
            assert len(content) > 100, f"{name}: {content}"
            for secret in planted:
                assert secret.encode() not in content, f"{secret} is in {name}"
            assert key not in content
        has_fields(json.loads(parts["status.json"]), FIELDS)
        assert b"mangrove_store_up" in parts["metrics.txt"] and b"debug store: operation ended" in parts["log.txt"]
        assert b"[store aws]" in parts["config.txt"] and b"key_command = [redacted]" in parts["config.txt"], parts["config.txt"]
        assert b"Max open files" in parts["limits.txt"] and b"mangrove" in parts["versions.txt"]
        leftover = [name for name in os.listdir("/tmp") if name.startswith("mangrove-bundle-")]
        assert not leftover, leftover


def test_doctor_looks_at_machine_and_network():
    with Rig(formatted=False) as rig:
        checks = {c["check"]: c for c in json.loads(rig.run("doctor", "--json").stdout)}
        assert {"kernel", "fuse", "open files", "locked memory", "clock", "certificates"} <= set(checks), checks
        assert checks["kernel"]["text"].startswith(os.uname().release), checks
        few = subprocess.run(["sh", "-c", f"ulimit -n 100; exec {rig.mangrove} doctor"], env=rig.env, capture_output=True, text=True)
        assert "advice   open files" in few.stdout and "ulimit -n 65536" in few.stdout, few
        out = rig.run("doctor", "s3://b?endpoint=http://nowhere.invalid:9&anonymous=true", check=False)
        assert out.returncode == 1 and "nowhere.invalid is not known (DNS)" in out.stdout and "use https" in out.stdout, out


def test_least_rights():
    """Readers write nothing, writers delete nothing; only below the prefix."""
    with Rig(formatted=False) as rig:
        urls = "aws=s3://ml/mangrove?region=eu-west-1,azure=azblob://acct/box/mangrove,google=gs://bucket/v"
        rights = {role: json.loads(rig.run("doctor", urls, "--policy", role).stdout) for role in ("reader", "writer", "gc")}
        for role, stores in rights.items():
            assert set(stores) == {"aws", "azure", "google"}, stores
            text = json.dumps(stores).lower()
            assert ("put" in text) == (role == "writer") and ("create" in text) == (role == "writer"), (role, text)
            assert ("delete" in text) == (role == "gc"), (role, text)
            objects, bucket = stores["aws"]["Statement"]
            assert objects["Resource"] == "arn:aws:s3:::ml/mangrove/*" and bucket["Resource"] == "arn:aws:s3:::ml", stores["aws"]
            assert bucket["Condition"] == {"StringLike": {"s3:prefix": "mangrove/*"}}
            assert stores["azure"]["AssignableScopes"][0].endswith("/storageAccounts/acct/blobServices/default/containers/box")
        fails(rig, 2, "reader, writer or gc", args=["doctor", urls, "--policy", "owner"])
        fails(rig, 2, "needs a volume", args=["doctor", "--policy", "reader"])


def test_when_credentials_expire():
    """Google's token does; the keys of the others do not."""
    with Rig("standin") as rig:
        m = rig.mount("listen=127.0.0.1:0")
        write_file(m.path("f"), b"x", sync=True)
        expire = {s["name"]: s["credentials_expire"] for s in m.status()["stores"]}
        assert expire["aws"] is None and expire["azure"] is None and expire["google"] > time.time(), expire
        metrics = urllib.request.urlopen(f"http://{m.status()['mount']['listen']}/metrics").read().decode()
        assert 'mangrove_store_credentials_expiry_seconds{store="aws"} 0\n' in metrics
        assert float(re.search(r'credentials_expiry_seconds{store="google"} (\S+)', metrics).group(1)) == expire["google"]
        costs = {s["name"]: s["cost"] for s in m.status()["stores"]}
        assert all(cost > 0 for cost in costs.values()), costs  # at list prices


def test_help_everywhere():
    with Rig(formatted=False) as rig:
        overview = rig.run("--help").stdout
        for line in overview.splitlines():
            if line.startswith("  "):
                name = line.split()[0]
                out = rig.run(name, "--help").stdout
                assert out.startswith(f"mangrove {name}"), out
                assert all(len(text) <= 100 for text in out.splitlines()), out
        assert rig.run("--version").stdout.startswith("mangrove ")


main()
