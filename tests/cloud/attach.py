#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# time limit: 900 s
"""Buckets of real servers, filled by other tools, mounted as they are; and what a mount writes, read by those tools: rclone for S3 and
GCS; for Azure, whose emulator this rclone does not reach, requests that are signed in Python."""

import os
import shutil
import subprocess
import sys
import urllib.parse
import xml.etree.ElementTree

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "mount"))
from attach import attach, files_below  # noqa: E402
from rig import Rig, Skip, main, pattern, write_file  # noqa: E402
from standin import Azure  # noqa: E402

TREE = {"a": b"first", "dir/b": pattern("b", 70000), "dir/deeper/c": pattern("c", (9 << 20) + 5), "with space/ü.txt": b"text",
        "dir/=+&?#%": b"odd"}


class Rclone:
    def __init__(self, bucket):
        self.bucket = bucket
        if not shutil.which("rclone"):
            raise Skip("rclone is not installed")

    @staticmethod
    def run(*arguments):
        env = {k: v for k, v in os.environ.items() if not k.startswith("AWS_")}  # AWS_CA_BUNDLE is more than it takes
        out = subprocess.run(["rclone", "--config", "/dev/null", "--retries", "1", *arguments], env=env, capture_output=True, text=True,
                             timeout=300)
        assert out.returncode == 0, f"rclone {' '.join(arguments)}: {out.stderr[-2000:]}"
        return out.stdout

    def upload(self, folder, prefix):
        self.run("copy", folder, f"{self.bucket}/{prefix}")

    def download(self, prefix, folder):
        self.run("copy", f"{self.bucket}/{prefix}", folder)

    def names(self, prefix):
        return self.run("lsf", "-R", "--files-only", f"{self.bucket}/{prefix}").split("\n")


class AzureTool:
    def __init__(self, port):
        self.call = Azure(port)

    def request(self, method, target, *more):
        answer = self.call(method, target, *more)
        assert answer.status < 300, (method, target, answer.status, answer.text)
        return answer

    def upload(self, folder, prefix):
        for key, data in files_below(folder).items():
            self.request("PUT", f"/mangrove/{prefix}/{urllib.parse.quote(key)}", {"x-ms-blob-type": "BlockBlob"}, data)

    def download(self, prefix, folder):
        for key in self.names(prefix):
            os.makedirs(os.path.dirname(os.path.join(folder, key)), exist_ok=True)
            write_file(os.path.join(folder, key), self.request("GET", f"/mangrove/{prefix}/{urllib.parse.quote(key)}").body)

    def names(self, prefix):
        answer = self.request("GET", f"/mangrove?restype=container&comp=list&prefix={prefix}/")
        names = [n.text for n in xml.etree.ElementTree.fromstring(answer.text).findall("Blobs/Blob/Name")]
        return [n.removeprefix(prefix + "/") for n in names if not n.endswith("/")]


def tool(rig, name):
    port = rig.emulators[name].port
    if name == "azure":
        return AzureTool(port)
    return Rclone({"aws": f":s3,provider=Other,endpoint='http://127.0.0.1:{port}',access_key_id=test-access-key,"
                          "secret_access_key=test-secret-key,region=us-east-1,force_path_style=true:mangrove",
                   "google": f":gcs,anonymous=true,endpoint='http://127.0.0.1:{port}/storage/v1/':mangrove"}[name])


def fill(folder):
    for key, data in TREE.items():
        os.makedirs(os.path.dirname(os.path.join(folder, key)), exist_ok=True)
        write_file(os.path.join(folder, key), data)


def both_ways(name, **servers):
    with Rig("emulators", formatted=False, **servers) as rig:
        source, back = os.path.join(rig.tmp, "source"), os.path.join(rig.tmp, "back")
        fill(source)
        other = tool(rig, name)
        other.upload(source, "theirs")
        m = attach(rig, "data=" + rig.stores[name])
        assert files_below(m.path("data/theirs")) == TREE
        shutil.copytree(source, m.path("data/ours"), copy_function=shutil.copyfile)
        assert files_below(m.path("data/ours")) == TREE
        other.download("ours", back)
        assert files_below(back) == TREE
        os.rename(m.path("data/ours/a"), m.path("data/ours/z"))
        os.unlink(m.path("data/ours/dir/b"))
        listed = other.names("ours")
        assert "z" in listed and "a" not in listed and "dir/b" not in listed, listed
        m.umount()


def changed(name):
    """A large object that the other tool wrote: appended to, patched, described and renamed; it reads what is expected."""
    with Rig("emulators", formatted=False) as rig:
        source, back = os.path.join(rig.tmp, "source"), os.path.join(rig.tmp, "back")
        data = bytearray(pattern("l", (40 << 20) + 77))
        os.makedirs(source)
        write_file(os.path.join(source, "big"), bytes(data))
        other = tool(rig, name)
        other.upload(source, "theirs")
        m = attach(rig, "data=" + rig.stores[name])
        with open(m.path("data/theirs/big"), "ab") as f:
            f.write(b"appended")
        with open(m.path("data/theirs/big"), "r+b") as f:
            f.seek(20 << 20)
            f.write(b"patched")
        os.chmod(m.path("data/theirs/big"), 0o600)
        os.utime(m.path("data/theirs/big"), (0, 1234567890))
        os.rename(m.path("data/theirs/big"), m.path("data/theirs/renamed"))
        data += b"appended"
        data[20 << 20:(20 << 20) + 7] = b"patched"
        other.download("theirs", back)
        assert files_below(back) == {"renamed": bytes(data)}
        if name != "azure":
            assert int(os.stat(os.path.join(back, "renamed")).st_mtime) == 1234567890, "rclone sees another time"
        m.umount()


def test_versitygw():
    both_ways("aws")


def test_minio():
    if os.environ.get("MANGROVE_TEST_MINIO") != "1":
        raise Skip("minio: it takes long to build; MANGROVE_TEST_MINIO=1 does")
    both_ways("aws", s3="minio")


def test_azurite():
    both_ways("azure")


def test_fakegcs():
    both_ways("google")


def test_changed_at_versitygw():
    changed("aws")


def test_changed_at_azurite():
    changed("azure")


def test_changed_at_fakegcs():
    changed("google")


if __name__ == "__main__":
    main()
