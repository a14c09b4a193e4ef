#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
# time limit: 600 s
"""Builds the fuzz targets with clang and runs them.

    run.py [--seconds N] [TARGET...]     each target for N seconds (1); all of them, or those named

Each starts from its folder in corpus/ and from what earlier runs have found, which is kept in the build
folder: MANGROVE_FUZZ_BUILD, or "fuzz" beside MANGROVE_BUILD, or build-fuzz. A finding is left there too, and its
bytes are shown. Ends with 77 where clang or its libFuzzer are missing.
"""
import argparse
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
TOP = HERE.parents[1]
SKIPPED = 77
LONGEST_INPUT = 16384
MEMORY_MB = 2048
SLOW_INPUT_S = 20  # one input that takes longer is a finding
SHOWN_LINES = 60
PROBE = "int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { return d && n ? 0 : 0; }\n"


def skip(reason):
    print(f"skipped: {reason}")
    sys.exit(SKIPPED)


def run_quietly(command, **more):
    return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", **more)


def check_clang(clang):
    """Can it make libFuzzer's programs?"""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "probe.c"
        source.write_text(PROBE)
        try:
            done = run_quietly([clang, "-fsanitize=fuzzer,address,undefined", "-o", f"{folder}/probe", str(source)])
        except FileNotFoundError:
            skip(f"{clang} is missing (package clang)")
    if done.returncode:
        skip(f"{clang} lacks libFuzzer (package libclang-rt-dev)")


def build_folder():
    if "MANGROVE_FUZZ_BUILD" in os.environ:
        return Path(os.environ["MANGROVE_FUZZ_BUILD"])
    if "MANGROVE_BUILD" in os.environ:
        return Path(os.environ["MANGROVE_BUILD"]).resolve().parent / "fuzz"
    return TOP / "build-fuzz"


def build(folder, clang):
    environment = dict(os.environ, CC=clang)
    if not (folder / "build.ninja").exists():
        options = ["-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Doptimization=1", "-Ddebug=true"]
        done = run_quietly(["meson", "setup", str(folder), str(TOP)] + options, env=environment)
        if done.returncode:
            sys.exit(done.stdout)
    done = run_quietly(["ninja", "-C", str(folder), "fuzzers"], env=environment)
    if done.returncode:
        sys.exit(done.stdout)


def fuzz(folder, target, seconds):
    """Answers whether nothing was found."""
    found = folder / "fuzz-corpus" / target  # by earlier runs; the repository's corpus stays as it is
    findings = folder / "fuzz-findings"
    for path in (found, findings):
        path.mkdir(parents=True, exist_ok=True)
    command = [str(folder / "tests" / "fuzz" / f"fuzz_{target}"), f"-max_total_time={seconds}", f"-max_len={LONGEST_INPUT}",
               f"-rss_limit_mb={MEMORY_MB}", f"-timeout={SLOW_INPUT_S}", f"-artifact_prefix={findings}/{target}-",
               "-print_final_stats=1", str(found), str(HERE / "corpus" / target)]
    environment = dict(os.environ)
    environment.setdefault("UBSAN_OPTIONS", "print_stacktrace=1")
    environment.setdefault("ASAN_OPTIONS", "detect_leaks=1:allocator_may_return_null=1")
    done = run_quietly(command, env=environment, cwd=folder)
    runs = re.search(r"number_of_executed_units: (\d+)", done.stdout)
    covered = re.findall(r"cov: (\d+)", done.stdout)
    result = "ok" if done.returncode == 0 else "FOUND"
    print(f"{target:12} {runs.group(1) if runs else '?':>10} inputs, {covered[-1] if covered else '?':>6} edges  {result}", flush=True)
    if done.returncode:
        lines = [line for line in done.stdout.splitlines() if not re.match(r"#\d+\s|INFO: |stat::", line)]
        print("".join(f"    | {line}\n" for line in lines[-SHOWN_LINES:]), end="")
    return done.returncode == 0


def targets_of_corpus():
    return sorted(path.name for path in (HERE / "corpus").iterdir() if path.is_dir())


def main():
    known = targets_of_corpus()
    parser = argparse.ArgumentParser(description="builds the fuzz targets and runs them")
    parser.add_argument("--seconds", type=int, default=1, help="for each target")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(known))
    options = parser.parse_args()
    strange = [target for target in options.targets if target not in known]
    if strange:
        parser.error(f"unknown target {strange[0]}; there are {', '.join(known)}")
    clang = os.environ.get("CLANG", "clang")
    check_clang(clang)
    folder = build_folder()
    build(folder, clang)
    good = [fuzz(folder, target, options.seconds) for target in options.targets or known]
    print(f"{good.count(True)} passed, {good.count(False)} failed, 0 skipped")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
