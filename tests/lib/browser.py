# SPDX-License-Identifier: Apache-2.0
"""A headless Chromium, driven through its own protocol on a pair of pipes: no driver, no port.

    with Browser() as b:
        b.open("http://127.0.0.1:9464/")
        b.wait("document.title.includes('demo')")
        text = b.evaluate("document.body.innerText")

What the page asked for is in b.requests, what it complained about in b.complaints."""

import base64
import contextlib
import json
import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from rig import LIMIT_S, Skip, wait_until  # noqa: E402

PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")


class Browser:
    def __init__(self, width=1100, height=1000):
        self.size = f"{width},{height}"
        self.requests, self.complaints = [], []
        self.number, self.rest = 0, b""

    def __enter__(self):
        program = next(filter(None, map(shutil.which, PROGRAMS)), None)
        if not program:
            raise Skip("no Chromium is installed")
        self.profile = tempfile.mkdtemp(prefix="mb-")
        ours_in, theirs_out = os.pipe()
        theirs_in, ours_out = os.pipe()
        self.to, self.fro = ours_out, ours_in

        def descriptors():  # it reads 3 and writes 4; first out of the way of each other
            a, b = os.dup2(theirs_in, 200), os.dup2(theirs_out, 201)
            os.dup2(a, 3)
            os.dup2(b, 4)
        self.process = subprocess.Popen(
            [program, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe",
             f"--user-data-dir={self.profile}", f"--window-size={self.size}", "about:blank"],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=descriptors, close_fds=False,
            start_new_session=True)
        os.close(theirs_in)
        os.close(theirs_out)
        try:
            target = self.command("Target.createTarget", url="about:blank")["targetId"]
            self.session = self.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
            for domain in ("Page", "Network", "Runtime", "Log"):
                self.command(f"{domain}.enable")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc):
        self.process.terminate()
        try:
            self.process.wait(LIMIT_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)  # its own children write into the profile until they end
        os.close(self.to)
        os.close(self.fro)
        wait_until(self.is_removed, f"{self.profile} is removed")

    def is_removed(self):
        shutil.rmtree(self.profile, ignore_errors=True)
        return not os.path.exists(self.profile)

    def note(self, message):
        kind, p = message.get("method"), message.get("params", {})
        if kind == "Network.requestWillBeSent":
            self.requests.append(p["request"]["url"])
        elif kind == "Page.loadEventFired":
            self.loaded = True
        elif kind == "Runtime.exceptionThrown":
            self.complaints.append(p["exceptionDetails"].get("exception", {}).get("description", p["exceptionDetails"]["text"]))
        elif kind == "Log.entryAdded" and p["entry"]["level"] == "error":
            self.complaints.append(p["entry"]["text"])

    def read(self, end):
        while b"\0" not in self.rest:
            if not select.select([self.fro], [], [], max(0, end - time.monotonic()))[0]:
                raise AssertionError(f"the browser is silent for {LIMIT_S} s")
            got = os.read(self.fro, 1 << 20)
            if not got:
                raise AssertionError("the browser has ended")
            self.rest += got
        message, self.rest = self.rest.split(b"\0", 1)
        return json.loads(message)

    def command(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if hasattr(self, "session"):
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        end = time.monotonic() + LIMIT_S
        while True:
            answer = self.read(end)
            if answer.get("id") == self.number:
                assert "error" not in answer, answer
                return answer["result"]
            self.note(answer)

    def open(self, url):
        self.loaded = False
        self.command("Page.navigate", url=url)
        end = time.monotonic() + LIMIT_S
        while not self.loaded:
            self.note(self.read(end))

    def evaluate(self, expression):
        answer = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def wait(self, expression):
        end = time.monotonic() + LIMIT_S
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > end:
                raise AssertionError(f"never true: {expression}; the page: {self.evaluate('document.body.innerText')}")
            time.sleep(0.1)

    def scheme(self, name):
        """light or dark, as a person prefers it."""
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": name}])

    def width(self, width, height=1000):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)

    def screenshot(self, path):
        data = base64.b64decode(self.command("Page.captureScreenshot", format="png", captureBeyondViewport=True)["data"])
        with open(path, "wb") as f:
            f.write(data)
        return data
