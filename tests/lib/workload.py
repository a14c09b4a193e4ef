# SPDX-License-Identifier: Apache-2.0
"""A mix of what programs do, on several threads, that notes every error and the longest wait, and knows what must be there."""

import os
import random
import threading
import time

from rig import pattern, read_file


class Workload:
    def __init__(self, top, seed=1):
        self.top, self.seed = top, seed
        self.lock = threading.Lock()
        self.files = {}      # name -> seed of its contents: closed or fsync'd, so durable
        self.errors, self.longest, self.slowest, self.calls = [], 0.0, "", 0
        self.stopping = threading.Event()
        self.threads = []

    def timed(self, what, call):
        begin = time.monotonic()
        try:
            return call()
        except OSError as e:
            with self.lock:
                self.errors.append(f"{what}: {e}")
            return None
        finally:
            took = time.monotonic() - begin
            with self.lock:
                self.calls += 1
                if took > self.longest:
                    self.longest, self.slowest = took, what

    def forget_longest(self):
        with self.lock:
            self.longest, self.slowest = 0.0, ""

    def contents(self, key):
        """From a few bytes (inline) to several frames."""
        return pattern(key, random.Random(str(key)).choice([10, 3000, 20000, 70000, 300000]))

    def _write(self, name, key, sync):
        fd = os.open(os.path.join(self.top, name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
        try:
            os.write(fd, self.contents(key))
            if sync:
                os.fsync(fd)
        finally:
            os.close(fd)
        return True

    def writer(self, me, sync):
        n = 0
        while not self.stopping.is_set():
            name, key = f"w{me}-{n}", (self.seed, me, n)
            if self.timed("write+fsync" if sync else "write+close", lambda: self._write(name, key, sync)):
                with self.lock:
                    self.files[name] = key
            n += 1
            time.sleep(0.01)

    def renamer(self, me):
        n = 0
        while not self.stopping.is_set():
            name, tmp, key = f"r{me}-{n % 5}", f"r{me}.tmp", (self.seed, me, n)
            if self.timed("write tmp", lambda: self._write(tmp, key, True)):
                def publish():
                    os.rename(os.path.join(self.top, tmp), os.path.join(self.top, name))
                    return True
                if self.timed("rename", publish):
                    with self.lock:
                        self.files[name] = key
            n += 1
            time.sleep(0.01)

    def reader(self, me):
        rng = random.Random(me)
        while not self.stopping.is_set():
            with self.lock:
                names = [n for n in self.files if n.startswith("w")]
                name = rng.choice(names) if names else None
                key = self.files.get(name)
            if name:
                data = self.timed("read", lambda: read_file(os.path.join(self.top, name)))
                if data is not None and data != self.contents(key):
                    with self.lock:
                        self.errors.append(f"wrong bytes in {name}")
            self.timed("stat", lambda: os.stat(self.top))
            time.sleep(0.005)

    def start(self):
        for target, args in ((self.writer, (0, True)), (self.writer, (1, False)), (self.renamer, (2,)),
                             (self.reader, (3,)), (self.reader, (4,))):
            t = threading.Thread(target=target, args=args, daemon=True)
            t.start()
            self.threads.append(t)
        return self

    def stop(self):
        self.stopping.set()
        for t in self.threads:
            t.join(180)
            assert not t.is_alive(), "a program hangs"
        return self

    def check(self, top=None):
        """Everything that was acknowledged is there, byte by byte."""
        for name, key in self.files.items():
            assert read_file(os.path.join(top or self.top, name)) == self.contents(key), f"{name} differs"
