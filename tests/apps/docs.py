#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The pages for people who use other programs with a mount: what stands on them is run, with a mount in the place of /mnt/demo; what cannot be run
here ("not run here" before it, or a language for which this machine has no engine) is parsed."""

import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
TOP = os.path.abspath(os.path.join(HERE, "..", ".."))
sys.path.insert(0, os.path.join(HERE, "..", "lib"))
from environments import kubernetes_validate, spark, torch  # noqa: E402
from jobs import Job, check_call  # noqa: E402
from rig import Rig, Skip, main, program, write_file  # noqa: E402


def blocks(page):
    """(language, text, is to be run) of each block of code, in order."""
    with open(os.path.join(TOP, "docs", page + ".md")) as f:
        text = f.read()
    found = re.findall(r"(?m)^(<!-- not run here: [^\n]+ -->\n)?```(\w[\w ]*)\n(.*?)^```$", text, re.S)
    assert len(found) == text.count("\n```") // 2, f"{page}.md: a block without a language"
    return [(language, code, not comment) for comment, language, code in found]


def run(mount, command, code):
    path = os.path.dirname(program()) + os.pathsep + os.environ["PATH"]
    with Job([*command, code.replace("/mnt/demo", mount.dir)], variables={"PATH": path}) as job:
        job.wait()


def check(page, python=None):
    """Shell is run or parsed, Python as well."""
    ran = 0
    with Rig() as rig:
        mount = rig.mount()
        for language, code, is_run in blocks(page):
            if language == "sh" and is_run:
                run(mount, ["bash", "-euc"], code)
            elif language == "sh":
                check_call("bash", "-nc", code)
            elif language == "python" and is_run:
                run(mount, [python(), "-c"], code)
            else:
                continue
            ran += is_run
    return ran


def test_pytorch():
    assert check("pytorch", torch) == 3


def test_spark():
    assert check("spark", spark) == 2


def test_kubernetes():
    check("kubernetes")
    manifests = [code for language, code, _ in blocks("kubernetes") if language == "yaml"]
    assert manifests
    with tempfile.TemporaryDirectory() as folder:
        for i, code in enumerate(manifests):
            write_file(os.path.join(folder, f"{i}.yaml"), code.encode())
            check_call(kubernetes_validate(), "--strict", os.path.join(folder, f"{i}.yaml"))


def test_airflow():
    """Airflow itself is not there: the DAG is parsed."""
    assert check("airflow") == 1
    code = [code for language, code, _ in blocks("airflow") if language == "python airflow"]
    assert len(code) == 1
    called = [node.value.func.id for node in ast.parse(code[0]).body if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)]
    assert called == ["daily"], called


def test_terraform():
    """Without the providers' plug-ins: the grammar, by Terraform itself, and the shell."""
    check("terraform")
    if not shutil.which("terraform"):
        raise Skip("terraform is not installed")
    for language, code, _ in blocks("terraform"):
        if language == "hcl":
            out = subprocess.run(["terraform", "fmt", "-check", "-"], input=code, capture_output=True, text=True)
            assert out.returncode == 0, out.stdout + out.stderr


def test_every_page_is_linked():
    with open(os.path.join(TOP, "README.md")) as f:
        readme = f.read()
    missing = [name for name in sorted(os.listdir(os.path.join(TOP, "docs"))) if f"docs/{name}" not in readme]
    assert not missing, f"README.md does not name {missing}"


if __name__ == "__main__":
    main()
