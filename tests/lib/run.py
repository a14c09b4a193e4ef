#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of finished builds and sums up what they say.

    run.py --plain BUILD [--sanitized BUILD] [SUITE...]

Meson's tests (all suites but `slow`) and the scripts: every executable *.sh and *.py in the folders of SCRIPT_FOLDERS. A script
gets MANGROVE_BUILD and a TMPDIR of its own, has LIMIT_S seconds (or as its line "# time limit: N s" says), and ends with 0, with
77 (skipped; the reason is its last line), or else it failed. Whatever it leaves behind is ended and unmounted.

A test may count for itself: a last line "N passed, M failed, K skipped", cmocka's or unittest's own. Otherwise it counts as one.
"""
import argparse
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCRIPT_FOLDERS = ["mount", "posix", "many", "apps", "cloud", "crash"]
SANITIZED_SUITES = ["unit", "contract", "sim"]  # those whose code is worth the second run
LIMIT_S = 900
SKIPPED = 77
SHOWN_LINES = 60


class Total:
    """What was counted, and the tests that were skipped or failed, for the list at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.skips, self.failures = [], []

    def add(self, name, status, output):
        """status: "ok", "failed" or "skipped", as the test ended."""
        passed, failed, skipped = counted(output) or (0, 0, 0)
        if status == "failed" and not failed:
            failed += 1
        elif status == "skipped" and not skipped:
            skipped += 1
        elif status == "ok" and not passed + failed + skipped:
            passed += 1
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        if failed:
            self.failures.append(name)
        if skipped:
            self.skips += [f"{name}: {reason}" for reason in reasons(output)]


def sum_of(pattern, output):
    return sum(int(n) for n in re.findall(pattern, output))


def counted(output):
    """(passed, failed, skipped) in the test's own words, or None."""
    lines = output.rstrip().splitlines()
    own = re.fullmatch(r"(\d+) passed, (\d+) failed, (\d+) skipped", lines[-1].strip()) if lines else None
    if own:
        return tuple(int(n) for n in own.groups())
    if "[==========]" in output:  # cmocka
        return tuple(sum_of(rf"\[  {word} ?\] (\d+) test", output) for word in ("PASSED ", "FAILED ", "SKIPPED"))
    ran = re.search(r"^Ran (\d+) tests? in ", output, re.M)  # unittest
    if ran:
        failed, skipped = sum_of(r"(?:failures|errors)=(\d+)", output), sum_of(r"skipped=(\d+)", output)
        return int(ran.group(1)) - failed - skipped, failed, skipped
    return None


def reasons(output):
    """Why something was skipped: the lines that say so, or the last one."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    said = [line for line in lines if re.match(r"skip(ped)?\b|ok \d+ .*# SKIP|\[  SKIPPED \] [a-z]", line, re.I)]
    said += re.findall(r"\.\.\. skipped .*", output)
    return said or lines[-1:] or ["it does not say why"]


def show(status, name, seconds, output=""):
    print(f"{status:8}{name} ({seconds:.1f} s)", flush=True)
    if status == "failed":
        print("".join(f"    | {line}\n" for line in output.splitlines()[-SHOWN_LINES:]), flush=True)


# ---- meson's tests ----

MESON_STATUS = {"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skipped"}


def run_meson(build, suites, label, slowness, total):
    command = ["meson", "test", "-C", str(build), "--no-rebuild", "--no-suite", "slow", "-t", str(slowness)]
    for suite in suites:
        command += ["--suite", suite]
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    environment = dict(os.environ, MANGROVE_BUILD=str(build))
    environment.setdefault("UBSAN_OPTIONS", "halt_on_error=1:print_stacktrace=1")
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    ran = [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []
    for test in ran:
        name = label + test["name"].split(":")[-1].replace(" / ", "/")
        status = MESON_STATUS.get(test["result"], "failed")
        output = test.get("stdout", "") + test.get("stderr", "")
        if test["result"] == "TIMEOUT":
            output += "\ntoo slow: ended by meson"
        show(status, name, test["duration"], output)
        total.add(name, status, output)
    if done.returncode and not any(MESON_STATUS.get(test["result"], "failed") == "failed" for test in ran):
        show("failed", f"{label}meson test", 0, done.stdout)
        total.add(f"{label}meson test", "failed", "")


def known_suites(build):
    """The suites that meson knows in this build."""
    listed = subprocess.run(["meson", "introspect", str(build), "--tests"], stdout=subprocess.PIPE, check=True).stdout
    return {suite.split(":")[-1] for test in json.loads(listed) for suite in test["suite"]}


# ---- scripts ----


def scripts(folders):
    for folder in folders:
        for path in sorted((TOP / "tests" / folder).glob("*")):
            if path.suffix in (".sh", ".py") and path.is_file() and os.access(path, os.X_OK):
                yield path


def limit_of(path):
    said = re.search(r"^# time limit: (\d+) s", path.read_text(errors="replace"), re.M)
    return int(said.group(1)) if said else LIMIT_S


def mounts_below(folder):
    """Deepest first."""
    with open("/proc/self/mounts") as table:
        points = [re.sub(r"\\([0-7]{3})", lambda m: chr(int(m.group(1), 8)), line.split(" ")[1]) for line in table]
    return sorted((p for p in points if p.startswith(str(folder) + "/")), key=len, reverse=True)


def descendants(mark):
    """The processes whose environment holds the mark: those that the test started, daemons too."""
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        try:
            if mark.encode() in Path(f"/proc/{entry}/environ").read_bytes():
                yield int(entry)
        except OSError:
            continue


def kill(pid, group=False):
    try:
        (os.killpg if group else os.kill)(pid, signal.SIGKILL)
    except OSError:
        pass  # it has ended by itself


def clean_up(group, mark, folder):
    kill(group, group=True)
    for point in mounts_below(folder):
        subprocess.run(["umount", "-l", point], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for pid in descendants(mark):
        kill(pid)
    shutil.rmtree(folder, ignore_errors=True)


def run_script(path, build, total):
    name = str(path.relative_to(TOP / "tests"))
    folder = Path(tempfile.mkdtemp(prefix="mangrove-run-"))
    mark = f"MANGROVE_TEST_RUN={secrets.token_hex(8)}"
    environment = dict(os.environ, MANGROVE_BUILD=str(build), TMPDIR=str(folder), PYTHONDONTWRITEBYTECODE="1")
    environment.update([mark.split("=")])
    begin, limit = time.monotonic(), limit_of(path)
    with open(build / "meson-logs" / (name.replace("/", "-") + ".log"), "w+", errors="replace") as log:
        # The log is a file: a daemon that keeps it open keeps nobody waiting.
        process = subprocess.Popen([str(path)], cwd=TOP, env=environment, stdin=subprocess.DEVNULL,
                                   stdout=log, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code = process.wait(timeout=limit)
        except subprocess.TimeoutExpired:
            code = None
        clean_up(process.pid, mark, folder)
        process.wait()
        log.seek(0)
        output = log.read()
    if code is None:
        output += f"\ntoo slow: ended after {limit} s"
    status = "ok" if code == 0 else "skipped" if code == SKIPPED else "failed"
    show(status, name, time.monotonic() - begin, output)
    total.add(name, status, output)


def report(total):
    for title, names in (("Skipped", total.skips), ("Failed", total.failures)):
        if names:
            print(f"\n{title}:")
            print("".join(f"  {name}\n" for name in names), end="")
    if not total.passed + total.failed:
        total.failed += 1
        print("\nno test was run")
    print(f"\n{total.passed} passed, {total.failed} failed, {total.skipped} skipped", flush=True)
    return 1 if total.failed else 0


def main():
    parser = argparse.ArgumentParser(description="runs the tests of finished builds")
    parser.add_argument("--plain", type=Path, required=True)
    parser.add_argument("--sanitized", type=Path)
    parser.add_argument("suites", nargs="*")
    options = parser.parse_args()
    total, known = Total(), known_suites(options.plain)
    strange = [s for s in options.suites if s not in known and s not in SCRIPT_FOLDERS]
    if strange:
        parser.error(f"unknown suite {strange[0]}; there are {', '.join(sorted(known) + SCRIPT_FOLDERS)}")
    chosen = [s for s in sorted(known) if not options.suites or s in options.suites]
    twice = [s for s in SANITIZED_SUITES if s in chosen] if options.sanitized else []
    if chosen:
        run_meson(options.plain, chosen, "", 2, total)
    for path in scripts(f for f in SCRIPT_FOLDERS if not options.suites or f in options.suites):
        run_script(path, options.plain, total)
    if twice:
        run_meson(options.sanitized, twice, "sanitized ", 6, total)
    return report(total)


if __name__ == "__main__":
    sys.exit(main())
