#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# time limit: 2400 s
"""Public suites on a mount: pjdfstest, fsx, and stress-ng's filesystem stressors. The first two are built once with cargo, into the
tests' cache folder. Afterwards the volume is as healthy as before and the daemon has complained of nothing."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "lib"))
from rig import Counts, Rig, Skip, cached, complaints, main, write_file  # noqa: E402

SUITE_LIMIT_S = 600
FSX_SEEDS = [int(s) for s in os.environ.get("MANGROVE_TEST_FSX_SEEDS", "1 2 3 4").split()]
FSX_OPERATIONS = int(os.environ.get("MANGROVE_TEST_FSX_OPERATIONS", "3000"))
STRESS_S = int(os.environ.get("MANGROVE_TEST_STRESS_SECONDS", "2"))

PJDFSTEST = """
[features]
posix_fallocate = {}
rename_ctime = {}
utime_now = {}
utimensat = {}
[settings]
naptime = 0.05
allow_remount = false
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"], ["bin", "bin"]]
"""

FSX = """
flen = 3000000
[opsize]
max = 300000
[weights]
close_open = 1
read = 10
write = 10
mapread = 10
mapwrite = 10
truncate = 5
invalidate = 1
fsync = 1
fdatasync = 1
punch_hole = 3
posix_fallocate = 1
copy_file_range = 3
"""

# Every stressor of the class that uses files of the folder it is given; and a few of other classes that do.
STRESSORS = ("access chattr chdir chmod chown copy-file dentry dir dirdeep dirmany dnotify fallocate fanotify fcntl fiemap file-ioctl "
             "filename flock fpunch fsize fstat getdent handle hdd inode-flags inotify io iomix lease link locka lockf lockofd "
             "mknod open rename symlink sync-file touch utime verity xattr aio msync readahead seek sendfile splice").split()
LIMITS = ["--hdd-bytes", "16M", "--iomix-bytes", "16M", "--fallocate-bytes", "16M", "--sync-file-bytes",
          "16M", "--fiemap-bytes", "16M", "--readahead-bytes", "16M", "--msync-bytes", "4M", "--seek-size", "16M"]
NOT_HERE = 3  # stress-ng's exit status for a stressor that this kernel or file system does not have


def cargo(name, version):
    """The program of a crate, built if it is not there yet."""
    root = cached("cargo")
    path = os.path.join(root, "bin", name)
    if os.access(path, os.X_OK):
        return path
    tool = shutil.which("cargo") or shutil.which(os.path.expanduser("~/.cargo/bin/cargo"))
    if not tool:
        raise Skip(f"{name} cannot be built: cargo is not installed")
    out = subprocess.run([tool, "install", "--locked", "--root", root, f"{name}@{version}"], capture_output=True, text=True,
                         timeout=SUITE_LIMIT_S)
    if out.returncode:
        raise Skip(f"{name} cannot be built: {out.stderr.strip().splitlines()[-1]}")
    return path


def run(*cmd, limit=SUITE_LIMIT_S):
    return subprocess.run(cmd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", timeout=limit)


def healthy_and_quiet(m):
    m.wait_healthy()
    m.rig.run("status", m.dir)
    said = complaints(m.log)
    assert not said, "the daemon complains:\n" + "\n".join(said[:20])
    assert m.status()["counters"]["lost_operations"] == 0


def test_pjdfstest():
    suite = cargo("pjdfstest", "0.2.2")
    with Rig() as rig:
        m = rig.mount("allow_other")
        for folder in (rig.tmp, m.dir):
            os.chmod(folder, 0o755)
        config = os.path.join(rig.tmp, "pjdfstest.toml")
        write_file(config, PJDFSTEST.encode())
        out = run(suite, "-c", config, "-p", m.dir)
        count = re.search(r"^Summary: (\d+) failed, (\d+) skipped, (\d+) passed", out.stdout, re.M)
        assert count, out.stdout[-3000:]
        failed, skipped, passed = (int(n) for n in count.groups())
        if failed:
            print("\n".join(line for line in out.stdout.splitlines() if re.search(r" FAILED$|^\t", line)))
        print(f"   pjdfstest: {passed} passed, {failed} failed; {skipped} of features that are not asked of a file system here")
        assert passed > 300, out.stdout[-3000:]
        healthy_and_quiet(m)
        return Counts(passed, failed, 0)


def test_fsx():
    suite = cargo("fsx", "0.3.2")
    with Rig() as rig:
        m = rig.mount()
        config = os.path.join(rig.tmp, "fsx.toml")
        write_file(config, FSX.encode())
        for seed in FSX_SEEDS:
            out = run(suite, "-q", "-f", config, "-S", str(seed), "-N", str(FSX_OPERATIONS), "-P", rig.tmp, m.path(f"f{seed}"))
            assert out.returncode == 0, f"seed {seed}: {out.stdout[-3000:]}"
        healthy_and_quiet(m)
        return Counts(len(FSX_SEEDS), 0, 0)


def stress(stressor, folder):
    """(verdict, what it said)"""
    out = run("stress-ng", f"--{stressor}", "2", "--verify", "--temp-path", folder, "--timeout", f"{STRESS_S}s", "--no-rand-seed",
              "--oomable", *LIMITS)
    if out.returncode == NOT_HERE or "not implemented" in out.stdout:
        return "absent", out.stdout
    bad = out.returncode or re.search(r"\bfail:|: error:", out.stdout)
    return "failed" if bad else "passed", out.stdout


def test_stress_ng():
    if not shutil.which("stress-ng"):
        raise Skip("stress-ng is not installed")
    verdicts = {"passed": [], "failed": [], "absent": []}
    with Rig() as rig:
        m = rig.mount("allow_other")
        for stressor in STRESSORS:
            verdict, said = stress(stressor, m.dir)
            verdicts[verdict].append(stressor)
            if verdict == "failed":
                print(f"{stressor}: {said}")
        print(f"   stress-ng: {len(verdicts['passed'])} stressors passed; not to be had here: {' '.join(verdicts['absent']) or 'none'}")
        healthy_and_quiet(m)
        assert os.listdir(m.dir) == [], os.listdir(m.dir)
        return Counts(len(verdicts["passed"]), len(verdicts["failed"]), 0)


if __name__ == "__main__":
    main()
