#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Adopting a bucket beside listing it: keys per second, the journal's bytes for each, and the same command once more.

    MANGROVE_BUILD=build tests/bench/adopt.py [KEYS]"""

import json
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from yard import BenchRig, timed  # noqa: E402

PREFIX = "/storage/v1/b/mangrove/o?prefix=raw/&maxResults=1000"


def raw_list(server):
    """Every page of a flat LIST, one after the other."""
    keys, token = 0, ""
    while token is not None:
        page = server.send("GET", PREFIX + (f"&pageToken={token}" if token else "")).json
        keys += len(page.get("items", []))
        token = page.get("nextPageToken")
    return keys


def bench(n):
    with BenchRig() as rig:
        server = rig.servers["one"]
        for i in range(n):
            server.control("PUT", f"object/mangrove/raw/d{i % 100:02}/f{i:07}", b"x")
        listing = timed(lambda: raw_list(server))
        m = rig.mount()
        url = f"gs://mangrove/raw?endpoint=http://127.0.0.1:{server.port}&anonymous=true"

        def adopt():
            return json.loads(rig.run("import", "--adopt", url, m.path("raw"), "--json", timeout=7200).stdout)
        before = m.store("two")["bytes_written"]
        begin = time.monotonic()
        out = adopt()
        seconds = time.monotonic() - begin
        assert out["files"] == n and out["refused"] == 0, out
        journal = m.store("two")["bytes_written"] - before
        again = timed(adopt)
        rename = timed(lambda: os.rename(m.path("raw"), m.path("moved")))
        print(f"{n} keys: listed {n / listing:.0f}/s, adopted {n / seconds:.0f}/s, passed over {n / again:.0f}/s; "
              f"{journal / n:.0f} bytes of journal a key at each store; rename of the top {rename * 1000:.1f} ms; "
              f"load {os.getloadavg()[0]:.1f}")
        m.umount()


if __name__ == "__main__":
    bench(int(sys.argv[1]) if len(sys.argv) > 1 else 100000)
