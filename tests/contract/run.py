#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The contract of a store against every store there is.

    run.py [TARGET...]     without a name: all of them

Starts each target's server on a free port, runs test_contract with what that needs, ends the server, and prints one line for
each check. MANGROVE_BUILD is the build's folder. MinIO takes part beside versitygw when MANGROVE_TEST_MINIO=1, because it takes
long to build."""

import contextlib
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from rig import Skip, certificates, program, service_account  # noqa: E402
from standin import Standin  # noqa: E402

LIMIT_S = 280
AHEAD = "20300101T000000Z"  # a server's clock that is wrong

S3_KEY, S3_SECRET = "test-access-key", "test-secret-key"
AZURE_ACCOUNT, AZURE_KEY = "mangrovetest", "dGVzdC1hY2NvdW50LWtleQ=="

URLS = {"s3": "s3://{bucket}/p?region=us-east-1&path_style=true&endpoint={origin}{more}",
        "azure": "azblob://mangrovetest/{bucket}/p?endpoint={origin}{more}",
        "gcs": "gs://{bucket}/p?endpoint={origin}{more}"}

# server: its dialect, and what it is known not to do as the clouds do
EMULATORS = {
    "versitygw": ("s3", ["missing-on-remove", "copy-target"]),
    "minio": ("s3", ["match-on-remove", "copy-target", "copied-parts"]),
    "azurite": ("azure", ["match-sees-missing", "aborted-is-absent"]),
    "fakegcs": ("gcs", ["match-on-remove", "credentials", "prefixes-in-pages", "copy-source", "copy-target", "part-again",
                        "aborts", "upload-sums", "patch-condition"]),
}


class Target:
    """What the program is told, and the environment that it gets."""

    def __init__(self, url, absent=None, options=(), env=None, lacks=()):
        self.url, self.lacks = url, list(lacks)
        self.options = list(options) + (["--absent", absent] if absent else [])
        self.env = env or {}

    def command(self):
        lacks = ["--lacks", ",".join(self.lacks)] if self.lacks else []
        return [program("test_contract"), self.url, *self.options, *lacks]


def write(folder, name, text):
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def wrong_credentials(folder, dialect):
    """A file of credentials that look right."""
    if dialect == "s3":
        return write(folder, "wrong", f"[default]\naws_access_key_id = {S3_KEY}\naws_secret_access_key = wrong\n")
    if dialect == "azure":
        return write(folder, "wrong", "AZURE_STORAGE_KEY=d3Jvbmc=\n")
    other = os.path.join(folder, "other")
    os.mkdir(other)
    service_account(other)
    return os.path.join(other, "account.json")


def credentials(folder, dialect):
    """(options of the stand-in server, environment of its client)"""
    if dialect == "s3":
        return [], {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET}
    if dialect == "azure":
        return [], {"AZURE_STORAGE_KEY": AZURE_KEY}
    public = service_account(folder)
    return ["--jwt-pubkey", public], {"GOOGLE_APPLICATION_CREDENTIALS": os.path.join(folder, "account.json")}


def memory(_stack, _folder):
    return Target("mem")


def directory(_stack, folder):
    os.mkdir(os.path.join(folder, "store"))
    return Target(f"file://{folder}/store", f"file://{folder}/absent")


def standin(dialect, tls=False, clock=False):
    def start(stack, folder):
        os.environ["MANGROVE_STANDIN"] = program("mangrove-standin")
        options, env = credentials(folder, dialect)
        more = ""
        if tls:
            ca, cert, key = certificates(folder)
            options += ["--cert", cert, "--key", key, "--copy-steps", "2"]
            more = f"&ca_file={ca}"
        if clock:
            options += ["--now", AHEAD]
        server = stack.enter_context(Standin(dialect, "--bucket", "mangrove", *options))
        origin = f"http{'s' if tls else ''}://127.0.0.1:{server.port}"
        url = {b: URLS[dialect].format(bucket=b, origin=origin, more=more) for b in ("mangrove", "absent-bucket")}
        told = ["--server", str(server.process.pid), "--wrong", wrong_credentials(folder, dialect)]
        if not tls:
            told += ["--control", origin]
        return Target(url["mangrove"], url["absent-bucket"], told, env, ["clock"] if clock else [])
    return start


def emulator(name):
    def start(stack, folder):
        script = ["bash", os.path.join(HERE, "emulators.sh")]
        dialect, lacks = EMULATORS[name]
        out = subprocess.run([*script, "start", name, os.path.join(folder, "data")], stdout=subprocess.PIPE, text=True)
        if out.returncode == 77:
            raise Skip((out.stdout.strip().splitlines() or [f"{name} cannot be had"])[-1].removeprefix("skipped: ").removeprefix(f"{name}: "))
        if out.returncode:
            raise RuntimeError(f"{name} does not start")
        port, pid = out.stdout.split()[-2:]
        stack.callback(subprocess.run, [*script, "stop", pid])
        lines = subprocess.run([*script, "env", name, port], stdout=subprocess.PIPE, text=True, check=True).stdout.split("\n")
        env = dict(line.split("=", 1) for line in lines if line)
        url = env.pop("URL")
        told = ["--server", pid]
        if "credentials" not in lacks:
            told += ["--wrong", wrong_credentials(folder, dialect)]
        return Target(url, re.sub(r"mangrove(?=\?)", "absent-bucket", url), told, env, lacks)
    return start


TARGETS = {"mem": memory, "file": directory}
for _dialect in ("s3", "azure", "gcs"):
    TARGETS[_dialect] = standin(_dialect)
    if _dialect != "gcs":  # Google's tokens carry no time of the request
        TARGETS[_dialect + "-clock"] = standin(_dialect, clock=True)
    TARGETS[_dialect + "-tls"] = standin(_dialect, tls=True)
for _name in EMULATORS:
    TARGETS[_name] = emulator(_name)


def environment(target):
    """The machine's own credentials stay outside."""
    mine = {k: v for k, v in os.environ.items()
            if not re.match(r"(AWS|AZURE|GOOGLE|STORAGE|CLOUDSDK|BOTO)_|MINIO", k)}
    return {**mine, "AWS_EC2_METADATA_DISABLED": "true", "CMOCKA_MESSAGE_OUTPUT": "STDOUT", **target.env}


def results(name, output):
    """One line for each check; (passed, failed)."""
    ended = dict.fromkeys(re.findall(r"^\[ +(OK|FAILED) +\] (\w+)$", output, re.M))  # failures are listed twice
    for kind, check in ended:
        print(f"{'ok' if kind == 'OK' else 'not ok'} - {name}: {check}")
    failed = sum(kind == "FAILED" for kind, _ in ended)
    return len(ended) - failed, failed


def run(name):
    """(passed, failed, skipped)"""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="mangrove-contract-"))
        try:
            target = TARGETS[name](stack, folder)
        except Skip as why:
            print(f"skip - {name}: {why}")
            return 0, 0, 1
        done = subprocess.run(target.command(), env=environment(target), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, errors="replace", timeout=LIMIT_S)
        passed, failed = results(name, done.stdout)
        if failed or done.returncode:
            print(done.stdout)
        if done.returncode and not failed:
            print(f"not ok - {name}: the program ends with {done.returncode}")
            failed = 1
        return passed, failed, 0


def main(names):
    strange = [n for n in names if n not in TARGETS]
    if strange:
        sys.exit(f"run.py: there is no {strange[0]}; there are {' '.join(TARGETS)}")
    passed = failed = skipped = 0
    names = names or [n for n in TARGETS if n != "minio"]
    if "versitygw" in names and "minio" not in names and os.environ.get("MANGROVE_TEST_MINIO") == "1":
        names = names + ["minio"]
    for name in names:
        p, f, s = run(name)
        passed, failed, skipped = passed + p, failed + f, skipped + s
    print(f"{passed} passed, {failed} failed, {skipped} skipped")
    return 1 if failed else 77 if skipped and not passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
