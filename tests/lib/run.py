#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Runs the tests of finished builds and sums up what they say.

    run.py --plain BUILD [--sanitized BUILD] [--jobs N] [SUITE...]

Meson's tests (all suites but `slow`) and the scripts: every executable *.sh and *.py in the folders of SCRIPT_FOLDERS. A script
gets MANGROVE_BUILD and a TMPDIR of its own, has LIMIT_S seconds (or as its line "# time limit: N s" says), and ends with 0, with
77 (skipped; the reason is its last line), or else it failed. N scripts run at a time, those that may take long first; one with
the line "# runs alone" has the machine for itself, after the others. What a test leaves behind, a process, a mount or a file, is
ended and removed, and fails the test.

A test may count for itself: a last line "N passed, M failed, K skipped", cmocka's or unittest's own. Otherwise it counts as one.
"""
import argparse
import concurrent.futures
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
SCRIPT_FOLDERS = ["fuzz", "model", "mount", "posix", "many", "apps", "cloud", "crash"]
SANITIZED_SUITES = ["unit", "contract", "sim", "fuzz"]  # those whose code is worth the second run
LIMIT_S = 900
SKIPPED = 77
SHOWN_LINES = 60
JOBS = 3  # on two cores: most of a test with outages is waiting
GRACE_S = 10  # a daemon that was unmounted ends by itself


class Total:
    """What was counted, and the tests that were skipped or failed, for the list at the end."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.skips, self.failures = [], []
        self.suites = {}  # name: [passed, failed, skipped, seconds, (seconds, name) of the slowest]
        self.lock = threading.Lock()

    def add(self, name, status, output, seconds=0.0):
        """status: "ok", "failed" or "skipped", as the test ended."""
        with self.lock:
            self._add(name, status, output, seconds)

    def _add(self, name, status, output, seconds):
        passed, failed, skipped = counted(output) or (0, 0, 0)
        if status == "failed" and not failed:
            failed += 1
        elif status == "skipped" and not skipped:
            skipped += 1
        elif status == "ok" and not passed + failed + skipped:
            passed += 1
        self.passed, self.failed, self.skipped = self.passed + passed, self.failed + failed, self.skipped + skipped
        suite = self.suites.setdefault(name.split("/")[0], [0, 0, 0, 0.0, (0.0, "")])
        suite[:3] = suite[0] + passed, suite[1] + failed, suite[2] + skipped
        suite[3:] = suite[3] + seconds, max(suite[4], (seconds, name.partition("/")[2]))
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
    text = f"{status:8}{name} ({seconds:.1f} s)\n"
    if status == "failed":
        text += "".join(f"    | {line}\n" for line in output.splitlines()[-SHOWN_LINES:]) + "\n"
    print(text, end="", flush=True)


# ---- meson's tests ----

MESON_STATUS = {"OK": "ok", "EXPECTEDFAIL": "ok", "SKIP": "skipped"}


def run_meson(build, suites, label, slowness, total):
    command = ["meson", "test", "-C", str(build), "--no-rebuild", "--no-suite", "slow", "-t", str(slowness)]
    for suite in suites:
        command += ["--suite", suite]
    log = build / "meson-logs" / "testlog.json"
    log.unlink(missing_ok=True)
    folder, mark = Path(tempfile.mkdtemp(prefix="mr-")), new_mark()
    environment = dict(os.environ, MANGROVE_BUILD=str(build), TMPDIR=str(folder))
    environment.update([mark.split("=")])
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
        total.add(name, status, output, test["duration"])
    if done.returncode and not any(MESON_STATUS.get(test["result"], "failed") == "failed" for test in ran):
        show("failed", f"{label}meson test", 0, done.stdout)
        total.add(f"{label}meson test", "failed", "")
    left = clean_up(mark, folder, 0 if done.returncode else GRACE_S)
    if left and not done.returncode:  # those that meson ended had no chance to clean up
        show("failed", f"{label}clean", 0, left)
        total.add(f"{label}clean", "failed", "")


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


def new_mark():
    return f"MANGROVE_TEST_RUN={secrets.token_hex(8)}"


def clean_up(mark, folder, grace_s, group=None):
    """Ends and removes what the tests left behind; answers it, a line each. grace_s: for processes to end by themselves."""
    end = time.monotonic() + grace_s
    while time.monotonic() < end and any(descendants(mark)) and not mounts_below(folder):
        time.sleep(0.1)
    left = [f"still mounted: {point}" for point in mounts_below(folder)]
    left += [f"still running: {name_of(pid)}" for pid in descendants(mark)]
    left += [f"not removed: {path}" for path in sorted(folder.iterdir())]
    if group:
        kill(group, group=True)
    for point in mounts_below(folder):
        subprocess.run(["umount", "-l", point], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for pid in descendants(mark):
        kill(pid)
    shutil.rmtree(folder, ignore_errors=True)
    return "\n".join(left)


def name_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").replace("\0", " ").strip()
    except OSError:
        return f"process {pid}"


def run_script(path, build, total):
    name = str(path.relative_to(TOP / "tests"))
    folder, mark = Path(tempfile.mkdtemp(prefix="mr-")), new_mark()
    folder.chmod(0o755)  # tests have other users look in
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
        seconds = time.monotonic() - begin
        left = clean_up(mark, folder, GRACE_S if code == 0 else 0, process.pid)
        process.wait()
        log.seek(0)
        output = log.read()
    if code is None:
        output += f"\ntoo slow: ended after {limit} s"
    elif code == 0 and left:
        code, output = 1, f"{output}\nleft behind:\n{left}"
    status = "ok" if code == 0 else "skipped" if code == SKIPPED else "failed"
    show(status, name, seconds, output)
    total.add(name, status, output, seconds)


def run_scripts(paths, build, jobs, total):
    alone = [path for path in paths if "\n# runs alone" in path.read_text(errors="replace")]
    together = sorted((path for path in paths if path not in alone), key=limit_of, reverse=True)
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        for done in [pool.submit(run_script, path, build, total) for path in together]:
            done.result()
    for path in alone:
        run_script(path, build, total)


def table(total):
    """Where the time went. Suites run on several cores: the seconds of all tests, not of the clock."""
    print(f"\n{'suite':24}{'passed':>8}{'failed':>8}{'skipped':>8}{'seconds':>9}  slowest")
    for name, (passed, failed, skipped, seconds, (most, slowest)) in total.suites.items():
        print(f"{name:24}{passed:8}{failed:8}{skipped:8}{seconds:9.1f}  {slowest} {most:.1f}")


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
    parser.add_argument("--jobs", type=int, default=JOBS, help="scripts at a time")
    parser.add_argument("suites", nargs="*")
    options = parser.parse_args()
    begin = time.monotonic()
    total, known = Total(), known_suites(options.plain)
    strange = [s for s in options.suites if s not in known and s not in SCRIPT_FOLDERS]
    if strange:
        parser.error(f"unknown suite {strange[0]}; there are {', '.join(sorted(known) + SCRIPT_FOLDERS)}")
    chosen = [s for s in sorted(known) if not options.suites or s in options.suites]
    twice = [s for s in SANITIZED_SUITES if s in chosen] if options.sanitized else []
    if chosen:
        run_meson(options.plain, chosen, "", 2, total)
    folders = [f for f in SCRIPT_FOLDERS if not options.suites or f in options.suites]
    run_scripts(list(scripts(folders)), options.plain, options.jobs, total)
    if twice:
        run_meson(options.sanitized, twice, "sanitized ", 6, total)
    table(total)
    print(f"{'all, by the clock':48}{time.monotonic() - begin:9.1f}")
    return report(total)


if __name__ == "__main__":
    sys.exit(main())
