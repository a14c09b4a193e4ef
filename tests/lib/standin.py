# SPDX-License-Identifier: Apache-2.0
"""Starts the stand-in server, and signs requests to it or to any server of the same dialect.

Run as a program it waits for a server, or creates a bucket:

    standin.py wait PORT PID PATH             until PATH is answered, while PID lives
    standin.py create s3|azure|gcs PORT NAME  credentials from the environment"""

import base64
import datetime
import hashlib
import hmac
import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse

EMPTY = hashlib.sha256(b"").hexdigest()
LIMIT_S = 60  # after so long without answer something hangs


class Answer:
    def __init__(self, response):
        self.status = response.status
        self.headers = {k.lower(): v for k, v in response.getheaders()}
        self.body = response.read()

    @property
    def text(self):
        return self.body.decode("utf-8-sig")

    @property
    def json(self):
        return json.loads(self.body)


def send(port, method, target, headers=None, body=b"", cafile=None, connection=None):
    """One request; the headers are sent as given, plus Content-Length for PUT and POST."""
    own = connection is None
    if own:
        connection = connect(port, cafile)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        headers = dict(headers or {})
        names = {name.lower() for name in headers}
        if "host" not in names:
            headers["Host"] = f"127.0.0.1:{port}"
        if "content-length" not in names and (body or method in ("PUT", "POST")):
            headers["Content-Length"] = str(len(body))
        for name, value in headers.items():
            for one in value if isinstance(value, list) else [value]:
                connection.putheader(name, one)
        connection.endheaders(body or None)
        return Answer(connection.getresponse())
    finally:
        if own:
            connection.close()


def connect(port, cafile=None):
    if cafile:
        context = ssl.create_default_context(cafile=cafile)
        return http.client.HTTPSConnection("127.0.0.1", port, timeout=LIMIT_S, context=context)
    return http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT_S)


class Standin:
    """A running stand-in server; a context manager."""

    def __init__(self, dialect, *options, program=None):
        self.program = program or os.environ["MANGROVE_STANDIN"]
        self.arguments = [self.program, "--dialect", dialect, *options]
        self.cafile = None

    def __enter__(self):
        self.folder = tempfile.TemporaryDirectory(prefix="standin-")
        port_file = os.path.join(self.folder.name, "port")
        self.process = subprocess.Popen(
            self.arguments + ["--port-file", port_file], stdout=subprocess.DEVNULL)
        end = time.monotonic() + LIMIT_S
        while not os.path.exists(port_file):
            if self.process.poll() is not None or time.monotonic() > end:
                self.__exit__()
                raise RuntimeError("the stand-in server does not start")
            time.sleep(0.01)
        with open(port_file, encoding="ascii") as file:
            self.port = int(file.read())
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(LIMIT_S)
        self.folder.cleanup()

    def send(self, method, target, headers=None, body=b"", **more):
        try:
            return send(self.port, method, target, headers, body, cafile=self.cafile, **more)
        except ConnectionRefusedError as e:
            if self.process.poll() is None:
                raise
            raise RuntimeError(f"the stand-in server has died: status {self.process.returncode}") from e

    def control(self, method, path, body=b""):
        answer = self.send(method, "/-/" + path, body=body)
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {answer.status} {answer.text}")
        return answer

    def fault(self, **rule):
        self.control("POST", "fault", json.dumps(rule).encode())

    def clear(self):
        self.control("DELETE", "fault")

    def stats(self):
        return self.control("GET", "stats").json


# ---- S3 ----

def s3_query(query):
    quote = lambda s: urllib.parse.quote(s, safe="-_.~")
    parts = [p.partition("=") for p in query.split("&") if p]
    unquoted = [(urllib.parse.unquote(n), urllib.parse.unquote(v)) for n, _, v in parts]
    return "&".join(f"{n}={v}" for n, v in sorted((quote(n), quote(v)) for n, v in unquoted))


def s3_canonical(method, target, headers, payload):
    """The canonical request; headers are (lower-case name, value) pairs, all of them signed."""
    path, _, query = target.partition("?")
    names = sorted({name for name, _ in headers})
    joined = [(n, ",".join(" ".join(v.split()) for m, v in headers if m == n)) for n in names]
    lines = [method, path, s3_query(query)]
    lines += [f"{name}:{value}" for name, value in joined]
    return "\n".join(lines + ["", ";".join(names), payload]), ";".join(names)


def s3_signature(canonical, secret, date, region, service="s3"):
    def mac(key, text):
        return hmac.new(key, text.encode(), hashlib.sha256).digest()
    scope = f"{date[:8]}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    key = ("AWS4" + secret).encode()
    for part in scope.split("/"):
        key = mac(key, part)
    return mac(key, f"AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}").hex(), scope


class S3:
    def __init__(self, port, access="test-access-key", secret="test-secret-key",
                 region="us-east-1", cafile=None):
        self.port, self.access, self.secret, self.region = port, access, secret, region
        self.cafile = cafile
        self.offset_s = 0

    def sign(self, method, target, headers, body):
        now = datetime.datetime.now(datetime.timezone.utc)
        now += datetime.timedelta(seconds=self.offset_s)
        headers = {k.lower(): v for k, v in headers.items()}
        headers.setdefault("host", f"127.0.0.1:{self.port}")
        headers.setdefault("x-amz-date", now.strftime("%Y%m%dT%H%M%SZ"))
        headers.setdefault("x-amz-content-sha256", hashlib.sha256(body).hexdigest())
        pairs = [(k, one) for k, v in headers.items()
                 for one in (v if isinstance(v, list) else [v])]
        canonical, names = s3_canonical(method, target, pairs, headers["x-amz-content-sha256"])
        signature, scope = s3_signature(canonical, self.secret, headers["x-amz-date"], self.region)
        headers["authorization"] = (f"AWS4-HMAC-SHA256 Credential={self.access}/{scope}, "
                                    f"SignedHeaders={names}, Signature={signature}")
        return headers

    def __call__(self, method, target, headers=None, body=b"", **more):
        headers = self.sign(method, target, headers or {}, body)
        return send(self.port, method, target, headers, body, cafile=self.cafile, **more)


# ---- Azure ----

class Azure:
    def __init__(self, port, account="mangrovetest", key="dGVzdC1hY2NvdW50LWtleQ==", cafile=None):
        self.port, self.account, self.key, self.cafile = port, account, key, cafile
        self.offset_s = 0

    def string_to_sign(self, method, target, headers, length):
        path, _, query = target.partition("?")
        headers = {k.lower(): v for k, v in headers.items()}
        lines = [method]
        for name in ("content-encoding", "content-language", "content-length", "content-md5",
                     "content-type", "date", "if-modified-since", "if-match", "if-none-match",
                     "if-unmodified-since", "range"):
            lines.append(headers.get(name, ""))
        lines[3] = str(length) if length else ""
        lines += [f"{k}:{v.strip()}" for k, v in sorted(headers.items()) if k.startswith("x-ms-")]
        text = "\n".join(lines) + f"\n/{self.account}{path}"
        params = {}
        for name, value in urllib.parse.parse_qsl(query.replace("+", "%2B"), True):
            params.setdefault(name.lower(), []).append(value)
        return text + "".join(f"\n{n}:{','.join(sorted(v))}" for n, v in sorted(params.items()))

    def signature(self, text):
        key = base64.b64decode(self.key)
        return base64.b64encode(hmac.new(key, text.encode(), hashlib.sha256).digest()).decode()

    def __call__(self, method, target, headers=None, body=b"", **more):
        """target is without the account: /CONTAINER/BLOB?..."""
        target = f"/{self.account}{target}"
        headers = dict(headers or {})
        when = time.gmtime(time.time() + self.offset_s)
        headers.setdefault("x-ms-date", time.strftime("%a, %d %b %Y %H:%M:%S GMT", when))
        headers.setdefault("x-ms-version", "2021-12-02")
        text = self.string_to_sign(method, target, headers, len(body))
        headers["Authorization"] = f"SharedKey {self.account}:{self.signature(text)}"
        return send(self.port, method, target, headers, body, cafile=self.cafile, **more)


def create_bucket(dialect, port, bucket):
    """Credentials: S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; Azure AZURE_STORAGE_ACCOUNT
    and AZURE_STORAGE_KEY; GCS needs none."""
    env = os.environ
    if dialect == "s3":
        call = S3(port, env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"])
        return call("PUT", f"/{bucket}")
    if dialect == "azure":
        call = Azure(port, env["AZURE_STORAGE_ACCOUNT"], env["AZURE_STORAGE_KEY"])
        return call("PUT", f"/{bucket}?restype=container")
    return send(port, "POST", "/storage/v1/b?project=test",
                {"Content-Type": "application/json"}, json.dumps({"name": bucket}).encode())


def wait_for(port, pid, path):
    """Any answer but a server's own trouble will do; 30 s are plenty on a busy machine."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if send(port, "GET", path).status < 500:
                return True
        except OSError:
            pass
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return False
        time.sleep(0.05)
    return False


def main(arguments):
    if len(arguments) == 4 and arguments[0] == "wait":
        return 0 if wait_for(int(arguments[1]), int(arguments[2]), arguments[3]) else 1
    if len(arguments) == 4 and arguments[0] == "create":
        created = create_bucket(arguments[1], int(arguments[2]), arguments[3])
        if created.status in (200, 201, 409):
            return 0
        print(f"cannot create the bucket: {created.status} {created.text}", file=sys.stderr)
        return 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
