#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Attached buckets while their stores, tokens and other tools do what they do."""

import contextlib
import errno
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path[:0] = [os.path.join(HERE, "..", "lib"), HERE]
from attach import TREE, Buckets, attach, fails, files_below, halted, mirrored  # noqa: E402
from rig import Rig, complaints, main, pattern, program, read_file, write_file  # noqa: E402
from standin import Azure, Standin  # noqa: E402


@contextlib.contextmanager
def server(dialect, *options):
    os.environ.setdefault("MANGROVE_STANDIN", program("mangrove-standin"))
    with Standin(dialect, "--bucket", "mangrove", *options) as one, Rig(formatted=False) as rig:
        yield one, rig


def test_tokens_expire_in_mid_read():
    """A token lives for three seconds: whoever reads on for longer gets a new one, and no error."""
    with server("gcs", "--refresh-token", "1//refresh", "--token-life", "3") as (gcs, rig):
        data = pattern("big", 48 << 20)
        gcs.control("PUT", "object/mangrove/big", data)
        account = os.path.join(rig.tmp, "user.json")
        write_file(account, json.dumps({"type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "1//refresh",
                                        "token_uri": f"http://127.0.0.1:{gcs.port}/token"}).encode())
        rig.env["GOOGLE_APPLICATION_CREDENTIALS"] = account
        m = attach(rig, f"data=gs://mangrove?endpoint=http://127.0.0.1:{gcs.port}")
        with open(m.path("data/big"), "rb", buffering=0) as f:
            for i in range(8):  # far apart, backwards: nothing was read ahead
                off = (7 - i) * (6 << 20)
                assert os.pread(f.fileno(), 4096, off) == data[off:off + 4096]
                time.sleep(1)
        assert gcs.stats()["ops"]["token"]["requests"] >= 3, gcs.stats()["ops"]
        m.umount()


def test_pages_without_names():
    """A store that puts an empty page before each page: listings are whole, looks find what is there and nothing else."""
    for dialect, access in (("azure", {"AZURE_STORAGE_ACCOUNT": "mangrovetest", "AZURE_STORAGE_KEY": "dGVzdC1hY2NvdW50LWtleQ=="}),
                            ("s3", {"AWS_ACCESS_KEY_ID": "test-access-key", "AWS_SECRET_ACCESS_KEY": "test-secret-key"})):
        with server(dialect, "--empty-pages", "--page", "2") as (one, rig):
            for key, data in TREE.items():
                one.control("PUT", "object/mangrove/" + key.replace(" ", "%20").replace("ü", "%C3%BC"), data)
            rig.env.update(access, AWS_REGION="us-east-1")
            end = f"endpoint=http://127.0.0.1:{one.port}"
            m = attach(rig, "data=" + (f"azblob://mangrovetest/mangrove?{end}" if dialect == "azure" else f"s3://mangrove?{end}"))
            assert os.stat(m.path("data/dir/deeper/c")).st_size == len(TREE["dir/deeper/c"])
            fails(errno.ENOENT, lambda: os.stat(m.path("data/dir/none")))
            fails(errno.ENOENT, lambda: os.stat(m.path("data/di")))
            assert files_below(m.path("data")) == TREE
            m.umount()


def test_azure_directories():
    """Objects that stand for directories (hdi_isfolder): directories, empty or not, and never files."""
    with server("azure") as (azure, rig):
        call = Azure(azure.port)

        def put(key, body=b"", **headers):
            answer = call("PUT", "/mangrove/" + key, {"x-ms-blob-type": "BlockBlob", **headers}, body)
            assert answer.status == 201, answer.text
        folder = {"x-ms-meta-hdi_isfolder": "true"}
        put("full", **folder)
        put("full/f", b"in it")
        put("full/deeper", **folder)
        put("empty", **folder)
        put("file", b"a file")
        rig.env.update(AZURE_STORAGE_ACCOUNT="mangrovetest", AZURE_STORAGE_KEY="dGVzdC1hY2NvdW50LWtleQ==")
        url = f"azblob://mangrovetest/mangrove?endpoint=http://127.0.0.1:{azure.port}"
        for listed in (False, True):
            m = attach(rig, "data=" + url, cache=os.path.join(rig.tmp, f"cache{listed}"))
            if listed:
                assert sorted(os.listdir(m.path("data"))) == ["empty", "file", "full"]
            assert all(os.path.isdir(m.path("data", name)) for name in ("full", "empty", "full/deeper"))
            assert os.listdir(m.path("data/empty")) == [] == os.listdir(m.path("data/full/deeper"))
            assert read_file(m.path("data/full/f")) == b"in it" and read_file(m.path("data/file")) == b"a file"
            m.umount()


def test_a_listing_that_fails_on_page_seven():
    with server("s3", "--page", "300") as (s3, rig):
        for i in range(4000):
            s3.control("PUT", f"object/mangrove/many/f{i:05}")
        rig.env.update(AWS_ACCESS_KEY_ID="test-access-key", AWS_SECRET_ACCESS_KEY="test-secret-key", AWS_REGION="us-east-1")
        m = attach(rig, f"data=s3://mangrove?endpoint=http://127.0.0.1:{s3.port}", options="deadline=30s")
        assert os.listdir(m.path("data")) == ["many"]
        s3.fault(op="list", fault="status", status=503, skip=6, count=3)
        assert sorted(os.listdir(m.path("data/many"))) == [f"f{i:05}" for i in range(4000)]
        m.umount()


def test_find_is_as_cheap_as_a_list():
    """10,000 keys in nested folders, 100 to a page: at most 1.3 times the pages of a flat listing; the second time none."""
    with server("s3", "--page", "100") as (s3, rig):
        for i in range(10000):
            s3.control("PUT", f"object/mangrove/{i % 7}/{i % 97:02}/{i:05}")
        rig.env.update(AWS_ACCESS_KEY_ID="test-access-key", AWS_SECRET_ACCESS_KEY="test-secret-key", AWS_REGION="us-east-1")
        m = attach(rig, f"data=s3://mangrove?endpoint=http://127.0.0.1:{s3.port}", options="deadline=30s")
        for _ in range(2):
            out = subprocess.run(["find", m.path("data"), "-type", "f"], check=True, capture_output=True, text=True).stdout
            assert len(out.splitlines()) == 10000
            asked = s3.stats()["ops"]
            assert asked["list"]["requests"] <= 130 and asked["head"]["requests"] == 0, asked
        print(f"   {asked['list']['requests']} pages for 100")
        m.umount()


def version(n, key):
    """One content of a key; whole, it can be told from every mixture with another."""
    return pattern(f"{key}/{n}", (1 << 20) + (2 << 20) * (n % 3))


def test_changes_under_readers():
    """Another tool replaces, deletes and makes objects again while they are read: each read is one content, whole, or ESTALE or ENOENT."""
    keys, rounds = ["a", "d/b", "d/c"], 25
    with Buckets() as rig:
        contents = {key: {version(n, key) for n in range(rounds)} for key in keys}
        for key in keys:
            rig.put("google", key, version(0, key))
        m = attach(rig, "data=" + rig.url("google"), options="memory=256M")
        done, wrong, good = threading.Event(), [], []

        def read(key):
            while not done.is_set():
                try:
                    data = read_file(m.path("data", key))
                    good.append(key)
                    if data not in contents[key]:
                        wrong.append((key, len(data)))
                except OSError as e:
                    if e.errno not in (errno.ESTALE, errno.ENOENT):
                        wrong.append((key, e))

        readers = [threading.Thread(target=read, args=(key,)) for key in keys * 2]
        for t in readers:
            t.start()
        rand = random.Random(7)
        for n in range(1, rounds):
            for key in keys:
                if rand.random() < 0.3:
                    rig.delete("google", key)
                    time.sleep(rand.random() / 10)
                rig.put("google", key, version(n, key))
            if n % 5 == 0:
                rig.run("refresh", m.path("data"), "--deep")
        done.set()
        for t in readers:
            t.join()
        assert not wrong, wrong[:5]
        assert len(good) > rounds, len(good)
        rig.run("refresh", m.path("data"), "--deep")
        time.sleep(1.1)  # the kernel believes an answer for a second
        for key in keys:
            assert read_file(m.path("data", key)) == version(rounds - 1, key)
        m.umount()


def test_all_mirrors_stop():
    """EIO by the deadline, a signal ends the wait at once, umount ends; and when they are back, so is everything."""
    with Buckets() as rig:
        data = pattern("f", 6 << 20)
        for where in rig.servers:
            rig.put(where, "f", data)
            rig.put(where, "d/g", b"g")
        m = mirrored(rig, "deadline=5s")
        assert os.stat(m.path("data/f")).st_size == len(data)
        with halted(rig, *rig.servers):
            begin = time.monotonic()
            try:
                read_file(m.path("data/f"))
                raise AssertionError("read from servers that hang")
            except OSError as e:
                assert e.errno in (errno.EIO, errno.ETIMEDOUT), e
            fails_slowly = time.monotonic() - begin
            try:
                os.listdir(m.path("data/d"))
                raise AssertionError("listed by servers that hang")
            except OSError as e:
                assert e.errno in (errno.EIO, errno.ETIMEDOUT), e
            child = subprocess.Popen(["cat", m.path("data/f")], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(0.5)
            child.send_signal(signal.SIGTERM)
            assert child.wait(4) == -signal.SIGTERM
        assert fails_slowly < 60, fails_slowly
        end = time.monotonic() + 60
        while True:
            try:
                assert read_file(m.path("data/f")) == data and read_file(m.path("data/d/g")) == b"g"
                break
            except OSError as e:
                assert time.monotonic() < end, e
                time.sleep(0.5)
        with halted(rig, *rig.servers):
            m.umount()


def states(rig, path):
    """What `where` says each of the mirrors has, and by what it was compared."""
    out = rig.run("where", path, "--json", check=False)
    assert out.stdout, out
    told = [(s["state"], s["compared"]) for s in json.loads(out.stdout)["stores"]]
    assert out.returncode == (0 if all(state == "same" for state, _ in told) else 3), out
    return told


def test_mirrors_that_differ():
    """Of another size or with another MD5: not read for that file, and said; without an MD5 size alone is compared, and said, too."""
    with Buckets() as rig:
        for where, size, content in (("aws", b"right", b"right"), ("google", b"wrong size", b"wrong"), ("azure", b"right", b"right")):
            for key, data in (("same", b"same"), ("size", size), ("content", content), ("lacks", b"here")):
                rig.put(where, key, data)
        m = mirrored(rig)
        assert len(os.listdir(m.path("data"))) == 4
        rig.delete("google", "lacks")
        replicas = ["aws", "google", "azure"]
        found = {name: states(rig, m.path("data", name)) for name in ("same", "size", "content", "lacks")}
        assert found["same"] == [("same", "md5")] * 3, found
        said = [state for state, _ in found["size"]]  # whichever of them was listed
        assert said in (["same", "another size", "same"], ["another size", "same", "another size"]), found
        assert found["lacks"][1][0] == "missing", found
        assert found["content"] == [("same", "md5"), ("other contents", "md5"), ("same", "md5")], found
        for _ in range(3):
            assert read_file(m.path("data/size")) in (b"right", b"wrong size")
        with open(m.path("data/content"), "rb") as f:
            listed = f.read()
        assert listed in (b"right", b"wrong")
        rig.servers["google"].fault(op="head", fault="status", status=403, count=0)
        assert states(rig, m.path("data/same"))[replicas.index("google")][0] == "Permission denied"
        rig.servers["google"].clear()
        m.umount()


def test_a_mirror_with_other_bytes_is_not_read():
    """The store that was listed serves all of it, though another one is as near."""
    with Buckets() as rig:
        right, wrong = pattern("right", 30 << 20), pattern("wrong", 30 << 20)
        rig.put("aws", "big", right)
        rig.put("google", "big", wrong)
        rig.put("azure", "big", right)
        m = mirrored(rig, "memory=256M")
        seen = read_file(m.path("data/big"))
        assert seen in (right, wrong), "a mixture of two objects"
        assert any("other contents" in line for line in complaints(m.log)), complaints(m.log)
        m.umount()


if __name__ == "__main__":
    main()
