# SPDX-License-Identifier: Apache-2.0
"""Real mounts for tests: a volume on three stores below a temporary folder, mounted through the kernel.

    from rig import Rig, main

    def test_something():
        with Rig() as rig:                      # three file:// stores, formatted
            m = rig.mount()                     # a Mount: m.dir, m.pid, m.status()
            ...

    main()                                      # runs every test_* function, prints one line for each

Whatever happens, leaving the block unmounts, ends every process that was started and removes the folder.
"""

import collections
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import typing

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)

LIMIT_S = 120  # after so long without an end something hangs


class Skip(Exception):
    """A component is missing; the text says which and why."""


class Counts(typing.NamedTuple):
    """What a test answers that has counted the cases of a suite."""
    passed: int
    failed: int
    skipped: int


def cached(name):
    """A folder for what is fetched or built once for all tests."""
    base = os.environ.get("MANGROVE_TEST_CACHE") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "mangrove-tests")
    path = os.path.join(base, name)
    os.makedirs(path, exist_ok=True)
    return path


def complaints(log):
    """The errors and warnings of a daemon's log."""
    with open(log, errors="replace") as f:
        return [line.rstrip() for line in f if line.split(" ", 2)[1:2] in (["error"], ["warning"], ["warn"])]


def build_dir():
    return os.environ.get("MANGROVE_BUILD") or os.path.join(HERE, "..", "..", "build")


def program(name="mangrove"):
    for sub in ("tools", os.path.join("tests", "lib"), os.path.join("tests", "bench"),
                os.path.join("tests", "contract"), ""):
        path = os.path.abspath(os.path.join(build_dir(), sub, name))
        if os.access(path, os.X_OK) and os.path.isfile(path):
            return path
    raise RuntimeError(f"{name} is not built (MANGROVE_BUILD={build_dir()})")


def wait_until(condition, what, limit=LIMIT_S, step=0.05):
    """Polls until condition() is true; its value is the answer. The limit is for liveness, not for speed."""
    end = time.monotonic() + limit
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not within {limit} s: {what}")
        time.sleep(step)


def is_mounted(path):
    path = os.path.realpath(path)
    with open("/proc/self/mounts") as f:
        return any(line.split(" ")[1].replace("\\040", " ") == path for line in f)


class Mount:
    """One mounted volume."""

    def __init__(self, rig, directory, cache, options, log):
        self.rig, self.dir, self.cache, self.options, self.log = rig, directory, cache, options, log

    def path(self, *parts):
        return os.path.join(self.dir, *parts)

    def status(self):
        out = self.rig.run("status", self.dir, "--json", check=False)
        if not out.stdout.strip():
            raise AssertionError(f"status says nothing: {out.stderr}")
        answer = json.loads(out.stdout)
        return answer[0] if isinstance(answer, list) else answer

    @property
    def pid(self):
        return self.status()["mount"]["pid"]

    def store(self, name):
        return next(s for s in self.status()["stores"] if s["name"] == name)

    def wait_healthy(self, limit=LIMIT_S):
        """No deficit, no chunk in flight, every store healthy."""
        def missing():
            st = self.status()
            words = [f"{s['name']} is {s['state']}" for s in st["stores"] if s["state"] not in ("healthy", "slow")]
            words += [f"{s['name']}: {s[n]} {n}" for s in st["stores"] for n in ("deficit_chunks", "bad_chunks") if s[n]]
            return words + [f"{st['pending'][n]} {n}" for n in ("staged_chunks",) if st["pending"][n]]
        try:
            wait_until(lambda: not missing(), "no store lacks anything", limit, step=0.2)
        except AssertionError as e:
            raise AssertionError(f"{e}: {missing()}") from None

    def umount(self, check=True):
        out = self.rig.run("umount", self.dir, check=check, timeout=5 * LIMIT_S)  # as long as it may take
        if out.returncode == 0 and self in self.rig.mounts:
            self.rig.mounts.remove(self)
        return out

    def kill9(self, pid=None):
        """The daemon dies; the dead mount point stays, as after a crash. Ask for the pid beforehand where a file is open for writing:
        a process that is started closes its copy of the descriptor, and a close is a close."""
        pid = pid or self.pid
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: not os.path.exists(f"/proc/{pid}") or is_zombie(pid), f"the end of {pid}")
        if self in self.rig.mounts:
            self.rig.mounts.remove(self)
            self.rig.dead.append(self.dir)


def halt(pid):
    """SIGSTOP, and all threads stand still when it returns: on a busy machine they work on for a while after the signal."""
    os.kill(pid, signal.SIGSTOP)

    def still():
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/stat") as f:
                if f.read().rsplit(")", 1)[1].split()[0] not in "Tt":
                    return False
        return True
    wait_until(still, f"{pid} stands still", step=0.001)


def is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


Emulator = collections.namedtuple("Emulator", "server port pid")


class Rig:
    """A temporary folder with stores and a volume on them.

    stores: "file" (folders), "standin" (our own servers: one of each dialect), "emulators" (the real ones; s3: which of those).
    """

    def __init__(self, stores="file", formatted=True, tls=False, standin_options=(), s3="versitygw"):
        self.s3 = s3
        self.kind, self.formatted, self.tls = stores, formatted, tls
        self.standin_options = list(standin_options)
        self.mounts, self.dead = [], []
        self.stack = contextlib.ExitStack()
        self.env = dict(os.environ)

    def __enter__(self):
        self.mangrove = program()
        # short: a socket's path in a mount may have 107 bytes
        self.tmp = tempfile.mkdtemp(prefix="mt-")
        self.name = "t" + secrets.token_hex(4)
        self.config = os.path.join(self.tmp, "volume.conf")
        self.key = os.path.join(self.tmp, "key")
        try:
            self.stores = {"file": self._file_stores, "standin": self._standin_stores,
                           "emulators": self._emulator_stores}[self.kind]()
            if self.formatted:
                self.format()
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, *exc):
        if exc[0] and not issubclass(exc[0], (Skip, SystemExit)):
            self.show_logs()
        for m in reversed(self.mounts):
            subprocess.run([self.mangrove, "umount", m.dir], env=self.env, capture_output=True, timeout=LIMIT_S)
        self._end_daemons()
        self.stack.close()
        shutil.rmtree(self.tmp, ignore_errors=True)

    def _end_daemons(self):
        """Whatever still serves a mount below our folder."""
        with open("/proc/self/mounts") as f:
            points = [p for p in (line.split(" ")[1] for line in f) if p.startswith(self.tmp)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                with open(f"/proc/{pid}/cmdline", "rb") as f:
                    line = f.read()
            except OSError:
                continue
            if self.tmp.encode() in line and b"mangrove" in line and int(pid) != os.getpid():
                with contextlib.suppress(OSError):
                    os.kill(int(pid), signal.SIGKILL)
        for point in reversed(points):
            subprocess.run(["umount", "-l", point], capture_output=True)

    def show_logs(self):
        for name in sorted(os.listdir(self.tmp)):
            if name.endswith(".log"):
                with open(os.path.join(self.tmp, name), errors="replace") as f:
                    text = f.read()[-4000:]
                sys.stderr.write(f"--- {name}\n{text}\n")

    # stores

    def _file_stores(self):
        stores = {}
        for name in ("aws", "azure", "google"):
            folder = os.path.join(self.tmp, "stores", name)
            os.makedirs(folder)
            stores[name] = f"file://{folder}"
        return stores

    def folder(self, name):
        return os.path.join(self.tmp, "stores", name)

    def _standin_stores(self):
        from standin import Standin
        os.environ.setdefault("MANGROVE_STANDIN", program("mangrove-standin"))
        access = {"s3": ["--access-key", "AK", "--secret-key", "SECRETKEY"],
                  "azure": ["--account", "devacct", "--account-key", "c2VjcmV0LWtleS1mb3ItdGVzdHM="],
                  "gcs": ["--jwt-pubkey", service_account(self.tmp)]}
        self.env.update(AWS_ACCESS_KEY_ID="AK", AWS_SECRET_ACCESS_KEY="SECRETKEY", AWS_REGION="us-east-1",
                        AZURE_STORAGE_ACCOUNT="devacct", AZURE_STORAGE_KEY="c2VjcmV0LWtleS1mb3ItdGVzdHM=",
                        GOOGLE_APPLICATION_CREDENTIALS=os.path.join(self.tmp, "account.json"))
        self.servers = {}
        extra = []
        scheme = "http"
        if self.tls:
            ca, cert, key = certificates(self.tmp)
            extra = ["--cert", cert, "--key", key]
            scheme = "https"
        for name, dialect in (("aws", "s3"), ("azure", "azure"), ("google", "gcs")):
            self.servers[name] = self.stack.enter_context(
                Standin(dialect, *access[dialect], "--bucket", "mangrove", *extra, *self.standin_options))
        ends = {name: f"endpoint={scheme}://127.0.0.1:{s.port}" for name, s in self.servers.items()}
        more = f"&ca_file={ca}" if self.tls else ""
        return {"aws": f"s3://mangrove/v?{ends['aws']}{more}",
                "azure": f"azblob://devacct/mangrove/v?{ends['azure']}{more}",
                "google": f"gs://mangrove/v?{ends['google']}{more}"}

    def _emulator_stores(self):
        self.emulators, stores = {}, {}
        for name, server in (("aws", self.s3), ("azure", "azurite"), ("google", "fakegcs")):
            self.start_emulator(name, server)
            env = dict(line.split("=", 1) for line in
                       self._emulator_script("env", server, str(self.emulators[name].port)).stdout.splitlines())
            stores[name] = env.pop("URL")
            self.env.update(env)
        return stores

    @staticmethod
    def _emulator_script(*arguments):
        script = os.path.join(HERE, "..", "contract", "emulators.sh")
        out = subprocess.run(["bash", script, *arguments], capture_output=True, text=True, timeout=1800)
        if out.returncode == 77:
            said = out.stdout.strip().splitlines() or [f"{arguments[1]} cannot be had"]
            raise Skip(said[-1].removeprefix("skipped: "))
        if out.returncode:
            raise AssertionError(f"emulators.sh {' '.join(arguments)}: {out.stdout}{out.stderr}")
        return out

    def start_emulator(self, name, server, port=None):
        """With a port: once more, there, on the same data."""
        folder = os.path.join(self.tmp, "emulator-" + name)
        os.makedirs(folder, exist_ok=True)
        out = self._emulator_script("start", server, folder, *([str(port)] if port else []))
        port, pid = (int(word) for word in out.stdout.split()[-2:])
        self.emulators[name] = Emulator(server, port, pid)
        self.stack.callback(self._emulator_script, "stop", str(pid))

    # the volume

    def run(self, *arguments, check=True, timeout=LIMIT_S, input=None):
        out = subprocess.run([self.mangrove, *arguments], env=self.env, capture_output=True, text=True,
                             timeout=timeout, input=input)
        if check and out.returncode:
            raise AssertionError(f"mangrove {' '.join(arguments)}: exit {out.returncode}\n{out.stdout}{out.stderr}")
        return out

    def format(self):
        args = ["format", self.name, "--config", self.config, "--key-file", self.key]
        for name, url in self.stores.items():
            args += ["--store", f"{name}={url}"]
        return self.run(*args)

    def mount(self, options="", directory=None, cache=None, check=True):
        n = len(self.mounts) + len(self.dead)
        directory = directory or os.path.join(self.tmp, f"mnt{n}")
        cache = cache or os.path.join(self.tmp, "cache")
        os.makedirs(cache, exist_ok=True)
        if not os.path.isdir(directory) and directory not in self.dead:
            os.makedirs(directory)
        opts = ",".join(filter(None, [f"cache_dir={cache}", "listen=none", options]))
        log = os.path.join(self.tmp, f"mount{n}.log")
        out = self.run("mount", self.config, directory, "-o", opts, "--log-file", log, check=check)
        if out.returncode:
            return out
        m = Mount(self, directory, cache, options, log)
        self.mounts.append(m)
        return m


def certificates(folder):
    """A certificate authority and a server's certificate for 127.0.0.1 and localhost."""
    ca, cakey = os.path.join(folder, "ca.pem"), os.path.join(folder, "ca.key")
    cert, key, csr = (os.path.join(folder, n) for n in ("server.pem", "server.key", "server.csr"))
    ext = os.path.join(folder, "ext")
    with open(ext, "w") as f:
        f.write("subjectAltName=DNS:localhost,IP:127.0.0.1\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n")
    ec = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    for cmd in (["req", "-x509", *ec, "-days", "30", "-subj", "/CN=Test CA", "-addext",
                 "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign", "-keyout", cakey,
                 "-out", ca],
                ["req", *ec, "-subj", "/CN=localhost", "-keyout", key, "-out", csr],
                ["x509", "-req", "-in", csr, "-CA", ca, "-CAkey", cakey, "-CAcreateserial", "-days", "30", "-extfile",
                 ext, "-out", cert]):
        subprocess.run(["openssl", *cmd], check=True, capture_output=True)
    return ca, cert, key


def service_account(folder):
    """Writes a service account's key file; answers the public key's file, for the server."""
    key, pub = os.path.join(folder, "account.key"), os.path.join(folder, "account.pub")
    subprocess.run(["openssl", "genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048", "-out", key], check=True,
                   capture_output=True)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", pub], check=True, capture_output=True)
    with open(key) as f:
        write_json(os.path.join(folder, "account.json"),
                   {"type": "service_account", "client_email": "tester@example.iam.gserviceaccount.com",
                    "private_key_id": "k1", "private_key": f.read(), "token_uri": "http://127.0.0.1:1/token"})
    return pub


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f)


def pattern(seed, size):
    """Bytes that cannot be guessed from their neighbours, the same for the same seed."""
    return hashlib.shake_128(str(seed).encode()).digest(size)


def write_file(path, data, sync=False):
    with open(path, "wb") as f:
        f.write(data)
        if sync:
            f.flush()
            os.fsync(f.fileno())


def read_file(path):
    with open(path, "rb") as f:
        return f.read()


def tree_digest(top):
    """Names, types, modes, sizes, times, link targets and contents of a tree, as one comparable list."""
    rows = []
    for folder, folders, files in os.walk(top):
        folders.sort()
        for name in sorted(folders + files):
            path = os.path.join(folder, name)
            st = os.lstat(path)
            row = [os.path.relpath(path, top), oct(st.st_mode)]
            if os.path.islink(path):
                row.append(os.readlink(path))
            elif os.path.isfile(path):
                row += [st.st_size, st.st_mtime_ns, hashlib.sha256(read_file(path)).hexdigest()]
            rows.append(tuple(row))
    return rows


def main():
    """Runs the test_* functions of the calling script, or those named on the command line."""
    module = sys.modules["__main__"]
    names = sys.argv[1:] or [n for n in vars(module) if n.startswith("test_")]
    passed = failed = skipped = 0
    for name in names:
        begin = time.monotonic()
        try:
            value = getattr(module, name)()
        except Skip as e:
            skipped += 1
            print(f"skip - {name}: {e}", flush=True)
        except Exception:
            failed += 1
            traceback.print_exc()
            print(f"not ok - {name}", flush=True)
        else:
            own = value if isinstance(value, Counts) else Counts(1, 0, 0)
            passed, failed, skipped = passed + own.passed, failed + own.failed, skipped + own.skipped
            print(f"{'not ok' if own.failed else 'ok'} - {name} ({time.monotonic() - begin:.1f} s)", flush=True)
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    sys.exit(1 if failed else 77 if skipped and not passed else 0)
