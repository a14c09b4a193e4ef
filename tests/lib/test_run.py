#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The runner: what it counts, and that nothing outlives a test."""
import contextlib
import io
import os
import sys
import tempfile
import time
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
import run  # noqa: E402

CMOCKA = "[==========] Running 3 test(s).\n[ RUN      ] test_a\n[==========] 3 test(s) run.\n[  PASSED  ] 1 test(s).\n"


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Counting(unittest.TestCase):
    def test_own_words(self):
        self.assertEqual(run.counted("ok - a\n3 passed, 1 failed, 2 skipped\n"), (3, 1, 2))
        self.assertEqual(run.counted(CMOCKA + "[  SKIPPED ] 1 test(s), listed below:\n[  FAILED  ] 1 test(s), listed below:\n"), (1, 1, 1))
        self.assertEqual(run.counted("....\nRan 7 tests in 0.1s\n\nFAILED (failures=1, errors=2, skipped=1)\n"), (3, 3, 1))
        self.assertIsNone(run.counted("hello\n"))
        self.assertIsNone(run.counted(""))

    def test_the_end_counts_more_than_the_words(self):
        total = run.Total()
        total.add("a", "failed", "5 passed, 0 failed, 0 skipped")
        total.add("b", "ok", "")
        total.add("c", "skipped", "looking for it\nskipped: no such server\n")
        total.add("d", "failed", "")
        self.assertEqual((total.passed, total.failed, total.skipped), (6, 2, 1))
        self.assertEqual(total.failures, ["a", "d"])
        self.assertEqual(total.skips, ["c: skipped: no such server"])

    def test_reasons(self):
        self.assertEqual(run.reasons("skip - test_x: no fuse\nok - y\n1 passed, 0 failed, 1 skipped"), ["skip - test_x: no fuse"])
        self.assertEqual(run.reasons(""), ["it does not say why"])


class Scripts(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.TemporaryDirectory()
        self.top, run.TOP = run.TOP, Path(self.folder.name)
        (run.TOP / "tests/mount").mkdir(parents=True)
        (run.TOP / "meson-logs").mkdir()

    def tearDown(self):
        run.TOP = self.top
        self.folder.cleanup()

    def run_one(self, text, name="x.sh"):
        path = run.TOP / "tests/mount" / name
        path.write_text("#!/bin/sh\n" + text)
        path.chmod(0o755)
        total, said = run.Total(), io.StringIO()
        with contextlib.redirect_stdout(said):
            for script in run.scripts(["mount"]):
                run.run_script(script, run.TOP, total)
        return total, said.getvalue()

    def test_status(self):
        self.assertEqual(self.run_one("exit 0")[0].passed, 1)
        total, said = self.run_one("echo broken\nexit 3")
        self.assertEqual((total.failed, total.failures), (1, ["mount/x.sh"]))
        self.assertIn("| broken", said)
        self.assertEqual(self.run_one("echo no kernel\nexit 77")[0].skips, ["mount/x.sh: no kernel"])

    def test_too_slow(self):
        begin = time.monotonic()
        total, said = self.run_one("# time limit: 1 s\nsleep 600\n")
        self.assertEqual(total.failed, 1)
        self.assertIn("too slow", said)
        self.assertLess(time.monotonic() - begin, 60)

    def test_nothing_outlives_it(self):
        note = run.TOP / "pid"
        # In a session of its own, as a daemon: no process group reaches it.
        grace, run.GRACE_S = run.GRACE_S, 0.5
        self.addCleanup(setattr, run, "GRACE_S", grace)
        total, said = self.run_one(f"setsid sleep 600 & echo $! >{note}\ntouch $TMPDIR/file\necho $TMPDIR >{note}.folder\n")
        self.assertEqual(total.failed, 1)
        self.assertIn("still running: sleep 600", said)
        self.assertIn("file", said)
        pid, end = note.read_text().strip(), time.monotonic() + 30
        while is_alive(pid) and time.monotonic() < end:
            time.sleep(0.05)
        self.assertFalse(is_alive(pid))
        self.assertFalse(os.path.exists(Path(f"{note}.folder").read_text().strip()))

    def test_a_daemon_may_take_a_moment(self):
        self.assertEqual(self.run_one("setsid sleep 0.5 &\n")[0].failed, 0)

    def test_alone(self):
        note = run.TOP / "note"
        for name in ("a.sh", "b.sh"):
            (run.TOP / "tests/mount" / name).write_text(f"#!/bin/sh\n# runs alone\necho {name} >>{note}\nsleep 0.3\necho {name} >>{note}\n")
            (run.TOP / "tests/mount" / name).chmod(0o755)
        (run.TOP / "tests/mount/c.sh").write_text(f"#!/bin/sh\necho c.sh >>{note}\n")
        (run.TOP / "tests/mount/c.sh").chmod(0o755)
        total = run.Total()
        with contextlib.redirect_stdout(io.StringIO()):
            run.run_scripts(list(run.scripts(["mount"])), run.TOP, 3, total)
        self.assertEqual(note.read_text().split(), ["c.sh", "a.sh", "a.sh", "b.sh", "b.sh"])
        self.assertEqual(total.suites["mount"][:3], [3, 0, 0])

    def test_only_executables(self):
        (run.TOP / "tests/mount/helper.py").write_text("")
        self.assertEqual(self.run_one("exit 0")[0].passed, 1)


if __name__ == "__main__":
    unittest.main()
